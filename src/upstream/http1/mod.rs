//! HTTP/1.1 to an upstream.
//!
//! An exchange is driven by whoever polls it: the request's own task sends, waits, and reads, on a [`Connection`] that
//! nobody else has. There is no task for a connection and no channel to it; one that idles is looked at when it is taken,
//! and now and then. Only an upload that its answer has overtaken goes on in a task of its own, since a client may read
//! nothing before it has sent all.
//!
//! Promised: what is known of a request that failed is exact, down to whether a byte of it was written; what is read
//! is bounded, heads, chunk extensions, trailers and interim answers alike; a connection is used again only where nothing
//! is left of the exchange before, on either side.

mod chunked;
mod connection;
mod exchange;
mod framing;
#[cfg(test)]
#[path = "../../../fuzz/answers.rs"]
mod fuzz;
mod head;
mod input;
mod io;
mod out;
mod receiving;
mod sending;
#[cfg(test)]
mod tests;

pub(super) use connection::Connection;
pub(super) use exchange::Exchange;
pub(super) use framing::declared_length;
pub use io::UpgradedIo;
