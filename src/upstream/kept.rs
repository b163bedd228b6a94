//! What an upstream has for as long as it is called so, whatever becomes of its settings and endpoints.

use std::sync::Arc;

use super::budget::{Budget, UpstreamCounts};
use super::error::Failure;
use super::faults::Faults;
use super::forward::Upstream;
use super::room::{Most, Room};
use super::settings::MaxConnections;

/// How often it may be sent what it may have seen, and how many connections there may be. A cheap handle.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) budget: Arc<Budget>,
    pub(super) room: Room,
    pub(super) faults: Arc<Faults>,
}

impl Kept {
    pub(super) fn new(workers: usize) -> Self {
        Kept { budget: Arc::new(Budget::new(workers)), room: Room::new(), faults: Arc::default() }
    }
}

impl Upstream {
    /// What has become of its requests so far.
    pub fn counts(&self) -> UpstreamCounts {
        let (open, idle) = (self.kept.room.open(), u32::try_from(self.members.idle()).unwrap_or(u32::MAX));
        UpstreamCounts {
            active: open.saturating_sub(idle),
            idle: idle.min(open),
            abandoned: self.kept.faults.resets(),
            errors: self.kept.faults.errors(),
            ..self.kept.budget.counts()
        }
    }

    /// A request ended with this failure, before there was a head to pass on.
    pub fn count(&self, failure: &Failure) {
        self.kept.faults.count(failure);
    }

    /// `needed` says how many connections its requests can need at most, now and later; `None` where nobody knows. Nobody
    /// may wait in it. That many there may be, unless the settings name a number.
    pub fn bound_connections(&self, needed: Box<dyn Fn() -> Option<u32> + Send + Sync>) {
        self.kept.room.set_most(match self.settings.max_connections {
            MaxConnections::Limit => Most::Measured(needed),
            MaxConnections::Fixed(most) => Most::Fixed(most.get()),
        });
    }
}
