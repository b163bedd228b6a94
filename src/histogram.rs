//! How long things took, counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds.
pub const BOUNDS: [f64; 17] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// The same in microseconds, and what is longer than any time.
const MICROS: [u64; BOUNDS.len() + 1] = {
    let mut micros = [u64::MAX; BOUNDS.len() + 1];
    let mut at = 0;
    while at < BOUNDS.len() {
        micros[at] = (BOUNDS[at] * 1e6) as u64;
        at += 1;
    }
    micros
};

/// How many of them have fewer binary digits than this. One at the most has as many: each is twice the one before or more.
const SHORTER: [u8; 65] = {
    let mut shorter = [0; 65];
    let mut digits = 1;
    while digits < shorter.len() {
        let mut fewer = shorter[digits - 1];
        if fewer < BOUNDS.len() as u8 && digits_of(MICROS[fewer as usize]) < digits {
            fewer += 1;
        }
        assert!(fewer == BOUNDS.len() as u8 || digits_of(MICROS[fewer as usize]) >= digits);
        shorter[digits] = fewer;
        digits += 1;
    }
    shorter
};

const fn digits_of(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()) as usize
}

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
        let nanos = time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into());
        // What is longer than a bound by less than a microsecond is longer.
        let begun = nanos.div_ceil(1000);
        // A look and a comparison, and no branch to be guessed.
        let first = usize::from(SHORTER[digits_of(begun)]);
        let bucket = first + usize::from(MICROS[first] < begun);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(nanos / 1000, Relaxed);
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
    fn each_bound_is_the_longest_of_its_bucket() {
        for (at, bound) in BOUNDS.into_iter().enumerate() {
            let histogram = Histogram::default();
            let bound = Duration::from_secs_f64(bound);
            for nanos in [0, 1, 999, 1000] {
                histogram.count(bound + Duration::from_nanos(nanos));
                histogram.count(bound - Duration::from_nanos(nanos));
            }
            let read = histogram.read();
            assert_eq!((read.buckets[at], read.buckets[at + 1]), (5, 3), "{bound:?}");
        }
        let histogram = Histogram::default();
        histogram.count(Duration::MAX);
        assert_eq!((histogram.read().buckets[17], histogram.read().sum), (1, Duration::from_micros(u64::MAX / 1000)));
    }

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
