//! Sums that belong together: read as they were at one moment.

use super::atomic::{AtomicU64, Ordering, fence};

/// How many there were, and two sums over them. Whoever adds never waits.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// How many have begun to add.
    begun: AtomicU64,
    /// As it would be with a sign.
    first: AtomicU64,
    second: AtomicU64,
    /// How many have done so.
    count: AtomicU64,
}

/// How often one looks again who finds somebody adding.
const TRIES: usize = 16;

impl Sums {
    #[inline]
    pub(super) fn add(&self, first: i64, second: u64) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        // Whoever sees a part of what follows sees that it has begun.
        fence(Ordering::Release);
        self.first.fetch_add(first as u64, Ordering::Relaxed);
        self.second.fetch_add(second, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Release);
    }

    /// How many, and their sums. `None` if somebody was adding at each look: one who has been put to sleep over it may
    /// take a while.
    pub(super) fn read(&self) -> Option<(u64, i64, u64)> {
        (0..TRIES).find_map(|_| self.look())
    }

    /// The same, if nobody is adding just now.
    pub(super) fn look(&self) -> Option<(u64, i64, u64)> {
        // All that these have added is seen from here on.
        let count = self.count.load(Ordering::Acquire);
        let (first, second) = (self.first.load(Ordering::Relaxed), self.second.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        (self.begun.load(Ordering::Relaxed) == count).then_some((count, first as i64, second))
    }
}
