//! What was measured at a limit.

use super::window::{Moments, Window};

/// A mean of logarithms of seconds, with the variance of one sample and how many it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The variance of a single sample.
    pub variance: f64,
    /// How many samples it rests on.
    pub count: f64,
}

impl Estimate {
    /// The squared standard error of the mean.
    pub fn error(&self) -> f64 {
        self.variance / self.count.max(1.0)
    }

    /// The standard error of the difference from another.
    pub(super) fn error_of_difference(&self, other: &Estimate) -> f64 {
        (self.error() + other.error()).sqrt()
    }

    /// Both together; the weight of the result is capped, so that the old fades.
    pub(super) fn pooled(&self, other: &Estimate, most: f64) -> Estimate {
        let share = other.count / (self.count + other.count).max(1.0);
        Estimate {
            mean: self.mean + share * (other.mean - self.mean),
            variance: self.variance + share * (other.variance - self.variance),
            count: (self.count + other.count).min(most),
        }
    }

    /// The typical time, in seconds: the geometric mean.
    pub fn seconds(&self) -> f64 {
        self.mean.exp()
    }
}

/// A limit, and what it does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    pub(super) limit: f64,
    /// In flight, in the mean.
    pub(super) in_flight: f64,
    /// What ends in a second.
    pub(super) rate: f64,
    /// The share that failed or was given up.
    pub(super) lost: f64,
    pub(super) times: Estimate,
}

impl Level {
    /// Another window at the same limit, or nearly.
    pub(super) fn pooled(&self, other: &Level, most: f64) -> Level {
        if self.times.count == 0.0 {
            return *other;
        }
        let share = other.times.count / (self.times.count + other.times.count).max(1.0);
        let mix = |old: f64, new: f64| old + share * (new - old);
        Level {
            limit: other.limit,
            in_flight: mix(self.in_flight, other.in_flight),
            rate: mix(self.rate, other.rate),
            lost: mix(self.lost, other.lost),
            times: self.times.pooled(&other.times, most),
        }
    }
}

/// Windows since the limit was last moved, pooled.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evidence {
    pub(super) seconds: f64,
    failed: u64,
    answered: Moments,
    cut: Moments,
    arrivals: u64,
    constrained: u64,
    /// Permits taken, times seconds.
    occupied: f64,
    pub(super) in_flight_max: u32,
}

impl Evidence {
    pub(super) fn add(&mut self, window: &Window) {
        let seconds = window.duration.as_secs_f64();
        self.seconds += seconds;
        self.failed += window.failed;
        self.answered.merge(&window.answered);
        self.cut.merge(&window.cut);
        self.arrivals += window.arrivals;
        self.constrained += window.constrained;
        self.occupied += seconds * f64::from(window.in_flight);
        self.in_flight_max = self.in_flight_max.max(window.in_flight_max).max(window.in_flight);
    }

    /// Times that count: those of answers, and of what was given up after longer than answers take. Leaving the latter
    /// out would make an upstream look the faster the more of its clients lose patience.
    pub(super) fn times(&self) -> Moments {
        let mut times = self.answered;
        if self.cut.count > 0 && (times.count == 0 || self.cut.mean() > times.mean()) {
            times.merge(&self.cut);
        }
        times
    }

    pub(super) fn count(&self) -> f64 {
        self.times().count as f64
    }

    /// Answers, failures and what was given up.
    pub(super) fn ended(&self) -> f64 {
        (self.answered.count + self.cut.count + self.failed) as f64
    }

    /// Which share failed or was given up.
    pub(super) fn lost(&self) -> f64 {
        (self.failed + self.cut.count) as f64 / self.ended().max(1.0)
    }

    /// Whether the limit is what held the traffic back.
    pub(super) fn is_constrained(&self, limit: u32) -> bool {
        self.constrained as f64 > 0.02 * self.arrivals.max(1) as f64 && self.in_flight_max >= limit
    }

    /// What was measured. A variance from few samples leans on what was known of it before.
    pub(super) fn level(&self, limit: f64, known_variance: f64, dispersion: f64) -> Level {
        const FEW: f64 = 30.0;
        let times = self.times();
        let count = times.count as f64;
        let variance = (times.variance() * count + known_variance * FEW) / (count + FEW);
        let seconds = self.seconds.max(1e-3);
        Level {
            limit,
            in_flight: (self.occupied / seconds).max(0.5),
            rate: self.ended() / seconds,
            lost: self.lost(),
            times: Estimate { mean: times.mean(), variance: variance * dispersion, count },
        }
    }
}
