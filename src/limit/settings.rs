//! What an operator says of an adaptive limit.

use std::num::NonZeroU32;

use super::level::Estimate;

/// The bounds of an adaptive limit, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Never below.
    pub min: NonZeroU32,
    /// Never above. One that is below `min` counts as `min`.
    pub max: NonZeroU32,
    /// Where it begins.
    pub start: Start,
    /// Makes the moments of trials differ, so that proxies in front of one upstream don't make theirs together.
    pub seed: u64,
}

/// Where an adaptive limit begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// At this number, within the bounds, and looking for the knee in large steps.
    At(NonZeroU32),
    /// Where it, or another one before the same upstream, was.
    From(Memory),
}

/// What a controller has found out: enough for another to go on from there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// The limit, with its fraction.
    pub limit: f64,
    /// What requests take when they are not crowded, as the logarithm of seconds.
    pub baseline: Option<Estimate>,
}

/// Where a limit begins of which nothing is known: little enough for nearly everything, and enough to learn from.
pub const INITIAL: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

impl Settings {
    /// From `min` to `max`, beginning at [`INITIAL`].
    pub fn new(min: NonZeroU32, max: NonZeroU32) -> Self {
        Settings { min, max, start: Start::At(INITIAL), seed: 0 }
    }

    pub(super) fn clamp(&self, limit: f64) -> f64 {
        let (min, max) = (f64::from(self.min.get()), f64::from(self.max.get()));
        limit.clamp(min, max.max(min))
    }
}
