//! How many requests an upstream may be sent again.
//!
//! An upstream that is going under fails many requests, and each that is sent again is one more for it to do. So a retry
//! is paid for: every request brings a tenth of one, and [`FLOOR`] a second are free. What is not spent is kept for
//! [`WINDOW`], which lets all that a restart cuts off at one moment come through. The window and the floor are those of
//! Finagle and linkerd, which grant a fifth where this grants a tenth (as tower's `TpsBudget` counts it).
//!
//! Only what the upstream may have seen costs anything. A request that went out on no connection, or on one that had
//! ended before a byte of it was written, or of which the upstream has said that it left it out as it went (GOAWAY), is no
//! work for anybody.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::faults::ErrorCounts;

/// The account of one upstream. Requests are counted by each worker for itself; only a retry takes the lock.
#[derive(Debug)]
pub(super) struct Budget {
    requests: Box<[Count]>,
    purse: Mutex<Purse>,
    retries: AtomicU64,
    refused: AtomicU64,
}

/// What is counted of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpstreamCounts {
    /// Requests that were sent again.
    pub retries: u64,
    /// Requests that could have been, where the budget for that was spent.
    pub retries_refused: u64,
    /// Connections that are in use or being made, now.
    pub active: u32,
    /// Connections that idle, now.
    pub idle: u32,
    /// Exchanges that nobody waited for, and that were reset when `abort_grace` was over.
    pub abandoned: u64,
    /// Failures, by kind.
    pub errors: ErrorCounts,
}

// Aligned so that one worker's count does not slow the next one's down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count(AtomicU64);

/// What there is to spend.
#[derive(Debug)]
struct Purse {
    retries: f64,
    /// How many requests have been turned into retries, and when.
    seen: u64,
    at: Instant,
}

/// Retries for a request.
const SHARE: f64 = 0.1;

/// Retries for a second.
const FLOOR: f64 = 10.0;

/// How long what is not spent can be.
const WINDOW: Duration = Duration::from_secs(10);

impl Budget {
    pub(super) fn new(workers: usize) -> Self {
        // At the start nothing has been asked of anybody: a window's worth of the floor is there.
        let purse = Purse { retries: FLOOR * WINDOW.as_secs_f64(), seen: 0, at: Instant::now() };
        Budget {
            requests: (0..workers.max(1)).map(|_| Count::default()).collect(),
            purse: Mutex::new(purse),
            retries: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// A request, which is not a retry.
    pub(super) fn earn(&self, worker: usize) {
        self.requests[worker % self.requests.len()].0.fetch_add(1, Relaxed);
    }

    /// Whether a request that the upstream may have seen may be sent again. If so, it is paid for.
    pub(super) fn spend(&self) -> bool {
        let mut purse = self.purse.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = self.requests.iter().map(|count| count.0.load(Relaxed)).fold(0, u64::wrapping_add);
        let paid = purse.spend(requests, Instant::now());
        if !paid {
            self.refused.fetch_add(1, Relaxed);
        }
        paid
    }

    /// A request was sent again, paid for or not.
    pub(super) fn sent_again(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(super) fn counts(&self) -> UpstreamCounts {
        let (retries, retries_refused) = (self.retries.load(Relaxed), self.refused.load(Relaxed));
        UpstreamCounts { retries, retries_refused, ..UpstreamCounts::default() }
    }
}

impl Purse {
    /// `requests` is how many there have ever been.
    fn spend(&mut self, requests: u64, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let window = WINDOW.as_secs_f64();
        // When each request came, nobody has noted: evenly, as far as is known.
        let recent = if elapsed > window { window / elapsed } else { 1.0 };
        let fresh = requests.wrapping_sub(self.seen) as f64 * recent;
        let kept = 1.0 - (elapsed / window).min(1.0);
        self.retries = self.retries * kept + SHARE * fresh + FLOOR * elapsed.min(window);
        (self.seen, self.at) = (requests, now);
        let paid = self.retries >= 1.0;
        if paid {
            self.retries -= 1.0;
        }
        paid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `asked` are paid for, one after the other at one moment.
    fn paid(purse: &mut Purse, asked: usize, requests: u64, now: Instant) -> usize {
        (0..asked).filter(|_| purse.spend(requests, now)).count()
    }

    fn empty(at: Instant) -> Purse {
        Purse { retries: 0.0, seen: 0, at }
    }

    #[test]
    fn a_tenth_of_the_requests_can_be_sent_again_and_ten_a_second() {
        let start = Instant::now();
        let mut purse = empty(start);
        let mut total = 0;
        for second in 1..=60 {
            total += paid(&mut purse, 1000, second * 1000, start + Duration::from_secs(second));
        }
        assert!((6500..=6600).contains(&total), "{total}");
    }

    #[test]
    fn what_is_not_spent_is_kept_for_a_while_and_not_for_ever() {
        let start = Instant::now();
        // An hour of a thousand requests a second, looked at once, and looked at often.
        let hour = start + Duration::from_secs(3600);
        let mut purse = empty(start);
        let at_once = paid(&mut purse, 10_000, 3_600_000, hour);
        assert!((1099..=1100).contains(&at_once), "{at_once}");
        let mut purse = empty(start);
        for second in 1..=3600 {
            purse.spend(second * 1000, start + Duration::from_secs(second));
        }
        let then = paid(&mut purse, 10_000, 3_600_000, hour);
        assert!((900..1200).contains(&then), "{then}");
        // Silence forgets.
        assert_eq!(paid(&mut purse, 10_000, 3_600_000, hour + Duration::from_secs(1000)), 100);
    }

    #[test]
    fn nothing_is_paid_for_twice() {
        let now = Instant::now();
        let mut purse = empty(now);
        assert_eq!(paid(&mut purse, 100, 95, now), 9);
        assert_eq!(paid(&mut purse, 100, 95, now), 0);
        assert_eq!(paid(&mut purse, 100, 100, now), 1);
    }

    #[test]
    fn the_workers_requests_count_together() {
        let budget = Budget::new(4);
        while budget.spend() {}
        let refused = budget.counts().retries_refused;
        assert!(refused >= 1);
        (0..4000).for_each(|request| budget.earn(request));
        // Some of it is forgotten with every moment.
        assert!((0..350).all(|_| budget.spend()));
        assert_eq!(budget.counts().retries_refused, refused);
    }
}
