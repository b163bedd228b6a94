//! What was seen of the upstream in a stretch of time.

use std::time::Duration;

/// What the housekeeper gathered since its last visit. Visits may come at any pace; 10 ms while the limit is busy lets a
/// controller act within a few round trips. Windows are pooled, so none is too short or too empty.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Window {
    /// How long it lasted.
    pub duration: Duration,
    /// Requests whose response head came: the time from forward to head, as logarithms of seconds. Not the time in the
    /// queue, not bodies, not upgrades.
    pub answered: Moments,
    /// Requests that were given up before their head came, by the client or a timeout: the time until then. What the
    /// whole would have taken is more than that.
    pub cut: Moments,
    /// Answers that say overload or failure: 429, 503, other 5xx, resets. Their time says nothing.
    pub failed: u64,
    /// Requests that asked for a permit.
    pub arrivals: u64,
    /// Those of them that found none free: whether the limit was what held the traffic back.
    pub constrained: u64,
    /// Permits taken at its end.
    pub in_flight: u32,
    /// The most permits taken at once.
    pub in_flight_max: u32,
}

/// Count, sum and sum of squares: all that mean and variance need, and adding them up merges what several workers saw.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Moments {
    /// Adds the logarithm of a time. Below a microsecond it is the clock that is measured, so that is the least.
    pub fn add(&mut self, time: Duration) {
        let value = time.as_secs_f64().max(1e-6).ln();
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    /// Adds what somebody else saw.
    pub fn merge(&mut self, other: &Moments) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// The mean; 0 of none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// The variance around the mean; 0 of none.
    pub fn variance(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.squares / self.count as f64 - self.mean().powi(2)).max(0.0) }
    }
}
