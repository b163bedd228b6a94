//! What went wrong with an upstream, counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::error::Failure;

/// The counts of one upstream. Only what fails comes here.
#[derive(Debug, Default)]
pub(super) struct Faults {
    abandoned: AtomicU64,
    errors: [AtomicU64; KINDS.len()],
}

/// How a request can fail upstream, in words.
const KINDS: [&str; 6] = ["no_endpoint", "paused", "connect", "reset", "protocol", "timeout"];

/// How often an upstream has failed, by kind.
pub type ErrorCounts = [(&'static str, u64); KINDS.len()];

impl Faults {
    /// An exchange that nobody waited for did not end in time, and was reset.
    pub(super) fn abandoned(&self) {
        self.abandoned.fetch_add(1, Relaxed);
    }

    /// Counts a failure, unless it is the client's or the operator's.
    pub(super) fn count(&self, failure: &Failure) {
        let kind = match failure {
            Failure::NoEndpoint => 0,
            Failure::Paused(_) => 1,
            Failure::Connect(_) | Failure::NoRoom => 2,
            Failure::Reset(_) => 3,
            Failure::Protocol(_) => 4,
            Failure::Timeout | Failure::Overdue => 5,
            Failure::Outlived | Failure::Cancelled | Failure::RequestBody(_) => return,
        };
        self.errors[kind].fetch_add(1, Relaxed);
    }

    /// How many were reset.
    pub(super) fn resets(&self) -> u64 {
        self.abandoned.load(Relaxed)
    }

    pub(super) fn errors(&self) -> ErrorCounts {
        std::array::from_fn(|kind| (KINDS[kind], self.errors[kind].load(Relaxed)))
    }
}
