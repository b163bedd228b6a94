//! In which order would they go?

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;
use std::time::Instant;

use super::level::Level;
use super::nodes::{NONE, Ticket};
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

impl<W, V, K: Hash + Eq + Clone> Queue<W, V, K> {
    /// Those who wait, in the order in which they would go if nobody else came, nobody left, and a seat came back now and
    /// then. Levels, keys and the order are taken as they are now. Who is held back by its key's cap stands where its turn
    /// is without one, who could pass a wider one stands behind it, and newest first nobody is shown to have risen by age.
    ///
    /// Looks at each key's lane first, and then takes the logarithm of their number for each one who is asked for.
    pub fn upcoming(&mut self, now: Instant) -> impl Iterator<Item = Standing<'_, K>> {
        let now = self.clock.nanos(now);
        let queue = &*self;
        let mut levels = Level::ALL.map(|level| queue.turns_on(level, now));
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
            let (_, level) = first?;
            let turns: &mut BinaryHeap<Turn> = &mut levels[level as usize];
            let Reverse((tag, _, lane, index)) = turns.pop()?;
            let node = &queue.nodes[index];
            let after = queue.turns[lane].after(index, queue.newest_first(lane, now), &queue.nodes);
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

    fn turns_on(&self, level: Level, now: u64) -> BinaryHeap<Turn> {
        let next = |lane: u32| self.turns[lane].next(self.newest_first(lane, now));
        let turns = self.turns.all_on(level).map(|((tag, serial), lane)| Reverse((tag, serial, lane, next(lane))));
        turns.collect()
    }
}
