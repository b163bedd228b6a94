//! One unit of a limit.

use std::sync::Arc;
use std::time::Duration;

use super::limiter::Gate;

/// The right to be in flight. It comes back exactly once: when this is dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
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
    /// Wraps a permit that `gate` has already counted.
    pub(super) fn new(gate: Arc<Gate>, waited: Option<Waited>) -> Self {
        Permit { gate, waited, narrower: None }
    }

    /// Holds `narrower` as well. Its wait began first; this one's includes it.
    pub(super) fn with_narrower(mut self, narrower: Option<Permit>) -> Self {
        if let Some(narrower) = narrower {
            self.waited = self.waited.or(narrower.waited);
            self.narrower = Some(Box::new(narrower));
        }
        self
    }

    /// How many permits of its limit are out, this one included.
    pub fn in_flight(&self) -> u32 {
        self.gate.in_flight()
    }

    /// How long it took to get this one; `None` if it was free at once.
    pub fn waited(&self) -> Option<Waited> {
        self.waited
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.release();
    }
}
