//! What is noted of a wait.

use super::Record;
use crate::access_log::Entry;
use crate::admission::Waited;

impl Record {
    /// It waits at a limit, where its place in line is this (1 is next).
    pub(in crate::proxy) fn waits(&self, limit: usize, position: u32) {
        self.note(|entry| {
            entry.limit = Some(limit);
            entry.ahead = Some(position.saturating_sub(1));
        });
    }
}

/// It has waited, whatever came of it.
pub(super) fn waited_in(entry: &mut Entry, waited: Waited) {
    entry.queued = waited.wait;
    entry.ahead = Some(waited.position.saturating_sub(1));
    if entry.traced.is_some() {
        let age = entry.age();
        entry.traced.iter_mut().for_each(|traced| traced.waited = Some(age));
    }
}
