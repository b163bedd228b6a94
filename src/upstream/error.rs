//! How a request can fail upstream.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No endpoint gets requests at the moment.
    #[error("no endpoint of the upstream gets requests")]
    NoEndpoint,
    /// Every endpoint that would get requests has asked for a pause, and so much of it is left.
    #[error("the upstream has asked for a pause of {0:?} yet")]
    Paused(Duration),
    /// No connection could be made.
    #[error("cannot connect to the upstream")]
    Connect(#[source] io::Error),
    /// As many connections as there may be are open, and none was free in time.
    #[error("no connection to the upstream is free")]
    NoRoom,
    /// The connection ended before the response did.
    #[error("the upstream closed the connection")]
    Reset(#[source] BoxError),
    /// What came back was not HTTP, or not an answer to this request.
    #[error("the upstream's answer is not valid HTTP")]
    Protocol(#[source] Option<BoxError>),
    /// The upstream was silent for too long.
    #[error("the upstream took too long")]
    Timeout,
    /// The whole exchange took longer than its route's requests may (`timeout`).
    #[error("the exchange took too long")]
    Overdue,
    /// The same, where the connection may have been upgraded (`max_duration`).
    #[error("the exchange took longer than any may")]
    Outlived,
    /// An operator has ended it.
    #[error("an operator ended the exchange")]
    Cancelled,
    /// The client's body failed while it was being sent on.
    #[error("the request's body failed")]
    RequestBody(#[source] BoxError),
}

/// An error of any body.
pub type BoxError = Box<dyn StdError + Send + Sync>;

impl Failure {
    /// Whether the upstream has closed the connection, and it was not our side that gave it up.
    pub(super) fn is_of_the_upstream(&self) -> bool {
        let Failure::Reset(error) = self else { return false };
        let mut source: Option<&(dyn StdError + 'static)> = Some(&**error);
        while let Some(error) = source {
            if error.downcast_ref().is_some_and(is_given_up) {
                return false;
            }
            source = error.source();
        }
        true
    }

    /// What became of an exchange over HTTP/2, or of its connection. What our side has found wrong is no HTTP/2; what
    /// the peer says is wrong is its way of ending it.
    pub(super) fn of_stream(error: &Arc<h2::Error>) -> Self {
        let source = error.clone().into();
        if error.is_library() { Failure::Protocol(Some(source)) } else { Failure::Reset(source) }
    }
}

/// Whether the kernel has given up on a peer that says nothing any more. Any other end is the peer's.
pub(super) fn is_given_up(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable | NetworkDown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_has_given_up_the_upstream_has_not_closed() {
        let failure = |kind: io::ErrorKind| Failure::Reset(io::Error::from(kind).into());
        assert!(failure(io::ErrorKind::ConnectionReset).is_of_the_upstream());
        assert!(failure(io::ErrorKind::UnexpectedEof).is_of_the_upstream());
        assert!(!failure(io::ErrorKind::TimedOut).is_of_the_upstream());
        assert!(!failure(io::ErrorKind::HostUnreachable).is_of_the_upstream());
        assert!(!Failure::Timeout.is_of_the_upstream());
    }
}
