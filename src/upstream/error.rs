//! How a request can fail upstream.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection could be made.
    #[error("cannot connect to the upstream")]
    Connect(#[source] io::Error),
    /// The connection ended before the response did.
    #[error("the upstream closed the connection")]
    Reset(#[source] BoxError),
    /// What came back was not HTTP, or not an answer to this request.
    #[error("the upstream's answer is not valid HTTP")]
    Protocol(#[source] Option<BoxError>),
    /// The upstream was silent for too long.
    #[error("the upstream took too long")]
    Timeout,
    /// The whole exchange took longer than it may.
    #[error("the exchange took too long")]
    Overdue,
    /// The client's body failed while it was being sent on.
    #[error("the request's body failed")]
    RequestBody(#[source] BoxError),
}

/// An error of any body.
pub type BoxError = Box<dyn StdError + Send + Sync>;

impl Failure {
    /// What became of an exchange over HTTP/1.1.
    pub(super) fn of_connection(error: hyper::Error) -> Self {
        if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
            Failure::Protocol(Some(error.into()))
        } else {
            Failure::Reset(error.into())
        }
    }

    /// What became of an exchange over HTTP/2, or of its connection. What our side has found wrong is no HTTP/2; what
    /// the peer says is wrong is its way of ending it.
    pub(super) fn of_stream(error: &Arc<h2::Error>) -> Self {
        let source = error.clone().into();
        if error.is_library() { Failure::Protocol(Some(source)) } else { Failure::Reset(source) }
    }
}
