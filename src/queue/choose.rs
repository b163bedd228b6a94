//! Who goes next?

use std::hash::Hash;
use std::time::Instant;

use super::level::Level;
use super::nodes::Ticket;
use super::queue::Queue;

/// What there is of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The limit in force.
    pub limit: u32,
    /// Seats taken.
    pub in_flight: u32,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// [Let this one go](Queue::grant).
    Go(Choice),
    /// The time of this one is over: [settle](Queue::settle) it, and ask again.
    Expired(Ticket),
}

/// One who may go now.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    pub(super) ticket: Ticket,
    pub(super) seats: u32,
    /// For whom capacity is being saved up while this one passes.
    pub(super) over: Option<Ticket>,
}

impl Choice {
    /// The seats that it takes.
    pub fn seats(&self) -> u32 {
        self.seats
    }

    /// Whose turn it is.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Room {
    /// Whether so many seats are free. A request wider than the limit runs alone.
    fn fits(self, seats: u32) -> bool {
        self.in_flight == 0 || self.in_flight.saturating_add(seats) <= self.limit
    }

    fn free(self) -> u32 {
        self.limit.saturating_sub(self.in_flight)
    }
}

/// One who is next in its lane.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    lane: u32,
    index: u32,
    seats: u32,
}

impl<W, V, K: Hash + Eq + Clone> Queue<W, V, K> {
    /// What to do next, if `room` lets anybody go. Nobody whose time is over is named to go.
    ///
    /// Each level names the one whose turn it is there, passing over keys that are at their cap. Of those goes
    /// who is most urgent, age included. If it takes more seats than are free, capacity is saved up for it: others may
    /// take what it leaves unused, but only as many seats as it wants itself, and then nobody until it goes. So capacity
    /// does not idle for long, and the wide do not starve.
    pub fn next(&mut self, now: Instant, room: Room) -> Option<Next> {
        let now = self.clock.nanos(now);
        if let Some(ticket) = self.due(now) {
            return Some(Next::Expired(ticket));
        }
        let first = self.first(now)?;
        if room.fits(first.seats) {
            return Some(Next::Go(self.choice(first, None)));
        }
        if room.free() == 0 {
            return None;
        }
        let lane = &mut self.turns[first.lane];
        lane.pin(first.index);
        let may_pass = first.seats.min(room.limit).saturating_sub(lane.passed);
        let passer = self.passer(first.lane, now, room.free().min(may_pass))?;
        Some(Next::Go(self.choice(passer, Some(self.nodes.ticket(first.index)))))
    }

    /// Anybody who waits.
    pub fn anybody(&self) -> Option<Ticket> {
        let lane = Level::ALL.into_iter().find_map(|level| self.turns.longest(level))?;
        Some(self.nodes.ticket(self.turns[lane].oldest()))
    }

    fn choice(&self, Candidate { index, seats, .. }: Candidate, over: Option<Ticket>) -> Choice {
        Choice { ticket: self.nodes.ticket(index), seats, over }
    }

    /// The first of all levels.
    ///
    /// Age is that of the one whose turn it is, not of the oldest: a key that floods makes its own waiters old, and
    /// would lift them over the fresh ones of the others on their own level. It is not lost by that: while a level is
    /// not served, its turn stays with the same one, who ages. Newest first, nobody ages; old ones are not next then.
    fn first(&mut self, now: u64) -> Option<Candidate> {
        let mut first: Option<(u64, Candidate)> = None;
        for level in self.turns.busy_levels() {
            let Some(candidate) = self.first_on(level, now) else { continue };
            let rank = self.rank(candidate.index, now);
            if first.is_none_or(|(least, _)| rank < least) {
                first = Some((rank, candidate));
            }
        }
        first.map(|(_, candidate)| candidate)
    }

    /// Whose turn it is on one level. Lanes at their key's cap are put aside until it has room, so each is met once.
    fn first_on(&mut self, level: Level, now: u64) -> Option<Candidate> {
        loop {
            let lane = self.turns.first(level)?;
            let candidate = self.next_in(lane, now);
            if self.flows[self.turns[lane].flow].has_room(candidate.seats) {
                return Some(candidate);
            }
            self.turns.park(lane);
        }
    }

    /// What decides between this waiter and one of another level.
    pub(super) fn rank(&self, index: u32, now: u64) -> u64 {
        let (lane, since) = (self.nodes[index].owner, self.nodes[index].since);
        self.turns[lane].level.rank(if self.newest_first(lane, now) { now } else { since })
    }

    fn next_in(&self, lane: u32, now: u64) -> Candidate {
        let index = self.turns[lane].next(self.newest_first(lane, now));
        Candidate { lane, index, seats: self.nodes[index].seats }
    }

    /// Somebody narrow from another lane, of the most urgent level that has one: the earliest turn among the few that
    /// come soon. A bounded look: where all of those are wide as well, capacity idles until the first of them fits.
    fn passer(&self, over: u32, now: u64, seats: u32) -> Option<Candidate> {
        if seats == 0 {
            return None;
        }
        let passes = |&(_, candidate): &(u64, Candidate)| {
            candidate.lane != over
                && candidate.seats <= seats
                && self.flows[self.turns[candidate.lane].flow].has_room(candidate.seats)
        };
        Level::ALL.into_iter().find_map(|level| {
            let soon = self.turns.soon(level).map(|(tag, lane)| (tag, self.next_in(lane, now)));
            soon.filter(passes).min_by_key(|(tag, _)| *tag).map(|(_, candidate)| candidate)
        })
    }
}
