//! Memory that is held for requests without a permit, on the account of a limit.

use std::sync::Arc;

use super::gate::Gate;

/// What one request holds of a limit's [`queue_bytes`](super::Settings::queue_bytes), until it is dropped.
#[derive(Debug)]
pub struct Account {
    gate: Arc<Gate>,
    held: u64,
}

impl Account {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Account { gate, held: 0 }
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Whether there is room for more. Requests that ask at the same moment may all be told so.
    pub fn has_room(&self) -> bool {
        self.gate.has_spool_room()
    }

    /// Holds so many bytes from now on, unless it holds more already.
    pub fn hold(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.gate.spool(bytes.saturating_sub(self.held));
        self.held = self.held.max(bytes);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.gate.unspool(self.held);
    }
}
