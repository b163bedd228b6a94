//! Who is more urgent?

use std::time::Duration;

use super::deadlines::nanos;

/// Five levels of priority, the most urgent first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Before all others.
    Critical,
    /// Somebody is waiting for it.
    High,
    /// What nothing else is said about.
    #[default]
    Normal,
    /// Somebody will look at it later.
    Low,
    /// Nobody would notice.
    Background,
}

/// A waiter rises one level each time it has waited for so long.
pub(super) const RISE: Duration = Duration::from_secs(5);

impl Level {
    /// All of them, the most urgent first.
    pub const ALL: [Level; 5] = [Level::Critical, Level::High, Level::Normal, Level::Low, Level::Background];

    /// What decides between two waiters of different levels; the smaller goes first.
    ///
    /// Rising one level per [`RISE`], and standing on each level behind those who were there before, comes to this: a
    /// level is worth `RISE` of waiting, so the one goes first who reached the top level first or will reach it first.
    /// Nothing has to be moved when somebody rises.
    pub(super) fn rank(self, since: u64) -> u64 {
        since.saturating_add(self as u64 * nanos(RISE))
    }
}
