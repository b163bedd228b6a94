//! When a request's permits came back, which may be long after it was answered.

use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::{Noted, Record};

/// Hears when the permits have come back. It keeps no line from being written.
#[derive(Debug)]
pub(in crate::proxy) struct Released(Option<Weak<Noted>>);

impl Released {
    pub(super) fn of(noted: Option<&Arc<Noted>>) -> Self {
        Released(noted.map(Arc::downgrade))
    }

    /// Whether anybody hears.
    pub(in crate::proxy) fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    pub(in crate::proxy) fn at(&self, now: Instant) {
        if let Some(noted) = self.0.as_ref().and_then(Weak::upgrade) {
            Record(Some(noted)).note(|entry| entry.released = Some(now));
        }
    }
}
