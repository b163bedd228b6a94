//! HTTP/2 to an upstream, in the clear and by prior knowledge, or over TLS by its choice.
//!
//! A [`Pool`] has a few connections, and a request takes a [`Lease`] of one stream on one of them. Promised: a stream is
//! asked for only where the peer's limit and ours have room for it, so that a request waits for a connection to be made
//! at most, never in a line of streams; all of what one stream may hold back fits into the connection's window, so that a
//! slow client holds up its own stream and no other; a stream that we end is reset with CANCEL, however far its upload
//! has come; a stream that ends without END_STREAM was cut, whatever the reset says.
//!
//! This is written on the h2 crate and not on hyper's client, which cannot keep three of these: once it has the head of a
//! response it can't reset a stream whose upload waits for window, it takes RST_STREAM(NO_ERROR) in the middle of a body
//! for its end, and it holds back requests beyond the peer's limit in a channel of its own.

mod body;
mod connect;
mod connection;
mod drive;
mod exchange;
mod head;
mod pool;
mod pump;
mod stream;
#[cfg(test)]
mod tests;
mod watched;

pub(super) use connection::Lease;
pub(super) use exchange::Exchange;
pub(super) use head::from_http1;
pub(super) use pool::{NoLease, Pool};
pub(super) use pump::Pump;
pub(super) use stream::begin;
