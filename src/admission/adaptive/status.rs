//! What there is to be seen of a limit that finds itself.

use std::time::Duration;

use super::AdaptiveSettings;
use crate::limit::Reason;

/// A limit that was decided on, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adjusted {
    /// Permits.
    pub limit: u32,
    /// Why so many.
    pub reason: Reason,
}

/// What a limit that finds itself is like at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptiveStatus {
    /// Its bounds, and whether it is a shadow.
    pub settings: AdaptiveSettings,
    /// What was decided last. A shadow's is not in force.
    pub last: Adjusted,
    /// How long ago that was.
    pub since: Duration,
    /// How long requests take where there are few: a geometric mean. `None` until that is known.
    pub baseline: Option<Duration>,
    /// How often the limit was changed, by reason.
    pub changes: [(Reason, u64); Reason::ALL.len()],
}
