//! Who goes next?

use std::hash::Hash;
use std::time::Instant;

use super::level::Level;
use super::nodes::Ticket;
use super::order::Order;
use super::queue::Queue;
use super::saving::is_saved_up;

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
    /// Whether those who stand behind it are overtaken by it.
    pub(super) overtakes: bool,
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
    /// take what it leaves unused, but only as many seats as it wants itself, and then nobody until it goes, or until
    /// enough has been saved up in vain (`saving.rs`). So capacity does not idle for long, and the wide do not starve.
    pub fn next(&mut self, now: Instant, room: Room) -> Option<Next> {
        let now = self.clock.nanos(now);
        if let Some(ticket) = self.due(now) {
            return Some(Next::Expired(ticket));
        }
        let first = self.first(now)?;
        if room.fits(first.seats) {
            return Some(Next::Go(self.choice(first, None, now)));
        }
        if room.free() == 0 {
            return None;
        }
        let lane = &mut self.turns[first.lane];
        lane.pin(first.index, now);
        if !is_saved_up(lane.pinned_since, now) {
            let passer = self.passer(None, now, room.free())?;
            return Some(Next::Go(self.choice(passer, None, now)));
        }
        let may_pass = first.seats.min(room.limit).saturating_sub(lane.passed);
        let passer = self.passer(Some(first.lane), now, room.free().min(may_pass))?;
        Some(Next::Go(self.choice(passer, Some(self.nodes.ticket(first.index)), now)))
    }

    /// Anybody who waits.
    pub fn anybody(&self) -> Option<Ticket> {
        let lane = Level::ALL.into_iter().find_map(|level| self.turns.longest(level))?;
        Some(self.nodes.ticket(self.turns[lane].oldest()))
    }

    fn choice(&self, Candidate { lane, index, seats }: Candidate, over: Option<Ticket>, now: u64) -> Choice {
        let overtakes = self.order.overtakes(self.turns[lane].stood_since, now);
        Choice { ticket: self.nodes.ticket(index), seats, over, overtakes }
    }

    /// The first of all levels.
    ///
    /// Age is that of the one whose turn it is, not of the oldest: a key that floods makes its own waiters old, and
    /// would lift them over the fresh ones of the others on their own level. It is not lost by that: while a level is
    /// not served, its turn stays with the same one, who ages.
    fn first(&mut self, now: u64) -> Option<Candidate> {
        let mut first: Option<(u64, Candidate)> = None;
        for level in self.turns.busy_levels() {
            let Some(candidate) = self.first_on(level, now) else { continue };
            let rank = self.rank(candidate.index);
            if first.is_none_or(|(least, _)| rank < least) {
                first = Some((rank, candidate));
            }
        }
        let (rank, first) = first?;
        Some(self.risen_above(first, rank, now).unwrap_or(first))
    }

    /// Newest first, the one whose turn it is on a level is never old. So the oldest of that lane is asked as well: it
    /// goes, in place of the newest, where it has risen above whoever would be first of all levels.
    fn risen_above(&self, first: Candidate, rank: u64, now: u64) -> Option<Candidate> {
        if self.order == Order::Fifo {
            return None;
        }
        let its_level = self.turns[first.lane].level;
        let others = self.turns.busy_levels().filter(|level| *level != its_level);
        let oldest = others.filter_map(|level| {
            let lane = self.turns.first(level)?;
            let index = self.turns[lane].oldest();
            let seats = self.nodes[index].seats;
            let stands_back = self.newest_first(lane, now) && !self.turns[lane].is_pinned();
            let has_room = self.flows[self.turns[lane].flow].has_room(seats);
            (stands_back && has_room).then_some(Candidate { lane, index, seats })
        });
        let (oldest_rank, oldest) =
            oldest.map(|candidate| (self.rank(candidate.index), candidate)).min_by_key(|(rank, _)| *rank)?;
        (oldest_rank < rank).then_some(oldest)
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
    pub(super) fn rank(&self, index: u32) -> u64 {
        self.turns[self.nodes[index].owner].level.rank(self.nodes[index].since)
    }

    fn next_in(&self, lane: u32, now: u64) -> Candidate {
        let index = self.turns[lane].next(self.newest_first(lane, now));
        Candidate { lane, index, seats: self.nodes[index].seats }
    }

    /// Somebody narrow from another lane than `over`, of the most urgent level that has one: the earliest turn among the
    /// few that come soon. A bounded look: where all of those are wide as well, capacity idles until the first of them
    /// fits. Where no lane is passed over, those count whom nothing is saved up for.
    fn passer(&self, over: Option<u32>, now: u64, seats: u32) -> Option<Candidate> {
        if seats == 0 {
            return None;
        }
        let passes = |&(_, candidate): &(u64, Candidate)| {
            Some(candidate.lane) != over
                && candidate.seats <= seats
                && self.flows[self.turns[candidate.lane].flow].has_room(candidate.seats)
        };
        Level::ALL.into_iter().find_map(|level| {
            let soon = self.turns.soon(level).filter_map(|(tag, lane)| {
                if over.is_some() {
                    return Some((tag, self.next_in(lane, now)));
                }
                let index = self.turns[lane].passer(self.newest_first(lane, now), seats, &self.nodes)?;
                Some((tag, Candidate { lane, index, seats: self.nodes[index].seats }))
            });
            soon.filter(passes).min_by_key(|(tag, _)| *tag).map(|(_, candidate)| candidate)
        })
    }
}
