//! The gate's word under all interleavings of a few threads, with loom.
//!
//! The word is the shipped one (`src/admission/word.rs`), as are what adds up the time at the limit, the maximum of each second and sums that belong together, on loom's atomics. The line behind the lock is a small one that
//! follows the same steps: set the flag, look again, join; hand over under the lock; publish before unlocking.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use loom::model::Builder;
use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread;

use full::Fullness;
use peak::Peak;
use sums::Sums;
use word::Word;

#[allow(dead_code, reason = "not all that the word can do plays a part here")]
#[path = "../src/admission/word.rs"]
mod word;

#[path = "../src/admission/full.rs"]
mod full;

#[allow(dead_code, reason = "nobody asks for the last minute here")]
#[path = "../src/admission/peak.rs"]
mod peak;

#[allow(dead_code, reason = "who looks once sees all that there is to see")]
#[path = "../src/admission/sums.rs"]
mod sums;

/// What stands beside the word in the crate.
mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

/// What stands above it.
mod queue {
    #[allow(dead_code, reason = "nobody looks into it here")]
    pub(super) struct Room {
        pub(super) limit: u32,
        pub(super) in_flight: u32,
    }
}

struct Gate {
    word: Word,
    line: Mutex<Line>,
    /// Seats of those inside. Not loom's: only looked at.
    inside: AtomicU32,
    /// The highest limit that there has been.
    most: u32,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<(usize, u32)>,
    granted: Vec<usize>,
    tickets: usize,
}

enum Entry {
    Inside,
    Waiting(usize),
}

impl Gate {
    fn new(limit: u32, most: u32) -> Arc<Self> {
        Arc::new(Gate { word: Word::new(limit), line: Mutex::default(), inside: AtomicU32::new(0), most })
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap()
    }

    fn enter(&self, seats: u32) {
        let inside = self.inside.fetch_add(seats, Ordering::SeqCst) + seats;
        assert!(inside <= self.most || inside == seats, "{inside} inside");
    }

    fn acquire(&self, seats: u32) -> Entry {
        if self.word.try_acquire(seats).is_some() {
            self.enter(seats);
            return Entry::Inside;
        }
        let mut line = self.lock();
        self.word.set_waiting();
        if line.waiting.is_empty() && self.word.try_acquire_for_waiter(seats).is_some() {
            self.publish(&line);
            self.enter(seats);
            return Entry::Inside;
        }
        line.tickets += 1;
        let ticket = line.tickets;
        line.waiting.push_back((ticket, seats));
        self.publish(&line);
        Entry::Waiting(ticket)
    }

    fn release(&self, seats: u32) {
        self.inside.fetch_sub(seats, Ordering::SeqCst);
        if self.word.release(seats).somebody_waits {
            self.hand_over(&mut self.lock());
        }
    }

    fn hand_over(&self, line: &mut Line) {
        while let Some(&(ticket, seats)) = line.waiting.front()
            && self.word.read().fits(seats)
            && self.word.try_acquire_for_waiter(seats).is_some()
        {
            self.enter(seats);
            line.waiting.pop_front();
            line.granted.push(ticket);
        }
        self.publish(line);
    }

    fn publish(&self, line: &Line) {
        if line.waiting.is_empty() {
            self.word.clear_waiting();
        }
    }

    fn set_limit(&self, limit: u32) {
        self.word.set_limit(limit);
        self.hand_over(&mut self.lock());
    }

    /// Leaves, whatever has come of it.
    fn leave(&self, entry: Entry, seats: u32) {
        let Entry::Waiting(ticket) = entry else { return self.release(seats) };
        let granted = {
            let mut line = self.lock();
            line.waiting.retain(|(waiting, _)| *waiting != ticket);
            self.hand_over(&mut line);
            line.granted.contains(&ticket)
        };
        if granted {
            self.release(seats);
        }
    }

    /// Nobody does anything any more: whoever fits is inside, and when all have left, everything is back.
    fn rest(&self, waiting: Vec<(Entry, u32)>) {
        {
            let line = self.lock();
            if let Some((_, seats)) = line.waiting.front() {
                assert!(!self.word.read().fits(*seats), "somebody waits for what is free");
            }
        }
        let (mut left, mut unsettled) = (waiting.len(), waiting);
        while left > 0 {
            let (inside, outside): (Vec<_>, Vec<_>) = unsettled.into_iter().partition(|(entry, _)| match entry {
                Entry::Inside => true,
                Entry::Waiting(ticket) => self.lock().granted.contains(ticket),
            });
            assert!(!inside.is_empty(), "{left} wait for nobody");
            inside.iter().for_each(|(_, seats)| self.release(*seats));
            (left, unsettled) = (outside.len(), outside);
        }
        assert_eq!(self.word.read().in_flight(), 0);
        assert!(self.word.try_acquire(1).is_some(), "the flag was left behind");
    }
}

/// What one thread does, and what it has in the end.
type Story = fn(&Gate) -> Option<(Entry, u32)>;

/// Runs the stories of several threads at the same time.
fn tell(gate: impl Fn() -> Arc<Gate> + Send + Sync + 'static, stories: &'static [Story]) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let gate = gate();
        let threads: Vec<_> = stories
            .iter()
            .map(|story| {
                let gate = gate.clone();
                thread::spawn(move || story(&gate))
            })
            .collect();
        let left = threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
        gate.rest(left);
    });
}

/// A gate with one seat taken.
fn taken(limit: u32, most: u32) -> Arc<Gate> {
    let gate = Gate::new(limit, most);
    assert!(matches!(gate.acquire(1), Entry::Inside));
    gate
}

#[test]
fn a_release_and_two_arrivals_lose_no_wake_up() {
    tell(
        || taken(1, 1),
        &[
            |gate| {
                gate.release(1);
                None
            },
            |gate| Some((gate.acquire(1), 1)),
            |gate| Some((gate.acquire(1), 1)),
        ],
    );
}

#[test]
fn one_that_leaves_passes_on_what_it_was_granted() {
    tell(
        || taken(1, 1),
        &[
            |gate| {
                gate.release(1);
                None
            },
            |gate| {
                let entry = gate.acquire(1);
                gate.leave(entry, 1);
                None
            },
            |gate| Some((gate.acquire(1), 1)),
        ],
    );
}

#[test]
fn a_limit_that_is_raised_and_one_that_is_lowered_hold_and_lose_nobody() {
    tell(
        || taken(1, 2),
        &[
            |gate| {
                gate.set_limit(2);
                None
            },
            |gate| Some((gate.acquire(1), 1)),
            |gate| {
                gate.release(1);
                None
            },
        ],
    );
    tell(
        || taken(2, 2),
        &[
            |gate| {
                gate.set_limit(1);
                None
            },
            |gate| Some((gate.acquire(1), 1)),
            |gate| {
                gate.release(1);
                Some((gate.acquire(1), 1))
            },
        ],
    );
}

#[test]
fn the_wide_and_the_narrow_get_their_seats() {
    tell(
        || taken(2, 2),
        &[
            |gate| {
                gate.release(1);
                None
            },
            |gate| Some((gate.acquire(2), 2)),
            |gate| {
                let entry = gate.acquire(1);
                gate.leave(entry, 1);
                None
            },
        ],
    );
}

/// What is noted of the time at the limit agrees with the word once nobody changes it any more.
#[test]
fn who_makes_it_full_and_who_makes_room_agree_in_the_end() {
    struct Limit {
        word: Word,
        full: Fullness,
    }
    impl Limit {
        fn agree(&self) {
            self.full.agree(|| self.word.read().is_full(), || 0);
        }

        fn come_and_go(&self) {
            if let Some(word) = self.word.try_acquire(1) {
                if word.is_full() {
                    self.agree();
                }
                if self.word.release(1).was_full {
                    self.agree();
                }
            }
        }
    }
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let limit = Arc::new(Limit { word: Word::new(1), full: Fullness::default() });
        let other = limit.clone();
        let comes = thread::spawn(move || other.come_and_go());
        let other = limit.clone();
        let stays = thread::spawn(move || {
            let word = other.word.try_acquire(1);
            if word.is_some_and(|word| word.is_full()) {
                other.agree();
            }
            other.word.set_limit(2);
            other.agree();
            word.is_some()
        });
        limit.come_and_go();
        comes.join().unwrap();
        let stayed = stays.join().unwrap();
        assert_eq!(limit.word.read().in_flight(), u32::from(stayed));
        let told = |at: u64| limit.full.read(move || at);
        // With a limit of two, it is over: the time stands still.
        assert_eq!(told(1000), told(2000));
        limit.word.set_limit(1);
        limit.agree();
        let (then, later) = (told(3000), told(4000));
        assert_eq!(later > then, stayed);
    });
}

/// Each maximum is of the second in which it was, or of the next one, and who stays is in the next one in any case.
#[test]
fn a_maximum_at_the_turn_of_a_second_is_not_lost() {
    struct Limit {
        word: Word,
        peak: Peak,
    }
    impl Limit {
        fn come(&self) -> u64 {
            let in_flight = self.word.try_acquire(1).map_or(0, |word| u64::from(word.in_flight()));
            self.peak.rise(in_flight);
            in_flight
        }

        fn end_second(&self) -> u64 {
            self.peak.end_second(Instant::now(), || u64::from(self.word.read_in_turn().in_flight()))
        }
    }
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let limit = Arc::new(Limit { word: Word::new(9), peak: Peak::default() });
        // The first second has a record that the two don't break.
        limit.come();
        limit.come();
        limit.word.release(2);
        let other = limit.clone();
        let stays = thread::spawn(move || other.come());
        let other = limit.clone();
        let goes = thread::spawn(move || {
            let seen = other.come();
            other.word.release(1);
            seen
        });
        let first = limit.end_second();
        let seen = stays.join().unwrap().max(goes.join().unwrap());
        let second = limit.end_second();
        assert!(first == 2 && first.max(second) >= seen, "{first}, {second}: {seen} were seen");
        assert!((1..=2).contains(&second), "one is still there, and {second} was the most");
    });
}

#[test]
fn sums_are_read_as_they_were_at_one_moment() {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let sums = Arc::new(Sums::default());
        let adds = |first: i64, second: u64| {
            let sums = sums.clone();
            thread::spawn(move || sums.add(first, second))
        };
        let threads = [adds(-1, 10), adds(-1, 10)];
        if let Some((count, first, second)) = sums.look() {
            assert_eq!((first, second), (-(count as i64), count * 10));
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(sums.look(), Some((2, -2, 20)));
    });
}
