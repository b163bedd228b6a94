//! When a request was admitted, had its head, gave back its permits and ended, and what is counted of that.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::{Live, Phase};
use crate::access_log::Outcome;

/// In place of a time.
pub(super) const NEVER: u64 = u64::MAX;

impl Live {
    /// Returns how long after its arrival that is, as the other moments do.
    pub(in crate::proxy) fn admitted(&self, now: Instant) -> Duration {
        self.is_in(Phase::Upstream);
        let nanos = self.nanos(now);
        self.admitted.store(nanos, Relaxed);
        Duration::from_nanos(nanos)
    }

    pub(in crate::proxy) fn headed(&self, status: u16, now: Instant) -> Duration {
        self.is_in(Phase::Response);
        self.has_status(status);
        let nanos = self.nanos(now);
        if let Some(after) = self.after_admission(nanos) {
            self.counts().headed(after);
        }
        Duration::from_nanos(nanos)
    }

    /// Its permits have come back.
    pub(in crate::proxy) fn released(&self, now: Instant) {
        let nanos = self.nanos(now);
        self.released.store(nanos, Relaxed);
        if let Some(after) = self.after_admission(nanos) {
            self.counts().released(after);
        }
    }

    /// When its permits came back.
    pub(in crate::proxy) fn released_after(&self) -> Option<Duration> {
        Some(self.released.load(Relaxed)).filter(|nanos| *nanos != NEVER).map(Duration::from_nanos)
    }

    pub(in crate::proxy) fn since_admission(&self, now: Instant) -> Option<Duration> {
        self.after_admission(self.nanos(now))
    }

    fn after_admission(&self, nanos: u64) -> Option<Duration> {
        let admitted = Some(self.admitted.load(Relaxed)).filter(|nanos| *nanos != NEVER)?;
        Some(Duration::from_nanos(nanos.saturating_sub(admitted)))
    }

    /// Nanoseconds since its start, for half a millennium.
    fn nanos(&self, now: Instant) -> u64 {
        // Most are admitted in the turn in which they came.
        if now == self.start {
            return 0;
        }
        let since = now.saturating_duration_since(self.start);
        since.as_secs().saturating_mul(1_000_000_000).saturating_add(since.subsec_nanos().into())
    }

    /// Its client has had what there was for it, or has left.
    pub(in crate::proxy) fn ended(&self, now: Instant) -> Duration {
        let (outcome, counts) = (self.outcome(), self.counts());
        if outcome == Outcome::ClientGone {
            counts.aborted(self.phase());
        }
        let took = Duration::from_nanos(self.nanos(now));
        counts.ended(self.status.load(Relaxed), outcome, took);
        self.is_in(Phase::Abandoned);
        took
    }
}
