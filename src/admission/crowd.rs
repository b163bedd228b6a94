//! What is published of those who wait, and of how fast they go, for those who don't take the lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::queue::{DrainRate, Level};

/// `[seats: 32 | least urgent level, from 1: 8 | waiters: 24]`, each as large as it can be said.
#[derive(Debug, Default)]
pub(super) struct Crowd(AtomicU64);

/// Those who wait, at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiters {
    /// How many.
    pub(super) len: u32,
    /// How many seats they want, all together.
    pub(super) seats: u32,
    least: u8,
}

const LEN: u64 = (1 << 24) - 1;
const LEAST_SHIFT: u32 = 24;
const SEATS_SHIFT: u32 = 32;

impl Crowd {
    pub(super) fn publish(&self, len: u32, seats: u64, least_urgent: Option<Level>) {
        let least = least_urgent.map_or(0, |level| level as u64 + 1);
        let seats = seats.min(u64::from(u32::MAX));
        self.0.store(seats << SEATS_SHIFT | least << LEAST_SHIFT | u64::from(len).min(LEN), Relaxed);
    }

    pub(super) fn read(&self) -> Waiters {
        let crowd = self.0.load(Relaxed);
        let least = (crowd >> LEAST_SHIFT) as u8;
        Waiters { len: (crowd & LEN) as u32, seats: (crowd >> SEATS_SHIFT) as u32, least }
    }
}

impl Waiters {
    /// Whether none of them is less urgent than this.
    pub(super) fn are_all_at_least(self, level: Level) -> bool {
        self.least <= level as u8 + 1
    }
}

/// Completions per second, in seats: the bits of an `f32`, negative while they rest on fewer than twenty, and zero while
/// there are none.
#[derive(Debug, Default)]
pub(super) struct Rate(AtomicU32);

impl Rate {
    pub(super) fn publish(&self, measured: &DrainRate) {
        let rate = measured.per_second().unwrap_or(0.0) as f32;
        self.0.store(if measured.is_firm() { rate } else { -rate }.to_bits(), Relaxed);
    }

    pub(super) fn per_second(&self) -> Option<f64> {
        let rate = f32::from_bits(self.0.load(Relaxed)).abs();
        (rate > 0.0).then_some(f64::from(rate))
    }

    /// How long so many seats take, if that is known well enough to turn somebody away for it.
    pub(super) fn estimate(&self, seats: u64) -> Option<Duration> {
        let rate = f32::from_bits(self.0.load(Relaxed));
        if rate <= 0.0 {
            return None;
        }
        Duration::try_from_secs_f64(seats as f64 / f64::from(rate)).ok()
    }

    /// How long so many seats take, as far as is known.
    pub(super) fn guess(&self, seats: u64) -> Option<Duration> {
        Duration::try_from_secs_f64(seats as f64 / self.per_second()?).ok()
    }
}
