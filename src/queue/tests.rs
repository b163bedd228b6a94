use std::time::{Duration, Instant};

use super::*;

mod basics;
mod drain_rate;
mod invariants;
mod keys;
mod levels;
mod model;
mod orders;
mod simulation;
mod upcoming;
mod wide;

/// A queue whose waiters are numbers, and a made-up clock. Room for so many seats, of which it keeps count.
struct Bench {
    queue: Queue<u32, (), &'static str>,
    start: Instant,
    now: Instant,
    room: Room,
}

/// What there is to say about a waiter beside its number.
#[derive(Clone, Copy)]
struct Like {
    key: Option<&'static str>,
    level: Level,
    seats: u32,
    timeout: Duration,
}

const PLAIN: Like = Like { key: None, level: Level::Normal, seats: 1, timeout: Duration::from_secs(3600) };

fn of(key: &'static str) -> Like {
    Like { key: Some(key), ..PLAIN }
}

impl Bench {
    fn new() -> Self {
        Bench::with_rules(Rules::default())
    }

    fn with_rules(rules: Rules<&'static str>) -> Self {
        let start = Instant::now();
        Bench { queue: Queue::new(rules), start, now: start, room: Room { limit: 1, in_flight: 0 } }
    }

    fn with_order(order: Order) -> Self {
        let mut bench = Bench::new();
        bench.queue.set_order(order);
        bench
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn push(&mut self, waker: u32, like: Like) -> Ticket {
        let Like { key, level, seats, timeout } = like;
        let (since, deadline) = (self.now, self.now + timeout);
        self.queue.push(self.now, Waiter { waker, tag: 0, key: key.as_ref(), level, seats, since, deadline })
    }

    /// Lets one go, if there is room; its seats count until [`end`](Bench::end).
    fn go(&mut self) -> Option<u32> {
        match self.queue.next(self.now, self.room)? {
            Next::Expired(ticket) => panic!("{ticket:?} has expired"),
            Next::Go(choice) => {
                self.room.in_flight += choice.seats();
                let ticket = choice.ticket();
                let waker = self.queue.grant(choice, ());
                assert!(self.queue.counted(ticket).is_none(), "capped keys need more than this");
                self.queue.remove(ticket);
                waker
            }
        }
    }

    fn end(&mut self, seats: u32) {
        self.room.in_flight -= seats;
    }

    /// Lets all go, one at a time.
    fn drain(&mut self) -> Vec<u32> {
        self.room = Room { limit: 1, in_flight: 0 };
        let mut order = Vec::new();
        while let Some(waker) = self.go() {
            order.push(waker);
            self.room.in_flight = 0;
        }
        order
    }

    /// Has the queue drop whoever gives way to a newcomer, if one may come at all.
    fn offer(&mut self, waker: u32, like: Like, capacity: u32) -> Result<Option<(u32, Why)>, Why> {
        let gone = match self.queue.room_for(self.now, like.key.as_ref(), like.level, capacity) {
            Entry::Free => None,
            Entry::InPlaceOf(ticket, why) => {
                let waker = self.queue.settle(ticket, ()).expect("who gives way was waiting");
                self.queue.remove(ticket);
                Some((waker, why))
            }
            Entry::Refused(why) => return Err(why),
        };
        self.push(waker, like);
        Ok(gone)
    }
}
