//! What the upstream made of requests, counted by each worker for itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::admission::sums::Sums;
use crate::limit::Moments;

/// Samples for one limit. Each worker adds to its own part; nobody adds them up but the housekeeper, who takes nothing
/// away, so that counting is all there is to it.
#[derive(Debug)]
pub struct Samples {
    parts: Box<[Part]>,
    /// What was last read of each part: of one who is just adding, that is what is known. Only taken by who reads.
    told: Mutex<Box<[Told]>>,
}

/// What one worker has counted; on cache lines that no other worker writes to.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part {
    answered: Times,
    cut: Times,
    failed: AtomicU64,
}

/// The sums of the logarithms of times and of the squares of those, in millionths.
#[derive(Debug, Default)]
struct Times(Sums);

/// What was last read of a part.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    answered: Moments,
    cut: Moments,
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
        let workers = workers.max(1);
        Samples {
            parts: (0..workers).map(|_| Part::default()).collect(),
            told: Mutex::new(vec![Told::default(); workers].into()),
        }
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

    /// What all workers have counted until now. Of what is added meanwhile each time is there whole, or not before the next
    /// look.
    pub fn read(&self) -> Seen {
        let mut seen = Seen::default();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (part, told) in self.parts.iter().zip(&mut *told) {
            told.answered = part.answered.read().unwrap_or(told.answered);
            told.cut = part.cut.read().unwrap_or(told.cut);
            seen.answered.merge(&told.answered);
            seen.cut.merge(&told.cut);
            seen.failed += part.failed.load(Relaxed);
        }
        seen
    }

    fn part(&self, worker: usize) -> &Part {
        &self.parts[worker % self.parts.len()]
    }
}

impl Times {
    #[inline]
    fn add(&self, time: Duration) {
        let mut one = Moments::default();
        one.add(time);
        self.0.add((one.sum * MILLIONTHS) as i64, (one.squares * MILLIONTHS) as u64);
    }

    fn read(&self) -> Option<Moments> {
        let (count, sum, squares) = self.0.read()?;
        Some(Moments { count, sum: sum as f64 / MILLIONTHS, squares: squares as f64 / MILLIONTHS })
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
    fn what_is_read_while_others_add_is_of_whole_samples() {
        let samples = Samples::new(1);
        let mut one = Moments::default();
        one.add(Duration::from_millis(10));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..20_000).for_each(|_| samples.answered(0, Duration::from_millis(10))));
            }
            let mut before = 0;
            while before < 40_000 {
                let Moments { count, sum, squares } = samples.read().answered;
                assert!(count >= before);
                assert!((sum - one.sum * count as f64).abs() < 1e-6 * (count + 1) as f64, "{sum} of {count}");
                assert!(
                    (squares - one.squares * count as f64).abs() < 1e-6 * (count + 1) as f64,
                    "{squares} of {count}"
                );
                before = count;
            }
        });
    }

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
