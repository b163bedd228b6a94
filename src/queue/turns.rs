//! Whose turn is it?

use super::flows::SHARED;
use super::heap::Heap;
use super::lane::{Lane, Status};
use super::level::Level;
use super::nodes::NONE;
use super::pool::Pool;

/// All lanes, taking turns on each level by start-time fair queueing (Goyal, Vin and Cheng 1996).
///
/// A lane has a tag, the virtual time of its next turn: virtual now when it becomes active, and `seats / weight` later
/// after each turn. The smallest tag goes first. So a lane is charged for the seats that it takes, one that comes back
/// has saved nothing up and, unless it was served just now, owes nothing.
#[derive(Debug, Default)]
pub(super) struct Turns {
    lanes: Pool<Lane>,
    levels: [Round; Level::ALL.len()],
    /// A bit for each level that has active lanes.
    busy: u8,
    /// The lane that had its turn last, while it exists.
    pub(super) served: Option<u32>,
}

/// The turns of one level.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// By tag; equal ones in the order in which they got it.
    active: Heap<(u64, u64)>,
    owing: Heap<u64>,
    /// All that are not empty, the longest for its weight first.
    longest: Heap<u64>,
    now: u64,
    latest: u64,
    serial: u64,
    /// Of the active.
    pub(super) weight: u64,
    /// Who waits in active lanes, and for how many seats.
    pub(super) active_waiting: u32,
    pub(super) active_seats: u64,
    /// The same in all of them.
    pub(super) waiting: u32,
    pub(super) seats: u64,
}

/// One seat at weight 1. Time wraps after 2^48 seats: nine years at a million a second.
const SEAT: u64 = 1 << 16;

impl Turns {
    /// An empty lane.
    pub(super) fn open(&mut self, flow: u32, level: Level, weight: u32) -> u32 {
        self.lanes.insert(Lane::new(flow, level, weight))
    }

    /// Keeps what is known about a level at one glance.
    fn note(&mut self, level: Level) {
        let bit = 1 << level as u8;
        match self.levels[level as usize].active.first() {
            Some(_) => self.busy |= bit,
            None => self.busy &= !bit,
        }
    }

    /// Somebody has joined a lane.
    pub(super) fn joined(&mut self, lane: u32, seats: u32) {
        let round = &mut self.levels[self.lanes[lane].level as usize];
        round.waiting += 1;
        round.seats += u64::from(seats);
        match self.lanes[lane].status {
            Status::Active => {
                round.active_waiting += 1;
                round.active_seats += u64::from(seats);
            }
            Status::Parked | Status::Owing => round.activate(lane, &mut self.lanes),
        }
        round.measure(lane, &mut self.lanes);
        self.note(self.lanes[lane].level);
    }

    /// Somebody has left a lane, for whatever reason.
    pub(super) fn left(&mut self, lane: u32, seats: u32) {
        let round = &mut self.levels[self.lanes[lane].level as usize];
        round.waiting -= 1;
        round.seats -= u64::from(seats);
        if self.lanes[lane].status == Status::Active {
            round.active_waiting -= 1;
            round.active_seats -= u64::from(seats);
        }
        match (self.lanes[lane].len, self.lanes[lane].status) {
            (0, _) => round.retire(lane, &mut self.lanes),
            // Perhaps the next one's seats fit under the cap.
            (_, Status::Parked) => round.activate(lane, &mut self.lanes),
            _ => {}
        }
        round.measure(lane, &mut self.lanes);
        if round.waiting == 0 {
            // Between two busy times all is forgiven.
            round.now = round.latest;
        }
        self.note(self.lanes[lane].level);
    }

    /// An active lane takes its turn, or is let pass.
    pub(super) fn charge(&mut self, lane: u32, seats: u32) {
        self.served = Some(lane);
        self.levels[self.lanes[lane].level as usize].charge(lane, &mut self.lanes, seats);
    }

    /// Passes over a lane until [`unpark`](Turns::unpark), or until somebody joins or leaves it.
    pub(super) fn park(&mut self, lane: u32) {
        if self.lanes[lane].status != Status::Active {
            return;
        }
        let round = &mut self.levels[self.lanes[lane].level as usize];
        round.deactivate(lane, &mut self.lanes);
        self.lanes[lane].status = Status::Parked;
        self.note(self.lanes[lane].level);
    }

    /// The key of this lane may have room under its cap again.
    pub(super) fn unpark(&mut self, lane: u32) {
        if self.lanes[lane].status == Status::Parked {
            self.levels[self.lanes[lane].level as usize].activate(lane, &mut self.lanes);
            self.note(self.lanes[lane].level);
        }
    }

    /// The levels on which somebody may have a turn, the most urgent first.
    pub(super) fn busy_levels(&self) -> impl Iterator<Item = Level> + use<> {
        let mut busy = self.busy;
        std::iter::from_fn(move || {
            let level = Level::ALL.get(busy.trailing_zeros() as usize)?;
            busy &= busy - 1;
            Some(*level)
        })
    }

    /// The lane whose turn it is.
    pub(super) fn first(&self, level: Level) -> Option<u32> {
        self.levels[level as usize].active.first().map(|(_, lane)| lane)
    }

    /// A few lanes whose turn comes soon, with their tags.
    pub(super) fn soon(&self, level: Level) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.levels[level as usize].active.near_the_first().map(|((tag, _), lane)| (tag, lane))
    }

    /// All lanes in which somebody waits, with when their turns come, and in which order where that is the same. Those that
    /// a cap holds back come where they would be if it ended now.
    pub(super) fn all_on(&self, level: Level) -> impl Iterator<Item = ((u64, u64), u32)> + '_ {
        let round = &self.levels[level as usize];
        let held_back =
            round.longest.iter().map(|(_, lane)| lane).filter(|lane| self.lanes[*lane].status == Status::Parked);
        let held_back = held_back.map(|lane| ((self.lanes[lane].tag.max(round.now), u64::MAX / 2), lane));
        round.active.iter().chain(held_back)
    }

    /// The longest lane for its weight, capped ones included.
    pub(super) fn longest(&self, level: Level) -> Option<u32> {
        self.levels[level as usize].longest.first().map(|(_, lane)| lane)
    }

    pub(super) fn round(&self, level: Level) -> &Round {
        &self.levels[level as usize]
    }

    /// Frees a lane that is empty and owes nothing, and says whose it was. With `force`, one that owes least.
    pub(super) fn reap(&mut self, level: Level, force: bool) -> Option<u32> {
        let round = &mut self.levels[level as usize];
        let (tag, lane) = round.owing.first()?;
        if tag > round.now && !force {
            return None;
        }
        let lanes = &mut self.lanes;
        round.owing.remove(0, |moved, place| lanes[moved].place = place);
        let flow = lanes[lane].flow;
        lanes.remove(lane);
        self.served = self.served.filter(|served| *served != lane);
        Some(flow)
    }

    /// Gives a lane another weight.
    pub(super) fn set_weight(&mut self, lane: u32, weight: u32) {
        let round = &mut self.levels[self.lanes[lane].level as usize];
        let active = self.lanes[lane].status == Status::Active;
        if active {
            round.weight -= u64::from(self.lanes[lane].weight);
            round.weight += u64::from(weight);
        }
        self.lanes[lane].weight = weight;
        round.measure(lane, &mut self.lanes);
    }

    pub(super) fn indices(&self) -> Vec<u32> {
        self.lanes.indices()
    }

    pub(super) fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }
}

impl Round {
    fn activate(&mut self, lane: u32, lanes: &mut Pool<Lane>) {
        let Lane { status, place, .. } = lanes[lane];
        if status == Status::Owing && place != NONE {
            self.owing.remove(place, |moved, place| lanes[moved].place = place);
        }
        lanes[lane].status = Status::Active;
        lanes[lane].tag = lanes[lane].tag.max(self.now);
        self.weight += u64::from(lanes[lane].weight);
        self.active_waiting += lanes[lane].len;
        self.active_seats += lanes[lane].seats;
        let rank = (lanes[lane].tag, self.next_serial());
        self.active.push(rank, lane, |moved, place| lanes[moved].place = place);
    }

    fn deactivate(&mut self, lane: u32, lanes: &mut Pool<Lane>) {
        self.weight -= u64::from(lanes[lane].weight);
        self.active_waiting -= lanes[lane].len;
        self.active_seats -= lanes[lane].seats;
        self.active.remove(lanes[lane].place, |moved, place| lanes[moved].place = place);
        lanes[lane].place = NONE;
    }

    /// Nobody is left in a lane.
    fn retire(&mut self, lane: u32, lanes: &mut Pool<Lane>) {
        if lanes[lane].status == Status::Active {
            self.deactivate(lane, lanes);
        }
        lanes[lane].status = Status::Owing;
        // The shared flow's lanes stay: with no keys, there are no others.
        if lanes[lane].flow != SHARED {
            self.owing.push(lanes[lane].tag, lane, |moved, place| lanes[moved].place = place);
        }
    }

    /// Virtual now is the start of the turn that is being taken, as the paper has it, but moves on within that turn at
    /// the pace of all who are active (as in WF2Q+, Bennett and Zhang 1996). Left at the start, it would stand still
    /// while one new key after another takes its first turn, and none of them would let an old key have its second. It
    /// stays before the turn's end: who comes now goes before the same lane's next turn.
    fn charge(&mut self, lane: u32, lanes: &mut Pool<Lane>, seats: u32) {
        let (first, _) = self.active.first().map_or((0, 0), |(rank, _)| rank);
        let end = lanes[lane].tag_after(lanes[lane].tag, seats);
        let pace = self.now + share(u64::from(seats), self.weight);
        self.now = self.now.max(first).max(pace.min(end - 1));
        self.latest = self.latest.max(end);
        lanes[lane].tag = end;
        let rank = (end, self.next_serial());
        self.active.update(lanes[lane].place, rank, |moved, place| lanes[moved].place = place);
    }

    /// Finds a lane its place among the longest.
    fn measure(&mut self, lane: u32, lanes: &mut Pool<Lane>) {
        let Lane { len, weight, length_place, .. } = lanes[lane];
        let rank = u64::MAX - share(u64::from(len), u64::from(weight));
        match (length_place, len) {
            (NONE, 0) => {}
            (NONE, _) => self.longest.push(rank, lane, |moved, place| lanes[moved].length_place = place),
            (place, 0) => {
                self.longest.remove(place, |moved, place| lanes[moved].length_place = place);
                lanes[lane].length_place = NONE;
            }
            (place, _) => self.longest.update(place, rank, |moved, place| lanes[moved].length_place = place),
        }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

/// So much for each of `weight`; without a division where there is only one.
pub(super) fn share(seats: u64, weight: u64) -> u64 {
    if weight <= 1 { seats * SEAT } else { seats * SEAT / weight }
}

impl std::ops::Index<u32> for Turns {
    type Output = Lane;

    fn index(&self, lane: u32) -> &Lane {
        &self.lanes[lane]
    }
}

impl std::ops::IndexMut<u32> for Turns {
    fn index_mut(&mut self, lane: u32) -> &mut Lane {
        &mut self.lanes[lane]
    }
}
