//! Why a request was not admitted.

use std::time::Duration;

use super::permit::Waited;

/// A request that was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// Which of the request's limits it was, counted from 0.
    pub limit: usize,
    /// Its place in line and how long it stood there; a request rejected on arrival has waited for no time.
    pub waited: Waited,
    /// How long the requests ahead of a newcomer would take, by the measured rate of completions. `None` before the
    /// first completion.
    pub drains_in: Option<Duration>,
}

/// The reasons for a rejection; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Reason {
    /// All permits are out, and nobody may wait.
    #[error("no permit is free")]
    NoPermit,
    /// All permits are out, and the queue is full.
    #[error("the queue is full")]
    QueueFull,
    /// It waited for as long as it may.
    #[error("waited too long in the queue")]
    QueueTimeout,
    /// The limiter was closed.
    #[error("the limiter is closed")]
    Closed,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Reason; 4] = [Reason::NoPermit, Reason::QueueFull, Reason::QueueTimeout, Reason::Closed];

    /// The word that clients and metrics are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NoPermit => "no_permit",
            Reason::QueueFull => "queue_full",
            Reason::QueueTimeout => "queue_timeout",
            Reason::Closed => "draining",
        }
    }
}
