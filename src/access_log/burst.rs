//! So many a second.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Lets so many pass in each second since its beginning.
#[derive(Debug)]
pub(super) struct Burst {
    most: u32,
    began: Instant,
    /// The number of the second, and in the lower half how many have asked in it.
    second: AtomicU64,
}

impl Burst {
    pub(super) fn new(most: u32) -> Self {
        Burst { most, began: Instant::now(), second: AtomicU64::new(0) }
    }

    /// Whether one more may pass now. Whoever is late counts for the second that has begun.
    pub(super) fn may_write(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.began).as_secs() << 32;
        let next = |before: u64| Some((before.max(second)).saturating_add(1));
        let before = self.second.fetch_update(Relaxed, Relaxed, next).unwrap_or_else(|before| before);
        let asked = if before < second { 0 } else { before & u64::from(u32::MAX) };
        asked < u64::from(self.most)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_pass_in_each_second() {
        let burst = Burst::new(2);
        let at = |millis: u64| burst.began + Duration::from_millis(millis);
        let passed = |times: &[u64]| times.iter().map(|millis| burst.may_write(at(*millis))).collect::<Vec<_>>();
        assert_eq!(passed(&[0, 100, 200, 999]), [true, true, false, false]);
        assert_eq!(passed(&[1000, 1001, 900, 1999]), [true, true, false, false]);
        assert_eq!(passed(&[60_000]), [true]);
        assert!(!Burst::new(0).may_write(Instant::now()));
    }
}
