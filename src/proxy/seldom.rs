//! What is said once a minute at most, however often there is reason to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// When it was last said, in seconds of the system's clock.
#[derive(Debug)]
pub(super) struct Seldom(AtomicU64);

const SECONDS: u64 = 60;

impl Seldom {
    /// It has never been said.
    pub(super) const fn new() -> Self {
        Seldom(AtomicU64::new(0))
    }

    /// Whether to say it now. Of several who ask at once, one is to. A clock that was set back is no reason for silence.
    pub(super) fn is_time(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let last = self.0.load(Relaxed);
        let is_time = last == 0 || now < last || now - last >= SECONDS;
        is_time && self.0.compare_exchange(last, now.max(1), Relaxed, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_is_said_at_once_and_then_once_a_minute() {
        let seldom = Seldom::new();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let said = [1000, 1000, 1059, 1060, 1061, 500, 559, 560].map(|seconds| seldom.is_time(at(seconds)));
        assert_eq!(said, [true, false, false, true, false, true, false, true]);
    }
}
