//! The limit and what is in flight, in one atomic word.

use super::atomic::{AtomicU64, Ordering};
use crate::queue::Room;

/// `[come back: 4 | limit: 24 | flags: 12 | in-flight: 24]`, all but the flags in seats.
///
/// What has come back is counted here to its lowest bits, so that a permit that comes back is one change of one word: every
/// sixteenth [carries](Released::carried) the rest elsewhere.
///
/// In-flight is counted, not what is left: lowering the limit below it is the same compare-and-swap as raising it, and
/// leaves no debt behind. Everybody changes this one word, so either a release sees the waiting flag or the one who set
/// it sees the release; no wake-up is lost between them.
#[derive(Debug)]
pub(super) struct Word(AtomicU64);

/// The word at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading(u64);

/// What a permit that has come back has found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Released {
    /// Whether somebody may be waiting for its seats.
    pub(super) somebody_waits: bool,
    /// How many seats came back that the word does not count any more: mostly none.
    pub(super) carried: u64,
    /// Whether the limit was full until now.
    pub(super) was_full: bool,
}

/// Beside the number: how it is to be taken. Flags of the word, so that nobody has to look anywhere else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode(u64);

const IN_FLIGHT: u64 = (1 << 24) - 1;
const WAITING: u64 = 1 << 24;
const CLOSED: u64 = 1 << 25;
const LIMIT_SHIFT: u32 = 36;
const LIMIT: u64 = IN_FLIGHT << LIMIT_SHIFT;
const BACK_SHIFT: u32 = 60;
const BACK: u64 = (1 << (u64::BITS - BACK_SHIFT)) - 1;

impl Mode {
    /// Requests are counted by key: nobody passes without the lock.
    pub(super) const CAPPED: Mode = Mode(1 << 26);
    /// Everybody passes, and is only counted.
    pub(super) const DRY_RUN: Mode = Mode(1 << 27);
    /// Who waits has a key.
    pub(super) const KEYED: Mode = Mode(1 << 28);
    /// The newest may go before the oldest.
    pub(super) const NEWEST_FIRST: Mode = Mode(1 << 29);
    /// The wait is judged on arrival.
    pub(super) const JUDGED: Mode = Mode(1 << 30);
    /// Permits come back with the head of the response.
    pub(super) const HEAD: Mode = Mode(1 << 31);
}

impl Reading {
    pub(super) fn limit(self) -> u32 {
        ((self.0 & LIMIT) >> LIMIT_SHIFT) as u32
    }

    pub(super) fn in_flight(self) -> u32 {
        (self.0 & IN_FLIGHT) as u32
    }

    /// Whether no permit is free, however narrow.
    pub(super) fn is_full(self) -> bool {
        self.in_flight() >= self.limit()
    }

    /// Both, for the queue.
    pub(super) fn room(self) -> Room {
        Room { limit: self.limit(), in_flight: self.in_flight() }
    }

    pub(super) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    pub(super) fn is(self, mode: Mode) -> bool {
        self.0 & mode.0 != 0
    }

    /// The lowest bits of how many seats have come back.
    pub(super) fn come_back(self) -> u64 {
        self.0 >> BACK_SHIFT
    }

    /// Whether so many seats are free. Who takes more than the limit goes alone.
    pub(super) fn fits(self, seats: u32) -> bool {
        let in_flight = self.0 & IN_FLIGHT;
        in_flight == 0 || in_flight + u64::from(seats) <= (self.0 & LIMIT) >> LIMIT_SHIFT
    }
}

impl Word {
    pub(super) fn new(limit: u32) -> Self {
        Word(AtomicU64::new(u64::from(limit) << LIMIT_SHIFT))
    }

    /// Takes seats, at most 2^24 - 1, unless too few are free, somebody waits, or the gate's mode or end stands against
    /// it. Returns how it is then.
    #[inline]
    pub(super) fn try_acquire(&self, seats: u32) -> Option<Reading> {
        self.acquire_unless(WAITING | CLOSED | Mode::CAPPED.0 | Mode::DRY_RUN.0, seats)
    }

    /// Takes seats for the one whose turn it is: only the limit counts.
    pub(super) fn try_acquire_for_waiter(&self, seats: u32) -> Option<Reading> {
        self.acquire_unless(0, seats)
    }

    #[inline]
    fn acquire_unless(&self, flags: u64, seats: u32) -> Option<Reading> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & flags != 0 || !Reading(word).fits(seats) {
                return None;
            }
            let taken = word + u64::from(seats);
            match self.0.compare_exchange_weak(word, taken, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(Reading(taken)),
                Err(current) => word = current,
            }
        }
    }

    /// Takes seats whatever the limit, as many of them as can be counted. Returns how many, and how it was before.
    pub(super) fn force(&self, seats: u32) -> (u32, Reading) {
        let counted = |word: u64| u64::from(seats).min(IN_FLIGHT - (word & IN_FLIGHT));
        let before = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| Some(word + counted(word)))
            .expect("the update never declines");
        (counted(before) as u32, Reading(before))
    }

    /// Gives seats back, and counts them as come back.
    #[inline]
    pub(super) fn release(&self, seats: u32) -> Released {
        let seats = u64::from(seats);
        // What the count at the top has no bits for falls out there; what is taken at the bottom was in it.
        let before = self.0.fetch_add((seats << BACK_SHIFT).wrapping_sub(seats), Ordering::AcqRel);
        debug_assert!(before & IN_FLIGHT >= seats, "a permit came back twice");
        Released {
            somebody_waits: before & WAITING != 0,
            carried: ((before >> BACK_SHIFT) + seats) & !BACK,
            was_full: Reading(before).is_full(),
        }
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

    pub(super) fn set_limit(&self, limit: u32) {
        let limit = u64::from(limit) << LIMIT_SHIFT;
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| Some(word & !LIMIT | limit))
            .expect("the update never declines");
    }

    /// Changes one thing about how it is to be taken.
    pub(super) fn set(&self, mode: Mode, holds: bool) {
        match holds {
            true => self.0.fetch_or(mode.0, Ordering::AcqRel),
            false => self.0.fetch_and(!mode.0, Ordering::AcqRel),
        };
    }

    pub(super) fn read(&self) -> Reading {
        Reading(self.0.load(Ordering::Acquire))
    }

    /// Takes its turn among those who change it: whoever does so later sees all that was done before this.
    pub(super) fn read_in_turn(&self) -> Reading {
        Reading(self.0.fetch_or(0, Ordering::AcqRel))
    }
}
