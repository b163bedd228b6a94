//! What a limit has done so far, for those who watch.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::rejection::Reason;

/// Counters of one limit. What happens to a request that need not wait costs nothing here.
#[derive(Debug, Default)]
pub(super) struct Counters {
    queued: AtomicU64,
    rejected: [AtomicU64; Reason::ALL.len()],
    admitted_waits: Waits,
    rejected_waits: Waits,
}

/// A histogram of waits.
#[derive(Debug, Default)]
struct Waits {
    buckets: [AtomicU64; WAIT_BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

/// Upper bounds of the histograms' buckets, in seconds.
pub const WAIT_BOUNDS: [f64; 17] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// What a limit has done so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// Permits given out.
    pub admitted: u64,
    /// Requests that had to wait.
    pub queued: u64,
    /// Rejections, by reason.
    pub rejected: [(Reason, u64); Reason::ALL.len()],
    /// How long those waited who were admitted after a wait.
    pub admitted_waits: WaitCounts,
    /// How long those waited whose wait was in vain.
    pub rejected_waits: WaitCounts,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitCounts {
    /// How many waits were at most as long as each of [`WAIT_BOUNDS`] and longer than the one before; the last is for
    /// all that were longer.
    pub buckets: [u64; WAIT_BOUNDS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

impl Counters {
    pub(super) fn queued(&self) {
        self.queued.fetch_add(1, Relaxed);
    }

    pub(super) fn rejected(&self, reason: Reason) {
        self.rejected[reason as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn waited(&self, wait: Duration, admitted: bool) {
        let waits = if admitted { &self.admitted_waits } else { &self.rejected_waits };
        let bucket = WAIT_BOUNDS.partition_point(|bound| *bound < wait.as_secs_f64());
        waits.buckets[bucket].fetch_add(1, Relaxed);
        waits.sum_micros.fetch_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn read(&self, admitted: u64) -> Counts {
        Counts {
            admitted,
            queued: self.queued.load(Relaxed),
            rejected: Reason::ALL.map(|reason| (reason, self.rejected[reason as usize].load(Relaxed))),
            admitted_waits: self.admitted_waits.read(),
            rejected_waits: self.rejected_waits.read(),
        }
    }
}

impl Waits {
    fn read(&self) -> WaitCounts {
        WaitCounts {
            buckets: self.buckets.each_ref().map(|bucket| bucket.load(Relaxed)),
            sum: Duration::from_micros(self.sum_micros.load(Relaxed)),
        }
    }
}
