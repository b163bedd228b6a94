//! Who is connected?
//!
//! One worker per processor, each a thread with a runtime, a listening socket and upstream pools of its own; the kernel
//! spreads connections among them. A [`Server`] starts them, and drains them: what is in flight or waiting when the
//! drain begins is finished, what does not finish in time is cut and counted.

mod answer;
mod at_once;
mod body;
mod connection;
mod crowd;
mod drain;
mod files;
mod greeting;
mod handle;
mod http2;
mod introductions;
mod listen;
mod listener;
mod passed;
mod places;
mod proxy_protocol;
mod rarely;
mod register;
mod reloads;
mod rest;
mod settings;
mod socket_file;
mod spread;
mod start;
mod wire;
mod worker;

pub use drain::Drained;
pub use handle::Handle;
pub use listen::Listen;
pub use listener::Listening;
pub use proxy_protocol::ProxyProtocol;
pub use reloads::{Outcome, Refused, ReloadCounts, Reloaded, Wish};
pub use settings::Settings;
pub(crate) use socket_file::SocketFile;
pub use start::{Server, StartError};
#[cfg(test)]
pub(crate) use wire::Chunked as StrictChunks;
