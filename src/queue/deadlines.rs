//! Whose time is over?

use std::time::{Duration, Instant};

use super::heap::Heap;
use super::nodes::Nodes;

/// The waiters by deadline, in a heap that they know their places in: joining behind a later deadline is constant time,
/// all else logarithmic, and what is asked on every tick is one comparison.
///
/// A hashed wheel (Varghese and Lauck 1987) would save the logarithm, but knows the next deadline only to a slot.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: Heap<u64>,
}

impl Deadlines {
    pub(super) fn insert<W, V>(&mut self, index: u32, deadline: u64, nodes: &mut Nodes<W, V>) {
        self.heap.push(deadline, index, |moved, place| nodes[moved].due = place);
    }

    pub(super) fn remove<W, V>(&mut self, index: u32, nodes: &mut Nodes<W, V>) {
        self.heap.remove(nodes[index].due, |moved, place| nodes[moved].due = place);
    }

    /// The earliest deadline, and whose it is.
    pub(super) fn first(&self) -> Option<(u64, u32)> {
        self.heap.first()
    }
}

/// Instants as nanoseconds, half as large and faster to compare. Exact within 146 years of the first one seen.
#[derive(Debug, Default)]
pub(super) struct Clock {
    epoch: Option<Instant>,
}

const EPOCH: u64 = 1 << 62;

impl Clock {
    pub(super) fn nanos(&mut self, instant: Instant) -> u64 {
        let epoch = *self.epoch.get_or_insert(instant);
        match instant.checked_duration_since(epoch) {
            Some(after) => EPOCH.saturating_add(nanos(after)),
            None => EPOCH.saturating_sub(nanos(epoch.saturating_duration_since(instant))),
        }
    }

    pub(super) fn instant(&self, nanos: u64) -> Option<Instant> {
        let epoch = self.epoch?;
        match nanos.checked_sub(EPOCH) {
            Some(after) => epoch.checked_add(Duration::from_nanos(after)),
            None => epoch.checked_sub(Duration::from_nanos(EPOCH - nanos)),
        }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}
