//! What a limit has done so far, for those who watch.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::rejection::Reason;
use crate::histogram::{Buckets, Histogram};
use crate::queue::Level;

/// Counters of one limit. What happens to a request that need not wait costs nothing here.
#[derive(Debug, Default)]
pub(super) struct Counters {
    queued: AtomicU64,
    rejected: [AtomicU64; Reason::ALL.len()],
    /// Seats beyond the first of each permit. With those that came back and those in flight, it says how many permits
    /// there were.
    wide: AtomicU64,
    /// Permits by level, but for the normal one: those are the rest.
    admitted: [AtomicU64; Level::ALL.len()],
    /// What was last said of them. A counter never goes back, whatever the moment at which its parts are read.
    told: [AtomicU64; Level::ALL.len()],
    dry_run_queued: AtomicU64,
    dry_run_rejected: AtomicU64,
    admitted_waits: Histogram,
    rejected_waits: Histogram,
    /// In microseconds, of those that have ended since it was last taken.
    longest_wait: AtomicU64,
}

/// What a limit has done so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// Permits given out.
    pub admitted: u64,
    /// The same by level.
    pub admitted_by_level: [(Level, u64); Level::PRIORITIES.len()],
    /// Requests that had to wait.
    pub queued: u64,
    /// Rejections, by reason.
    pub rejected: [(Reason, u64); Reason::ALL.len()],
    /// Requests that would have had to wait if it had not been a dry run.
    pub dry_run_queued: u64,
    /// Requests that would have been rejected if it had not been a dry run.
    pub dry_run_rejected: u64,
    /// How long those waited who were admitted after a wait.
    pub admitted_waits: Buckets,
    /// How long those waited whose wait was in vain.
    pub rejected_waits: Buckets,
}

/// Who has asked for a permit until a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Demand {
    /// All of them, but for those who wait.
    pub(super) came: u64,
    /// Those who found none free, or would have had to wait if it were not a dry run.
    pub(super) held_back: u64,
}

impl Demand {
    pub(super) fn since(self, before: Demand) -> Demand {
        Demand {
            came: self.came.saturating_sub(before.came),
            held_back: self.held_back.saturating_sub(before.held_back),
        }
    }
}

impl Counters {
    /// `seats` are those taken so far, in flight or come back. Much less to read than all of it.
    pub(super) fn demand(&self, seats: u64) -> Demand {
        let permits = seats.saturating_sub(self.wide.load(Relaxed));
        let rejected = |reason: Reason| self.rejected[reason as usize].load(Relaxed);
        let dry = self.dry_run_queued.load(Relaxed) + self.dry_run_rejected.load(Relaxed);
        let at_once = rejected(Reason::NoPermit) + rejected(Reason::QueueFull) + rejected(Reason::DeadlineUnmeetable);
        let later = rejected(Reason::QueueTimeout) + rejected(Reason::Evicted) + rejected(Reason::DeadlineExpired);
        Demand { came: permits + at_once + later, held_back: self.queued.load(Relaxed) + at_once + dry }
    }

    pub(super) fn queued(&self) {
        self.queued.fetch_add(1, Relaxed);
    }

    /// Somebody has taken so many seats.
    pub(super) fn took(&self, seats: u32) {
        if seats > 1 {
            self.wide.fetch_add(u64::from(seats - 1), Relaxed);
        }
    }

    pub(super) fn admitted(&self, level: Level) {
        if level != Level::Normal {
            self.admitted[level as usize].fetch_add(1, Relaxed);
        }
    }

    pub(super) fn dry_run_queued(&self) {
        self.dry_run_queued.fetch_add(1, Relaxed);
    }

    pub(super) fn dry_run_rejected(&self) {
        self.dry_run_rejected.fetch_add(1, Relaxed);
    }

    pub(super) fn rejected(&self, reason: Reason) {
        self.rejected[reason as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn waited(&self, wait: Duration, admitted: bool) {
        let waits = if admitted { &self.admitted_waits } else { &self.rejected_waits };
        waits.count(wait);
        self.longest_wait.fetch_max(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The longest wait that has ended since this was last asked.
    pub(super) fn take_longest_wait(&self) -> Duration {
        Duration::from_micros(self.longest_wait.swap(0, Relaxed))
    }

    /// `seats` are those taken so far, in flight or come back.
    pub(super) fn read(&self, seats: u64) -> Counts {
        let permits = seats.saturating_sub(self.wide.load(Relaxed));
        let mut admitted = self.admitted.each_ref().map(|count| count.load(Relaxed));
        admitted[Level::Normal as usize] = permits.saturating_sub(admitted.iter().sum());
        // What goes ahead of every priority is counted with the highest.
        admitted[Level::Critical as usize] += std::mem::take(&mut admitted[Level::First as usize]);
        let admitted_by_level = Level::PRIORITIES.map(|level| {
            let now = admitted[level as usize];
            (level, now.max(self.told[level as usize].fetch_max(now, Relaxed)))
        });
        Counts {
            admitted: admitted_by_level.iter().map(|(_, count)| count).sum(),
            admitted_by_level,
            dry_run_queued: self.dry_run_queued.load(Relaxed),
            dry_run_rejected: self.dry_run_rejected.load(Relaxed),
            queued: self.queued.load(Relaxed),
            rejected: Reason::ALL.map(|reason| (reason, self.rejected[reason as usize].load(Relaxed))),
            admitted_waits: self.admitted_waits.read(),
            rejected_waits: self.rejected_waits.read(),
        }
    }
}
