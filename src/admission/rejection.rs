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
    /// Whether it was turned away on arrival because its wait would have been in vain.
    pub predicted: bool,
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
    /// Who came was more urgent, or goes first by the limit's order, or so many have gone first by it that its turn would
    /// not come in time.
    #[error("pushed out of the queue")]
    Evicted,
    /// An operator ended all waits.
    #[error("the queue was emptied by an operator")]
    Flushed,
    /// Its key has as many permits as it may, and nobody may wait; or it has no key where it needs one.
    #[error("the share of its key is used up")]
    KeyLimit,
    /// As many of its key wait as may, or the queue is full and its key's is the longest.
    #[error("the queue of its key is full")]
    KeyQueueFull,
    /// Its client's deadline comes before its turn would.
    #[error("its deadline can't be met")]
    DeadlineUnmeetable,
    /// Its client's deadline has passed.
    #[error("its deadline has passed")]
    DeadlineExpired,
    /// Its client wants more seats than the limit has.
    #[error("it takes more than the limit has")]
    Cost,
    /// The limiter was closed.
    #[error("the limiter is closed")]
    Closed,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Reason; 11] = [
        Reason::NoPermit,
        Reason::QueueFull,
        Reason::QueueTimeout,
        Reason::Evicted,
        Reason::Flushed,
        Reason::KeyLimit,
        Reason::KeyQueueFull,
        Reason::DeadlineUnmeetable,
        Reason::DeadlineExpired,
        Reason::Cost,
        Reason::Closed,
    ];

    /// The word that clients and metrics are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NoPermit => "no_permit",
            Reason::QueueFull => "queue_full",
            Reason::QueueTimeout => "queue_timeout",
            Reason::Evicted => "evicted",
            Reason::Flushed => "flushed",
            Reason::KeyLimit => "key_limit",
            Reason::KeyQueueFull => "key_queue_full",
            Reason::DeadlineUnmeetable => "deadline_unmeetable",
            Reason::DeadlineExpired => "deadline_expired",
            Reason::Cost => "cost",
            Reason::Closed => "draining",
        }
    }
}
