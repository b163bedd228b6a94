//! Connections that should have been introduced, and were not.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::rarely::Rarely;

/// Counts them, and says so now and then: anybody who reaches the port can make as many as he likes.
#[derive(Debug, Default)]
pub(super) struct Introductions {
    failed: AtomicU64,
    said: Rarely,
}

impl Introductions {
    /// A connection from `peer` was closed for this.
    pub(super) fn note_failed(&self, peer: IpAddr, why: &str) {
        let failed = self.failed.fetch_add(1, Relaxed) + 1;
        if self.said.is_time() {
            tracing::warn!(%peer, why, failed, "connections are closed whose PROXY header is missing or broken");
        }
    }

    /// How many there were.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }
}
