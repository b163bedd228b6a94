//! What an endpoint has to do, and whether it gets more.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::pause::Pause;

/// The counts of one endpoint. They outlive its connections, which a new configuration may have made anew.
#[derive(Debug, Default)]
pub(super) struct Load {
    in_flight: AtomicU32,
    /// `[given back: 32 | taken: 32]`: how many of them have a slot, and how often one was given back.
    slots: AtomicU64,
    /// How often it has failed since it last answered.
    failures: AtomicU32,
    /// How often it has answered.
    answers: AtomicU64,
    /// How often it has not, or not with an answer.
    errors: AtomicU64,
    /// How long its answers take to begin, in microseconds: a mean in which the last sixteen weigh most.
    latency: AtomicU64,
    /// Why it gets no new requests, one bit for each reason.
    out: AtomicU8,
    /// Until when it is paused.
    pub(super) pause: Pause,
}

/// A reason for which an endpoint gets no new requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Out {
    /// It is not among the upstream's endpoints any more.
    Leaving = 1,
    /// It has failed too often.
    Ejected = 2,
    /// Nobody knows where it is.
    Unresolved = 4,
    /// It has failed its health checks.
    Down = 8,
    /// An operator has said so.
    Drained = 16,
    /// It has asked for a pause.
    Paused = 32,
}

impl Out {
    /// What says most comes first.
    const ALL: [(Out, &'static str); 6] = [
        (Out::Leaving, "leaving"),
        (Out::Drained, "drained"),
        (Out::Unresolved, "unresolved"),
        (Out::Down, "down"),
        (Out::Ejected, "ejected"),
        (Out::Paused, "paused"),
    ];

    /// Each state, and how a sentence has it.
    pub(super) const WORDS: [(&'static str, &'static str); 6] = [
        ("drained", "drained by hand"),
        ("ejected", "ejected"),
        ("down", "down"),
        ("unresolved", "without an address"),
        ("paused", "paused"),
        ("leaving", "leaving"),
    ];
}

/// A day: sixteen of them are far from what 64 bits hold.
const MOST_MICROS: u128 = 24 * 3600 * 1_000_000;

/// What an endpoint is called that gets new requests.
pub(super) const UP: &str = "up";

impl Load {
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn taken(&self) -> u32 {
        self.slots.load(Ordering::SeqCst) as u32
    }

    /// How often a slot was given back, modulo 2^32. Whoever finds no slot anywhere, and the same number before and after
    /// having looked, knows that there was none at that moment.
    pub(super) fn given_back(&self) -> u64 {
        self.slots.load(Ordering::SeqCst) >> 32
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Another failure. How many there have been since the last answer.
    pub(super) fn failed(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// An answer has begun after so long.
    pub(super) fn answered_after(&self, time: Duration) {
        self.answered();
        let sample = time.as_micros().clamp(1, MOST_MICROS) as u64;
        let before = self.latency.load(Ordering::Relaxed);
        // Two at once may overwrite each other: one sample is lost, which a mean does not mind.
        let mean = if before == 0 { sample } else { (before * 15 + sample).div_ceil(16) };
        self.latency.store(mean, Ordering::Relaxed);
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// There was no answer, or none that can be passed on.
    pub(super) fn erred(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// How long its answers take to begin, if there was one.
    pub(super) fn latency(&self) -> Option<Duration> {
        let micros = self.latency.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    pub(super) fn answered(&self) {
        // Written only where there is something to forget: every answer comes by here.
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Takes one of `slots`, if one is free.
    pub(super) fn take_slot(&self, slots: NonZeroU32) -> bool {
        let more = |word: u64| ((word as u32) < slots.get()).then_some(word + 1);
        self.slots.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// Takes one more than there are.
    pub(super) fn force_slot(&self) {
        self.slots.fetch_add(1, Ordering::SeqCst);
    }

    /// Gives a slot back. Whether somebody has to be told.
    ///
    /// Whoever takes the endpoint out sets the bit and then reads the count; this changes the count and then reads the bit.
    /// One of the two sees what the other has done, so the sum of the slots is never told with this one in it for good.
    #[must_use]
    pub(super) fn give_back_slot(&self) -> bool {
        // One less below, one more above; above it may wrap.
        self.slots.fetch_add((1 << 32) - 1, Ordering::SeqCst);
        self.is_out()
    }

    pub(super) fn is_out(&self) -> bool {
        self.out.load(Ordering::SeqCst) != 0
    }

    /// Whether this is one of the reasons.
    pub(super) fn is(&self, why: Out) -> bool {
        self.out.load(Ordering::SeqCst) & why as u8 != 0
    }

    /// Whether this is the one reason.
    pub(super) fn is_only(&self, why: Out) -> bool {
        self.out.load(Ordering::SeqCst) == why as u8
    }

    /// Whether there is a reason beside this one.
    pub(super) fn is_out_but_for(&self, why: Out) -> bool {
        self.out.load(Ordering::SeqCst) & !(why as u8) != 0
    }

    /// Whether it has changed. Whoever is not among those who hold the lock of the members tells them.
    pub(super) fn set(&self, why: Out, out: bool) -> bool {
        let bit = why as u8;
        let before =
            if out { self.out.fetch_or(bit, Ordering::SeqCst) } else { self.out.fetch_and(!bit, Ordering::SeqCst) };
        (before & bit != 0) != out
    }

    /// `up`, or the first of the reasons why it gets nothing.
    pub(super) fn state(&self) -> &'static str {
        let out = self.out.load(Ordering::SeqCst);
        Out::ALL.iter().find(|(why, _)| out & *why as u8 != 0).map_or(UP, |(_, word)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_what_the_last_answers_took() {
        let load = Load::default();
        assert_eq!(load.latency(), None);
        load.answered_after(Duration::from_millis(100));
        assert_eq!(load.latency(), Some(Duration::from_millis(100)));
        for _ in 0..100 {
            load.answered_after(Duration::from_millis(10));
        }
        let now = load.latency().unwrap();
        assert!((Duration::from_millis(10)..Duration::from_millis(11)).contains(&now), "{now:?}");
        for _ in 0..100 {
            load.answered_after(Duration::MAX);
        }
        assert!(load.latency().unwrap() > Duration::from_secs(3600));
        assert_eq!((load.answers(), load.errors()), (201, 0));
    }
}
