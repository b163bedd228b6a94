//! For how long a limit has been full.

use super::atomic::{AtomicU64, Ordering, fence};

/// Adds up the time at the limit. Only who makes it full, or no longer full, [says so](Fullness::agree) and reads a clock.
#[derive(Debug, Default)]
pub(super) struct Fullness {
    /// Since when, from 1 on: 0 is not now.
    since: AtomicU64,
    /// Of all the times that are over.
    total: AtomicU64,
    /// What was last said of it. A counter never goes back, whatever the moment at which its parts are read.
    told: AtomicU64,
}

/// How often one looks again who reads while it changes.
const TRIES: usize = 16;

impl Fullness {
    /// To be called after every change of `is_full`, by whoever has made it. It looks again after what it has noted: of
    /// several who change it to and fro, the last one to look finds the two agreed.
    #[cold]
    pub(super) fn agree(&self, is_full: impl Fn() -> bool, nanos: impl Fn() -> u64) {
        loop {
            // What was changed before this is seen by whoever notes something after it, or sees what was noted.
            fence(Ordering::SeqCst);
            let (full, since) = (is_full(), self.since.load(Ordering::Relaxed));
            if full == (since > 0) {
                return;
            }
            let now = nanos() + 1;
            let next = if full { now } else { 0 };
            let noted = self.since.compare_exchange(since, next, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            if noted && !full {
                self.total.fetch_add(now.saturating_sub(since), Ordering::Release);
            }
        }
    }

    /// Nanoseconds until now. Never less than it was.
    pub(super) fn read(&self, nanos: impl Fn() -> u64) -> u64 {
        let once = || {
            let since = self.since.load(Ordering::Acquire);
            let total = self.total.load(Ordering::Acquire);
            let lasts = if since > 0 { (nanos() + 1).saturating_sub(since) } else { 0 };
            // Else a time that is over might count twice.
            (self.since.load(Ordering::Acquire) == since).then_some(total + lasts)
        };
        let total = (0..TRIES).find_map(|_| once()).unwrap_or(0);
        self.told.fetch_max(total, Ordering::Relaxed).max(total)
    }
}
