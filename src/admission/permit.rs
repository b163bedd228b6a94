//! One request's part of a limit.

use std::sync::Arc;
use std::time::Duration;

use super::gate::Gate;
use super::word::Mode;
use crate::queue::FlowId;

/// The right to be in flight. It comes back exactly once: when this is dropped, or before that with the head of the
/// response, where its limit says so.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    /// None once it has come back. As wide as what is beside it: read again as a part of something wider, a narrow one just
    /// written would have to be waited for.
    seats: u64,
    /// Under which key it is counted.
    flow: Option<FlowId>,
    waited: Option<Waited>,
    /// The permit of an earlier limit of the same request. It comes back after this one: a permit of a narrow limit
    /// that comes back while the wide one is out lets somebody in who only stands at the next gate.
    narrower: Option<Box<Permit>>,
}

/// A stay in the queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waited {
    /// Place in line on arrival: 1 is next.
    pub position: u32,
    /// How long it took.
    pub wait: Duration,
}

impl Permit {
    /// Wraps seats that `gate` has already counted.
    #[inline]
    pub(super) fn new(gate: Arc<Gate>, seats: u32, flow: Option<FlowId>, waited: Option<Waited>) -> Self {
        let seats = u64::from(seats);
        gate.tally.gave(seats);
        Permit { gate, seats, flow, waited, narrower: None }
    }

    /// Holds `narrower` as well. Its wait began first; this one's includes it.
    pub(super) fn with_narrower(mut self, narrower: Option<Permit>) -> Self {
        if let Some(narrower) = narrower {
            self.waited = self.waited.or(narrower.waited);
            self.narrower = Some(Box::new(narrower));
        }
        self
    }

    /// How many permits of its limit are out, this one included: in seats.
    pub fn in_flight(&self) -> u32 {
        self.gate.word.read().in_flight()
    }

    /// How long it took to get this one; `None` if it was free at once.
    pub fn waited(&self) -> Option<Waited> {
        self.waited
    }

    /// The head of the response has come: gives back what is held of limits with
    /// [`Hold::Head`](super::Hold::Head). The others are held on. Calling it again does nothing. Returns whether all of it
    /// has come back.
    pub fn release_at_head(&mut self) -> bool {
        if self.gate.word.read().is(Mode::HEAD) {
            self.release();
        }
        let others = self.narrower.as_mut().is_none_or(|narrower| narrower.release_at_head());
        self.seats == 0 && others
    }

    #[inline]
    fn release(&mut self) {
        let seats = std::mem::take(&mut self.seats);
        if seats > 0 {
            self.gate.tally.got_back(seats);
            self.gate.release(seats as u32, self.flow.take());
        }
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        self.release();
    }
}
