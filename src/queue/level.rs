//! Who is more urgent?

use std::str::FromStr;
use std::time::Duration;

use super::deadlines::nanos;

/// Five levels of priority, the most urgent first, and one ahead of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Ahead of every priority, however long somebody has waited: for what is small, and in the way of much, as a CORS
    /// preflight is. No priority that could be asked for.
    First,
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
    pub const ALL: [Level; 6] =
        [Level::First, Level::Critical, Level::High, Level::Normal, Level::Low, Level::Background];

    /// The five that have a word.
    pub const PRIORITIES: [Level; 5] = [Level::Critical, Level::High, Level::Normal, Level::Low, Level::Background];

    /// The word for it. What is ahead of every priority goes by the highest.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::First => "critical",
            Level::Critical => "critical",
            Level::High => "high",
            Level::Normal => "normal",
            Level::Low => "low",
            Level::Background => "background",
        }
    }

    /// What decides between two waiters of different levels; the smaller goes first.
    ///
    /// Rising one level per [`RISE`], and standing on each level behind those who were there before, comes to this: a
    /// level is worth `RISE` of waiting, so the one goes first who reached the top level first or will reach it first.
    /// Nothing has to be moved when somebody rises.
    pub(super) fn rank(self, since: u64) -> u64 {
        match self {
            Level::First => 0,
            _ => since.saturating_add(self as u64 * nanos(RISE)),
        }
    }
}

/// A word for no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchLevel;

impl FromStr for Level {
    type Err = NoSuchLevel;

    /// Reads what [`as_str`](Level::as_str) says.
    fn from_str(word: &str) -> Result<Self, NoSuchLevel> {
        Level::PRIORITIES.into_iter().find(|level| level.as_str() == word).ok_or(NoSuchLevel)
    }
}
