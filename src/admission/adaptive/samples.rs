//! What the upstream made of requests, counted by each worker for itself.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::limit::Moments;

/// Samples for one limit. Each worker adds to its own part; nobody adds them up but the housekeeper, who takes nothing
/// away, so that counting is all there is to it.
#[derive(Debug)]
pub struct Samples(Box<[Part]>);

/// What one worker has counted; on cache lines that no other worker writes to.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part {
    answered: Times,
    cut: Times,
    failed: AtomicU64,
}

/// How many times, and the sums of their logarithms and of the squares of those, in millionths.
#[derive(Debug, Default)]
struct Times {
    count: AtomicU64,
    sum: AtomicI64,
    squares: AtomicU64,
}

/// All that was seen until a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seen {
    /// Heads that came.
    pub answered: Moments,
    /// Requests that were given up before that.
    pub cut: Moments,
    /// Failures, those that came as an answer included.
    pub failed: u64,
}

const MILLIONTHS: f64 = 1e6;

impl Samples {
    pub(super) fn new(workers: usize) -> Self {
        Samples((0..workers.max(1)).map(|_| Part::default()).collect())
    }

    /// The head of a good answer has come so long after its request was forwarded.
    #[inline]
    pub fn answered(&self, worker: usize, after: Duration) {
        self.part(worker).answered.add(after);
    }

    /// The client or a timeout gave it up after so long.
    pub fn cut(&self, worker: usize, after: Duration) {
        self.part(worker).cut.add(after);
    }

    /// It came to nothing, or the answer says that it is too much. How long that took says nothing.
    pub fn failed(&self, worker: usize) {
        self.part(worker).failed.fetch_add(1, Relaxed);
    }

    /// What all workers have counted until now. Of what is added meanwhile a part may be missing until the next time.
    pub fn read(&self) -> Seen {
        let mut seen = Seen::default();
        for part in &self.0 {
            seen.answered.merge(&part.answered.read());
            seen.cut.merge(&part.cut.read());
            seen.failed += part.failed.load(Relaxed);
        }
        seen
    }

    fn part(&self, worker: usize) -> &Part {
        &self.0[worker % self.0.len()]
    }
}

impl Times {
    #[inline]
    fn add(&self, time: Duration) {
        let mut one = Moments::default();
        one.add(time);
        self.sum.fetch_add((one.sum * MILLIONTHS) as i64, Relaxed);
        self.squares.fetch_add((one.squares * MILLIONTHS) as u64, Relaxed);
        self.count.fetch_add(1, Relaxed);
    }

    fn read(&self) -> Moments {
        Moments {
            count: self.count.load(Relaxed),
            sum: self.sum.load(Relaxed) as f64 / MILLIONTHS,
            squares: self.squares.load(Relaxed) as f64 / MILLIONTHS,
        }
    }
}

impl Seen {
    /// What has been seen since `before`.
    pub(super) fn since(&self, before: &Seen) -> Seen {
        let since = |now: Moments, before: Moments| Moments {
            count: now.count.saturating_sub(before.count),
            sum: now.sum - before.sum,
            squares: (now.squares - before.squares).max(0.0),
        };
        Seen {
            answered: since(self.answered, before.answered),
            cut: since(self.cut, before.cut),
            failed: self.failed.saturating_sub(before.failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_have_seen_is_added_up() {
        let samples = Samples::new(2);
        let mut expected = Moments::default();
        for (worker, millis) in [(0, 10), (1, 20), (1, 40), (2, 3)] {
            samples.answered(worker, Duration::from_millis(millis));
            expected.add(Duration::from_millis(millis));
        }
        samples.failed(1);
        let before = samples.read();
        assert_eq!((before.answered.count, before.cut.count, before.failed), (4, 0, 1));
        assert!((before.answered.mean() - expected.mean()).abs() < 1e-5);
        assert!((before.answered.variance() - expected.variance()).abs() < 1e-5);
        samples.cut(0, Duration::from_secs(1));
        let since = samples.read().since(&before);
        assert_eq!((since.answered.count, since.cut.count, since.failed), (0, 1, 0));
        assert_eq!(since.answered.sum, 0.0);
    }
}
