//! Where those of one worker are entered.

use std::sync::{Arc, Weak};

use super::Live;

/// Those who are under way, in places that are used again.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) slots: Vec<Weak<Live>>,
    free: Vec<usize>,
}

impl Slots {
    /// Returns the place, for [`leave`](Slots::leave).
    pub(super) fn enter(&mut self, live: Weak<Live>) -> usize {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = live;
                slot
            }
            None => {
                self.slots.push(live);
                self.slots.len() - 1
            }
        }
    }

    pub(super) fn leave(&mut self, slot: usize) {
        self.slots[slot] = Weak::new();
        self.free.push(slot);
    }

    /// Adds those who are in so many places, and says whether there are places behind them. To be dropped when the lock has
    /// been released: the last one to go leaves.
    pub(super) fn some(&self, first: usize, most: usize, into: &mut Vec<Arc<Live>>) -> bool {
        let places = self.slots.iter().skip(first);
        into.extend(places.take(most).filter_map(Weak::upgrade));
        first + most < self.slots.len()
    }
}
