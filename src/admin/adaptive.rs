//! What limits that find themselves have found, and why.

use serde::Serialize;

use crate::admission::{AdaptiveStatus, Adjusted};

/// The state of a limit that finds itself, or of the shadow of a fixed one.
#[derive(Debug, Serialize)]
pub(super) struct AdaptiveState {
    /// Whether it is only shown: the limit in force is another.
    pub(super) shadow: bool,
    /// What it has found. In force unless it is a shadow, or an operator has set another.
    pub(super) limit: u32,
    pub(super) min: u32,
    pub(super) max: u32,
    /// Why so many: one of the words of the documentation.
    pub(super) reason: &'static str,
    /// How long ago that was decided.
    pub(super) decided_seconds_ago: f64,
    /// How long requests take where there are few; `null` until that is known.
    pub(super) baseline_seconds: Option<f64>,
}

impl From<AdaptiveStatus> for AdaptiveState {
    fn from(status: AdaptiveStatus) -> Self {
        let AdaptiveStatus { settings, last: Adjusted { limit, reason }, since, baseline, changes: _ } = status;
        AdaptiveState {
            shadow: settings.shadow,
            limit,
            min: settings.min.get(),
            max: settings.max.get(),
            reason: reason.as_str(),
            decided_seconds_ago: since.as_millis() as f64 / 1e3,
            baseline_seconds: baseline.map(|baseline| baseline.as_secs_f64()),
        }
    }
}
