//! The most there has lately been of something.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The exact maximum of the last minute, second by second: whoever asks takes nothing away from others who do.
#[derive(Debug, Default)]
pub(super) struct Peak {
    /// Of the second that has not ended.
    now: AtomicU64,
    /// When each second ended, and its maximum. Nobody takes this lock who has a request.
    seconds: Mutex<VecDeque<(Instant, u64)>>,
}

const WINDOW: Duration = Duration::from_secs(60);

impl Peak {
    /// There is so much now. Mostly it is no record, and costs a look.
    #[inline]
    pub(super) fn rise(&self, to: u64) {
        if to > self.now.load(Relaxed) {
            self.now.fetch_max(to, Relaxed);
        }
    }

    /// Ends a second, and says what was the most in it. The next begins with what there `is`.
    pub(super) fn end_second(&self, now: Instant, is: impl Fn() -> u64) -> u64 {
        let mut seconds = self.lock();
        let most = self.now.swap(is(), AcqRel);
        // What has been added meanwhile may have been no record of the second before.
        self.rise(is());
        seconds.retain(|(ended, _)| now.saturating_duration_since(*ended) < WINDOW);
        seconds.push_back((now, most));
        most
    }

    /// The maximum of the last minute, and of the second that has not ended. Of all the time if nobody ends any.
    pub(super) fn most(&self, now: Instant) -> u64 {
        let seconds = self.lock();
        let kept = seconds.iter().filter(|(ended, _)| now.saturating_duration_since(*ended) < WINDOW);
        kept.map(|(_, most)| *most).max().unwrap_or(0).max(self.now.load(Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, u64)>> {
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_told_for_a_minute_to_everyone_who_asks() {
        let peak = Peak::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        peak.rise(7);
        peak.rise(3);
        assert_eq!(peak.most(start), 7);
        assert_eq!(peak.end_second(after(1), || 2), 7);
        assert_eq!((peak.most(after(1)), peak.most(after(1)), peak.most(after(60))), (7, 7, 7));
        assert_eq!(peak.most(after(61)), 2, "what is still there is no less a peak for having come before");
        for second in 2..=200 {
            assert_eq!(peak.end_second(after(second), || 2), 2);
        }
        assert_eq!(peak.lock().len(), 60);
        assert_eq!(peak.end_second(after(201), || 0), 2);
        assert_eq!(peak.end_second(after(202), || 0), 0);
    }
}
