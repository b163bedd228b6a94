//! In which order would they go?

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::time::Instant;

use super::level::Level;
use super::nodes::{NONE, Ticket};
use super::order::Order;
use super::queue::Queue;

/// One who waits, as observers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a, K> {
    /// Which one.
    pub ticket: Ticket,
    /// What it is known by.
    pub tag: u64,
    /// Whose it is; `None` for the shared flow.
    pub key: Option<&'a K>,
    /// How urgent it is.
    pub level: Level,
    /// How much of the limit it takes.
    pub seats: u32,
    /// Since when it has waited.
    pub since: Instant,
}

/// A lane's next turn on one level: its tag, its place among equal ones, the lane, and who goes then.
type Turn = Reverse<(u64, u64, u32, u32)>;

/// The next turns of all lanes, by level.
type Turns = [BinaryHeap<Turn>; Level::ALL.len()];

/// Of lanes whose oldest went in place of their newest: the oldest that is left.
type Ends = HashMap<u32, u32>;

impl<W, V, K: Hash + Eq + Clone> Queue<W, V, K> {
    /// Those who wait, in the order in which they would go if nobody else came, nobody left, and a seat came back now and
    /// then. Levels, keys and the order are taken as they are now. Who is held back by its key's cap stands where its turn
    /// is without one, and who could pass a wider one stands behind it.
    ///
    /// Looks at each key's lane first, and then takes the logarithm of their number for each one who is asked for.
    pub fn upcoming(&mut self, now: Instant) -> impl Iterator<Item = Standing<'_, K>> {
        let now = self.clock.nanos(now);
        let queue = &*self;
        let mut levels = Level::ALL.map(|level| queue.turns_on(level, now));
        let mut ends = Ends::new();
        let mut serial = u64::MAX / 2;
        std::iter::from_fn(move || {
            let mut first: Option<(u64, Level)> = None;
            for level in Level::ALL {
                let Some(Reverse((.., index))) = levels[level as usize].peek() else { continue };
                let rank = queue.rank(*index);
                if first.is_none_or(|(least, _)| rank < least) {
                    first = Some((rank, level));
                }
            }
            let (rank, level) = first?;
            let risen = queue.risen(&levels, &ends, (rank, level), now);
            let level = risen.map_or(level, |(level, _)| level);
            let turns = &mut levels[level as usize];
            let Reverse((tag, _, lane, head)) = turns.pop()?;
            let index = risen.map_or(head, |(_, oldest)| oldest);
            let node = &queue.nodes[index];
            let is_last = index == head && (risen.is_some() || ends.get(&lane) == Some(&head));
            let after = match risen {
                _ if is_last => NONE,
                Some(_) => {
                    ends.insert(lane, queue.turns[lane].after(index, false, &queue.nodes));
                    head
                }
                None => queue.turns[lane].after(index, queue.newest_first(lane, now), &queue.nodes),
            };
            if after != NONE {
                serial += 1;
                turns.push(Reverse((queue.turns[lane].tag_after(tag, node.seats), serial, lane, after)));
            }
            Some(Standing {
                ticket: queue.nodes.ticket(index),
                tag: node.tag,
                key: queue.flows[queue.turns[lane].flow].key.as_ref(),
                level,
                seats: node.seats,
                since: queue.clock.instant(node.since)?,
            })
        })
    }

    /// Who goes in place of the first of all levels for having risen above it: as [`next`](Queue::next) has it, the oldest
    /// of a lane whose turn it is on another level, where that one's newest would go.
    fn risen(&self, levels: &Turns, ends: &Ends, (rank, first): (u64, Level), now: u64) -> Option<(Level, u32)> {
        if self.order == Order::Fifo {
            return None;
        }
        let oldest = Level::ALL.into_iter().filter(|level| *level != first).filter_map(|level| {
            let Reverse((.., lane, head)) = *levels[level as usize].peek()?;
            let stands_back = self.newest_first(lane, now) && !self.turns[lane].is_saved_up_for(head);
            let oldest = ends.get(&lane).copied().unwrap_or_else(|| self.turns[lane].oldest_but_pinned(&self.nodes));
            stands_back.then(|| (self.rank(oldest), level, oldest))
        });
        let (oldest_rank, level, oldest) = oldest.min_by_key(|(rank, ..)| *rank)?;
        (oldest_rank < rank).then_some((level, oldest))
    }

    fn turns_on(&self, level: Level, now: u64) -> BinaryHeap<Turn> {
        let next = |lane: u32| self.turns[lane].next(self.newest_first(lane, now));
        let turns = self.turns.all_on(level).map(|((tag, serial), lane)| Reverse((tag, serial, lane, next(lane))));
        turns.collect()
    }
}
