//! The limit and what is in flight, in one atomic word.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::queue::Room;

/// `[limit: 24 | flags: 16 | in-flight: 24]`.
///
/// In-flight is counted, not what is left: lowering the limit below it is the same compare-and-swap as raising it, and
/// leaves no debt behind. Everybody changes this one word, so either a release sees the waiting flag or the one who set
/// it sees the release; no wake-up is lost between them.
#[derive(Debug)]
pub(super) struct Word(AtomicU64);

const IN_FLIGHT: u64 = (1 << 24) - 1;
const WAITING: u64 = 1 << 24;
const CLOSED: u64 = 1 << 25;
const LIMIT_SHIFT: u32 = 40;
const LIMIT: u64 = IN_FLIGHT << LIMIT_SHIFT;

impl Word {
    pub(super) fn new(limit: u32) -> Self {
        Word(AtomicU64::new(u64::from(limit) << LIMIT_SHIFT))
    }

    /// Takes a permit unless the limit is reached, somebody waits, or the gate is closed.
    pub(super) fn try_acquire(&self) -> bool {
        self.acquire_unless(WAITING | CLOSED)
    }

    /// Takes a permit for the one who is next in line: only the limit counts.
    pub(super) fn try_acquire_for_waiter(&self) -> bool {
        self.acquire_unless(0)
    }

    fn acquire_unless(&self, flags: u64) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & flags != 0 || word & IN_FLIGHT >= word >> LIMIT_SHIFT {
                return false;
            }
            match self.0.compare_exchange_weak(word, word + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
    }

    /// Gives a permit back. True if somebody may be waiting for it.
    pub(super) fn release(&self) -> bool {
        let before = self.0.fetch_sub(1, Ordering::AcqRel);
        debug_assert_ne!(before & IN_FLIGHT, 0, "a permit came back twice");
        before & WAITING != 0
    }

    pub(super) fn set_waiting(&self) {
        self.0.fetch_or(WAITING, Ordering::AcqRel);
    }

    pub(super) fn clear_waiting(&self) {
        self.0.fetch_and(!WAITING, Ordering::AcqRel);
    }

    pub(super) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    pub(super) fn set_limit(&self, limit: u32) {
        let limit = u64::from(limit) << LIMIT_SHIFT;
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| Some(word & !LIMIT | limit))
            .expect("the update never declines");
    }

    pub(super) fn limit(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) >> LIMIT_SHIFT) as u32
    }

    /// Both at one moment.
    pub(super) fn room(&self) -> Room {
        let word = self.0.load(Ordering::Relaxed);
        Room { limit: (word >> LIMIT_SHIFT) as u32, in_flight: (word & IN_FLIGHT) as u32 }
    }

    pub(super) fn in_flight(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) & IN_FLIGHT) as u32
    }
}
