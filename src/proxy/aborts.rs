//! Clients that leave before they have their answers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::registry::Phase;

/// How many, by where their requests were.
#[derive(Debug, Default)]
pub struct Aborts([AtomicU64; Self::PHASES.len()]);

impl Aborts {
    /// Where a request can be, in words.
    pub const PHASES: [&str; 3] = ["queued", "upstream", "response"];

    pub(super) fn count(&self, phase: Phase) {
        let index = match phase {
            Phase::Queued => 0,
            Phase::Upstream => 1,
            Phase::Response | Phase::Upgraded | Phase::Abandoned => 2,
        };
        self.0[index].fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> [(&'static str, u64); Self::PHASES.len()] {
        std::array::from_fn(|index| (Self::PHASES[index], self.0[index].load(Relaxed)))
    }
}
