//! How are we doing, and what should change?
//!
//! The admin listener: probes, metrics, the state of every limit, and a way to change one for a while. It runs beside
//! the workers and never on them: it reads snapshots and turns the limiters' own knobs, and nothing here is on the way
//! of a request.
//!
//! Probes and metrics answer anyone who reaches the listener. Everything else needs a peer on this machine or the token,
//! and refuses a foreign `Host` or `Origin`, since the browser of somebody on this machine is such a peer too. Every
//! change is logged with its peer.

mod adaptive;
mod board;
mod changes;
mod configuration;
mod context;
mod dashboard;
mod desk;
mod endpoints;
mod events;
mod history;
mod limits;
mod listener;
mod members;
mod metrics;
mod openapi;
mod overrides;
mod patch;
mod peers;
mod probes;
mod problem;
mod protection;
mod rejections;
mod reload;
mod requests;
mod router;
mod routes;
mod settings;
mod status;
mod suggest;
mod timestamp;
mod token;
mod upstreams;

pub use configuration::{Configuration, Explained, Question};
pub use desk::{Desk, Move};
pub use listener::{BindError, Listener};
pub use settings::{Listen, Settings};
pub use token::{Secret, Token, TokenError};
