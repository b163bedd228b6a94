//! Who gives way when the queue is full?

use std::hash::Hash;
use std::time::Instant;

use super::level::Level;
use super::nodes::{NONE, Ticket};
use super::queue::Queue;

/// Whether a newcomer may join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// There is room.
    Free,
    /// This one has to give way: [settle](Queue::settle) it first.
    InPlaceOf(Ticket, Why),
    /// It is turned away itself.
    Refused(Why),
}

/// Why somebody gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The queue is full.
    Full,
    /// The newest goes first.
    Order,
    /// A more urgent one came.
    Level,
    /// Of all keys, its has the longest queue.
    LongestKey,
    /// As many of its key wait as may.
    KeyFull,
}

impl<W, V, K: Hash + Eq + Clone> Queue<W, V, K> {
    /// Whether a newcomer may join when `capacity` may wait.
    ///
    /// On a full queue, who would be served last gives way: on the least urgent level, in its longest lane, there the
    /// newest while the oldest goes first, and the oldest once the newest does.
    ///
    /// RFC 8290 drops from the head always. In the simulation that changes neither goodput nor the other keys' losses;
    /// those of the longest key who are served wait less (0.15 s instead of 0.38 s), and those who are not hear of it
    /// after as long, instead of at once. But a request that was told its place in line is no packet: oldest first is a
    /// promise that the place only gets better. Where clients are too impatient for it, the order to choose is adaptive.
    ///
    /// A newcomer's own lane is taken as if it stood in it, so it is turned away where nobody else has more waiting.
    /// One that has aged does not give way to one that it goes before.
    pub fn room_for(&mut self, now: Instant, key: Option<&K>, level: Level, capacity: u32) -> Entry {
        let now = self.clock.nanos(now);
        let flow = self.flows.find(key).or_else(|| self.flows.is_full().then_some(super::flows::SHARED));
        if let Some(flow) = flow.filter(|flow| self.flows[*flow].is_full()) {
            return self.room_in_key(flow, level, now);
        }
        if flow.is_none() && self.flows.shape(key).1 == 0 {
            return Entry::Refused(Why::KeyFull);
        }
        if self.len() < capacity {
            return Entry::Free;
        }
        if capacity == 0 {
            return Entry::Refused(Why::Full);
        }
        if let Some(ticket) = self.less_urgent(level, now) {
            return Entry::InPlaceOf(ticket, Why::Level);
        }
        let Some(longest) = self.turns.longest(level) else { return Entry::Refused(Why::Full) };
        let own = flow.map_or(NONE, |flow| self.flows[flow].lanes[level as usize]);
        let own_len = if own == NONE { 0 } else { self.turns[own].len };
        let (weight, _) = self.flows.shape(key);
        let (len, other) = (self.turns[longest].len, self.turns[longest].weight);
        // Longer by more than the newcomer would make its own.
        if longest != own && u64::from(len) * u64::from(weight) > u64::from(own_len + 1) * u64::from(other) {
            return Entry::InPlaceOf(self.last_in(longest, now), Why::LongestKey);
        }
        if own_len > 0 && self.newest_first(own, now) {
            return Entry::InPlaceOf(self.last_in(own, now), Why::Order);
        }
        let alone = self.turns.round(level).waiting == own_len;
        Entry::Refused(if alone || longest != own { Why::Full } else { Why::LongestKey })
    }

    /// A key may have only so many waiting: only its own give way.
    fn room_in_key(&self, flow: u32, level: Level, now: u64) -> Entry {
        for lower in Level::ALL.into_iter().rev().take_while(|lower| *lower >= level) {
            let lane = self.flows[flow].lanes[lower as usize];
            if lane == NONE || self.turns[lane].len == 0 {
                continue;
            }
            let ticket = self.last_in(lane, now);
            let gives_way = match lower == level {
                true => self.newest_first(lane, now),
                false => level.rank(now) < self.rank(ticket.index),
            };
            if gives_way {
                return Entry::InPlaceOf(ticket, Why::KeyFull);
            }
        }
        Entry::Refused(Why::KeyFull)
    }

    /// Somebody of the least urgent level, in its longest lane.
    fn less_urgent(&self, level: Level, now: u64) -> Option<Ticket> {
        Level::ALL.into_iter().rev().take_while(|lower| *lower > level).find_map(|lower| {
            let ticket = self.last_in(self.turns.longest(lower)?, now);
            (level.rank(now) < self.rank(ticket.index)).then_some(ticket)
        })
    }

    fn last_in(&self, lane: u32, now: u64) -> Ticket {
        self.nodes.ticket(self.turns[lane].last(self.newest_first(lane, now), &self.nodes))
    }
}
