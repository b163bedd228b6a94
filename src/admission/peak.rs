//! The most there has lately been of something.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::atomic::{AtomicU64, Ordering};

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
    /// There is so much now. Mostly it is no record, and costs a look. To be called after the word has been changed.
    #[inline]
    pub(super) fn rise(&self, to: u64) {
        if to > self.now.load(Ordering::Relaxed) {
            self.now.fetch_max(to, Ordering::Relaxed);
        }
    }

    /// Ends a second, and says what was the most in it. The next begins with what there `is`, which is to be read
    /// [in turn](super::word::Word::read_in_turn).
    pub(super) fn end_second(&self, now: Instant, is: impl Fn() -> u64) -> u64 {
        let mut seconds = self.lock();
        let most = self.now.swap(is(), Ordering::AcqRel);
        // Whoever has changed the word until this look is in it, though what he saw may have been no record of the second
        // before. Whoever changes it later sees the maximum as it was begun anew, since both are changes of the one word.
        self.rise(is());
        seconds.retain(|(ended, _)| now.saturating_duration_since(*ended) < WINDOW);
        seconds.push_back((now, most));
        most
    }

    /// The maximum of the last minute, and of the second that has not ended. Of all the time if nobody ends any.
    pub(super) fn most(&self, now: Instant) -> u64 {
        let seconds = self.lock();
        let kept = seconds.iter().filter(|(ended, _)| now.saturating_duration_since(*ended) < WINDOW);
        kept.map(|(_, most)| *most).max().unwrap_or(0).max(self.now.load(Ordering::Relaxed))
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
