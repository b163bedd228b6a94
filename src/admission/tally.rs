//! Permits that are out, counted a second time: where they are made and where they come back, by whoever does it.
//!
//! The word is what counts. This is what it is checked against, so it shares nothing with it. Each thread counts in a
//! place of its own, with a plain store; threads beyond the places share one.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Mutex, PoisonError};

/// All in seats.
#[derive(Debug, Default)]
pub(super) struct Tally {
    places: [Place; OWN + 1],
    /// Granted to waiters who have not come for them yet. Only changed under the gate's lock.
    granted: AtomicU64,
    /// What was unaccounted for at the ends of the last two seconds.
    before: Mutex<[i64; 2]>,
}

/// On cache lines that no other thread writes to: two, since they are fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place {
    given: AtomicU64,
    back: AtomicU64,
}

/// What has been counted between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sums {
    given: u64,
    back: u64,
    granted: u64,
}

/// How many threads have places of their own; the last place is for all others.
const OWN: usize = 15;
/// How often one looks again who finds a difference: it may be of a permit on its way.
const TRIES: usize = 64;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn place() -> usize {
    match PLACE.get() {
        usize::MAX => {
            let place = THREADS.fetch_add(1, Relaxed).min(OWN);
            PLACE.set(place);
            place
        }
        place => place,
    }
}

impl Tally {
    /// A permit of so many seats has been made; the word counts them already.
    #[inline]
    pub(super) fn gave(&self, seats: u64) {
        self.add(|place| &place.given, seats);
    }

    /// A permit of so many seats comes back; the word still counts them.
    #[inline]
    pub(super) fn got_back(&self, seats: u64) {
        self.add(|place| &place.back, seats);
    }

    #[inline]
    fn add(&self, count: impl Fn(&Place) -> &AtomicU64, seats: u64) {
        let at = place();
        let count = count(&self.places[at]);
        if at < OWN {
            // Nobody else writes here.
            count.store(count.load(Relaxed).wrapping_add(seats), Release);
        } else {
            count.fetch_add(seats, Release);
        }
    }

    /// A waiter has been granted so many. To be called under the gate's lock, as the next.
    pub(super) fn granted(&self, seats: u32) {
        self.granted.store(self.granted.load(Relaxed).wrapping_add(u64::from(seats)), Release);
    }

    /// It has come for them, or left without them.
    pub(super) fn collected(&self, seats: u32) {
        self.granted.store(self.granted.load(Relaxed).wrapping_sub(u64::from(seats)), Release);
    }

    /// Seats that are in flight by the word and for which there is no permit; negative for permits that the word does not
    /// count. Of a difference that changes while one looks, the least.
    pub(super) fn difference(&self, in_flight: impl Fn() -> u32) -> i64 {
        let mut least = i64::MAX;
        for _ in 0..TRIES {
            let before = self.sums();
            let word = i64::from(in_flight());
            let after = self.sums();
            // So many are out at the least, and at the most, when the word is read.
            let fewest = before.given.wrapping_sub(after.back) as i64 + before.granted.min(after.granted) as i64;
            let most = after.given.wrapping_sub(before.back) as i64 + before.granted.max(after.granted) as i64;
            let difference = word - word.clamp(fewest, most.max(fewest));
            least = nearer(least, difference);
            if least == 0 {
                break;
            }
        }
        least
    }

    /// Ends a second.
    pub(super) fn end_second(&self, in_flight: impl Fn() -> u32) {
        let difference = self.difference(in_flight);
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        *before = [before[1], difference];
    }

    /// What is unaccounted for, and has been for a second at least: a thread that has been put to sleep between the two
    /// counts of a permit is no fault.
    pub(super) fn unaccounted(&self, in_flight: impl Fn() -> u32) -> i64 {
        let before = *self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.into_iter().fold(self.difference(in_flight), standing)
    }

    fn sums(&self) -> Sums {
        // What has come back is read first on the way in: one that is given and comes back meanwhile is in flight at most.
        let sum = |count: fn(&Place) -> &AtomicU64| {
            self.places.iter().fold(0_u64, |sum, place| sum.wrapping_add(count(place).load(Acquire)))
        };
        Sums { back: sum(|place| &place.back), given: sum(|place| &place.given), granted: self.granted.load(Acquire) }
    }
}

/// The one that is nearer to nothing.
fn nearer(one: i64, other: i64) -> i64 {
    if other.unsigned_abs() < one.unsigned_abs() { other } else { one }
}

/// What is in both.
fn standing(one: i64, other: i64) -> i64 {
    if one.signum() == other.signum() { nearer(one, other) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_unaccounted_for_is_told() {
        let tally = Tally::default();
        tally.gave(3);
        tally.granted(2);
        assert_eq!((tally.difference(|| 5), tally.difference(|| 6), tally.difference(|| 4)), (0, 1, -1));
        assert_eq!(tally.unaccounted(|| 6), 0, "it may be on its way");
        tally.end_second(|| 6);
        assert_eq!(tally.unaccounted(|| 6), 0);
        tally.end_second(|| 7);
        assert_eq!(tally.unaccounted(|| 8), 1);
        tally.end_second(|| 4);
        assert_eq!(tally.unaccounted(|| 4), 0, "it is another one");
        tally.collected(2);
        tally.got_back(3);
        assert_eq!(tally.difference(|| 0), 0);
    }

    #[test]
    fn what_many_threads_count_is_added_up() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..OWN + 5 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        tally.gave(2);
                        tally.got_back(1);
                    }
                });
            }
        });
        assert_eq!(tally.difference(|| (OWN as u32 + 5) * 1000), 0);
    }
}
