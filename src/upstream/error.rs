//! How a request can fail upstream.

use std::error::Error as StdError;
use std::io;

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection could be made.
    #[error("cannot connect to the upstream")]
    Connect(#[source] io::Error),
    /// The connection ended before the response did.
    #[error("the upstream closed the connection")]
    Reset(#[source] hyper::Error),
    /// What came back was not HTTP, or not an answer to this request.
    #[error("the upstream's answer is not valid HTTP")]
    Protocol(#[source] Option<hyper::Error>),
    /// The upstream was silent for too long.
    #[error("the upstream took too long")]
    Timeout,
    /// The client's body failed while it was being sent on.
    #[error("the request's body failed")]
    RequestBody(#[source] BoxError),
}

/// An error of any body.
pub type BoxError = Box<dyn StdError + Send + Sync>;

impl Failure {
    pub(super) fn of_connection(error: hyper::Error) -> Self {
        if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
            Failure::Protocol(Some(error))
        } else {
            Failure::Reset(error)
        }
    }
}
