//! How is it sent?
//!
//! An [`Upstream`] chooses an endpoint and sends requests there over HTTP/1.1 connections of its own pools, one exchange at a time on each, or as
//! streams of a few HTTP/2 connections. What the caller hands over with a request (its permit) is held until the
//! *exchange* has ended, which may be long after the caller has lost interest. Promised: a request is sent again only
//! where that is safe, its body with it; an idle connection that the upstream closed in the meantime is nobody's error; a response that was
//! cut is never taken for complete, nor is an upload; a request waits in no line but for a connection.

mod abandon;
mod again;
mod attempt;
mod await_head;
mod balance;
mod budget;
mod connect;
mod connection;
mod drained;
mod eject;
mod endpoint;
mod error;
mod exchange;
mod faults;
mod forward;
pub mod headers;
mod health;
mod http1;
mod http2;
mod kept;
mod line;
mod load;
mod members;
mod pause;
mod pool;
#[cfg(feature = "otel")]
mod post;
mod ready;
mod resolve;
mod response_body;
mod room;
mod roster;
mod secret;
mod settings;
mod site;
mod socket_io;
mod source;
mod tend;
mod upload;

pub use balance::Balance;
pub use budget::UpstreamCounts;
pub use eject::Eject;
pub use endpoint::{EndpointStatus, Seat};
pub use error::{BoxError, Failure};
pub use exchange::{Ending, OnClientGone};
pub use faults::ErrorCounts;
pub use forward::{Answer, How, Step, Upgraded, Upstream};
pub use health::{Health, Probe};
pub use http1::UpgradedIo;
pub use line::Patience;
#[cfg(feature = "otel")]
pub use post::Poster;
pub use resolve::Resolve;
pub use response_body::ResponseBody;
pub use secret::{SecretError, SecretHeader};
pub use settings::{Endpoint, Forwarded, HostHeader, MaxConnections, Protocol, Settings};
