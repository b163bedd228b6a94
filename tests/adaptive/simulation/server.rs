//! Processor sharing: all on the processors advance at one rate, so who ends next is who has the least left to do, and a
//! request is done when the work done for each since the beginning has come to what it was at the start plus its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Crowding;

pub(crate) struct Server {
    pub(crate) capacity: f64,
    crowding: Crowding,
    /// Work done for each since the beginning, in picoseconds of a processor where it is a key.
    done: f64,
    busy: BinaryHeap<Reverse<(u64, u32)>>,
}

/// Keys are whole numbers, so that they have an order.
const FINE: f64 = 1e12;

impl Server {
    pub(crate) fn new(capacity: f64, crowding: Crowding) -> Self {
        Server { capacity, crowding, done: 0.0, busy: BinaryHeap::new() }
    }

    fn rate(&self) -> f64 {
        let crowd = self.busy.len() as f64 / self.capacity;
        if crowd <= 1.0 {
            return 1.0;
        }
        match self.crowding {
            Crowding::Linear(toll) => 1.0 / crowd / (1.0 + toll * (crowd - 1.0)),
            Crowding::Square => crowd.powi(-3),
        }
    }

    /// So much time goes by.
    pub(crate) fn pass(&mut self, seconds: f64) {
        self.done += seconds * self.rate();
    }

    pub(crate) fn begin(&mut self, id: u32, work: f64) {
        self.busy.push(Reverse((((self.done + work) * FINE) as u64, id)));
    }

    /// Seconds until the next one is done, if nothing happens before.
    pub(crate) fn next(&self) -> Option<f64> {
        let Reverse((end, _)) = self.busy.peek()?;
        Some((*end as f64 / FINE - self.done).max(0.0) / self.rate())
    }

    pub(crate) fn end_next(&mut self) -> u32 {
        self.busy.pop().expect("somebody is busy").0.1
    }
}
