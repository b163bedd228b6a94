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
    pub(super) seconds: Mutex<VecDeque<(Instant, u64)>>,
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
