//! Connections that should have been introduced, and were not.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts them, and says so now and then: anybody who reaches the port can make as many as he likes.
#[derive(Debug, Default)]
pub(super) struct Introductions {
    failed: AtomicU64,
    said: Mutex<Option<Instant>>,
}

/// How often the log hears of them.
const SAY_EVERY: Duration = Duration::from_secs(60);

impl Introductions {
    /// A connection from `peer` was closed for this.
    pub(super) fn note_failed(&self, peer: IpAddr, why: &str) {
        let failed = self.failed.fetch_add(1, Relaxed) + 1;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if said.is_none_or(|said| now.duration_since(said) >= SAY_EVERY) {
            *said = Some(now);
            tracing::warn!(%peer, why, failed, "connections are closed whose PROXY header is missing or broken");
        }
    }

    /// How many there were.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }
}
