//! How long things took, counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds.
pub const BOUNDS: [f64; 17] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// Counts from any number of threads. Reading it is no moment in time: what is counted meanwhile may be in it in part.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

/// A histogram as it was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Buckets {
    /// How many were at most as long as each of [`BOUNDS`] and longer than the one before; the last is for all that were
    /// longer.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

impl Histogram {
    pub(crate) fn count(&self, time: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < time.as_secs_f64());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn read(&self) -> Buckets {
        Buckets {
            buckets: self.buckets.each_ref().map(|bucket| bucket.load(Relaxed)),
            sum: Duration::from_micros(self.sum_micros.load(Relaxed)),
        }
    }
}

impl std::ops::AddAssign for Buckets {
    fn add_assign(&mut self, other: Buckets) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(sum, count)| *sum += count);
        self.sum += other.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_where_it_belongs_and_sums_are_sums() {
        let histogram = Histogram::default();
        for millis in [0, 1, 2, 300_000, 300_001] {
            histogram.count(Duration::from_millis(millis));
        }
        let mut read = histogram.read();
        assert_eq!((read.buckets[0], read.buckets[1], read.buckets[16], read.buckets[17]), (2, 1, 1, 1));
        assert_eq!(read.sum, Duration::from_millis(600_004));
        read += histogram.read();
        assert_eq!((read.buckets.iter().sum::<u64>(), read.sum), (10, Duration::from_millis(1_200_008)));
    }
}
