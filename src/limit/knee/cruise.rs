//! Near the knee: small corrections, and from time to time a trial.

use super::trial::{Kind, LESS};
use super::{Estimate, Knee, NOISE};
use crate::limit::decision::Reason;
use crate::limit::level::{Evidence, Level};

impl Knee {
    pub(super) fn cruise(&mut self) -> Reason {
        if let Some(crowded) = self.alarm() {
            return self.cut(crowded, EARLY);
        }
        if !self.is_window_full() {
            return Reason::Gathering;
        }
        let limit = self.limit();
        let (evidence, level) = self.close();
        let Some(baseline) = self.baseline else {
            self.baseline = Some(level.times);
            self.here = level;
            return if evidence.is_constrained(limit) { self.try_something() } else { Reason::Unused };
        };
        let baseline = self.note(&level, baseline);
        let failing = self.is_failing(level.lost);
        if failing && self.tolerant <= 0.0 && evidence.ended() >= FAILURES {
            // Even if it holds nobody back: who turns away what is too much never fills it.
            return self.cut(level, 1.0);
        }
        if !evidence.is_constrained(limit) {
            return self.unused(&level, baseline);
        }
        let error = level.times.error_of_difference(&baseline);
        let excess = level.times.mean - baseline.mean - self.target();
        let significant = excess > 3.0 * error && excess > SMALL * self.steepness;
        if significant {
            return self.cut(level, 1.0);
        }
        self.here = self.here.pooled(&level, 4.0 * self.samples());
        // Weighed by what the window is worth.
        let worth = (NOISE * NOISE * level.times.count / level.times.variance).min(1.0);
        let least = if failing { 0.0 } else { -0.1 };
        // Below the knee fewer are no faster, so a baseline that is too short by chance would lead down without end.
        let unsure = excess.clamp(0.0, self.sharpness() * baseline.error().sqrt());
        let step = (GAIN * worth * (excess - unsure) / self.steepness).clamp(least, 0.1);
        let next = (self.limit * (-step).exp()).min(self.shown().max(self.limit));
        self.limit = self.settings.clamp(next);
        self.try_something()
    }

    /// How far up corrections may lead. That nobody takes longer does not say that more are of use: only a trial does. At a
    /// sharp knee the most is what the last trial came to, else as much more as the first step of a trial.
    fn shown(&self) -> f64 {
        let beyond = self.stride() * (1.0 - self.sharpness());
        // Still that number when it is rounded.
        (self.anchor * beyond.exp()).round() + 0.49
    }

    /// From 0 to 1. Throughput goes with L^(1 - steepness) beyond the knee: at a steepness of 2 being too many costs what
    /// being too few does, and where times and limit only rise in proportion it costs nothing.
    fn sharpness(&self) -> f64 {
        (self.steepness - 1.0).clamp(0.0, 1.0)
    }

    /// A full window has a standard error of `NOISE`, or lasted so long that it must do.
    fn is_window_full(&self) -> bool {
        let (seconds, count) = (self.evidence.seconds, self.evidence.count());
        let long = (4.0 * self.typical).max(2.0);
        seconds >= (2.0 * self.typical).max(0.05)
            && (count >= self.samples()
                || (seconds >= long && count >= 20.0)
                || (seconds >= 2.0 * long && count >= 8.0))
    }

    /// Whether so many more fail than always do.
    pub(super) fn is_failing(&self, lost: f64) -> bool {
        lost > self.usually_lost + FAILING
    }

    /// Keeps account of how windows vary, and of a service that got faster.
    fn note(&mut self, level: &Level, baseline: Estimate) -> Estimate {
        let (here, times) = (&self.here.times, &level.times);
        if here.count > 0.0 {
            let surprise = self.dispersion * ((times.mean - here.mean) / times.error_of_difference(here)).powi(2);
            self.dispersion = (self.dispersion + 0.05 * (surprise.min(9.0) - self.dispersion)).clamp(1.0, 6.0);
        }
        self.usually_lost = self.usually_lost.min(level.lost);
        let difference = times.mean - baseline.mean;
        // Of many windows one is short by luck.
        let several = self.here.pooled(level, 4.0 * self.samples()).times;
        if several.count >= 2.0 * self.samples()
            && several.mean - baseline.mean < -3.5 * several.error_of_difference(&baseline)
        {
            self.baseline = Some(several);
        } else if self.limit <= f64::from(self.settings.min.get()) && difference > 0.0 {
            // No fewer are allowed, so this is what they take.
            self.learn(*times);
        }
        self.baseline.unwrap_or(baseline)
    }

    /// The limit holds nobody back, so there is nothing to learn about it.
    fn unused(&mut self, level: &Level, baseline: Estimate) -> Reason {
        if level.in_flight <= 0.7 * self.limit {
            let mean = baseline.mean + 0.02 * (level.times.mean - baseline.mean);
            self.baseline = Some(Estimate { mean, ..baseline });
        }
        Reason::Unused
    }

    fn try_something(&mut self) -> Reason {
        let drifted = self.limit < DRIFT * self.anchor;
        if (!self.proven || drifted || self.until_less <= 0.0) && self.begin(Kind::Less, self.here, 0) {
            return Reason::TryingLess;
        }
        let apart = (1.0 + 1.0 / self.limit).max(1.25).ln();
        if self.until_more <= 0.0 && self.here.times.count >= self.needed(apart) && self.begin(Kind::More, self.here, 0)
        {
            return Reason::TryingMore;
        }
        Reason::Steady
    }

    /// Whether things are so much worse that there is no need to wait for a full window: requests take longer, or far
    /// fewer end than did. The latter shows first, since who takes long has not ended yet.
    fn alarm(&self) -> Option<Level> {
        let baseline = self.baseline?;
        let Evidence { seconds, .. } = self.evidence;
        if seconds < self.typical.max(0.03) || !self.evidence.is_constrained(self.limit()) {
            return None;
        }
        let level = self.measured();
        let error = level.times.error_of_difference(&baseline);
        if level.times.count >= 24.0 && level.times.mean - baseline.mean - self.target() > ALARM * error {
            return Some(level);
        }
        (self.here.times.count > 0.0 && self.falls_short(&self.here)).then_some(level)
    }

    /// Whether far fewer end than at a level before. That shows first, since who takes long has not ended yet.
    pub(super) fn falls_short(&self, than: &Level) -> bool {
        let busy = (self.measured().in_flight / than.in_flight).min(1.0);
        let expected = than.rate * self.evidence.seconds * busy;
        // How much more numbers of ends vary than by chance alone: the squared variation of log-normal times.
        let spread = (self.variance.exp() - 1.0).max(1.0);
        expected - self.evidence.ended() > ALARM * (expected * spread).sqrt()
    }

    /// Down to what the bandwidth-delay product says, or by what was lost.
    fn cut(&mut self, level: Level, weight: f64) -> Reason {
        // Who takes long has not ended yet; how few end says how long it is going to be (Little's law).
        let takes = level.in_flight / level.rate.max(1.0);
        let took = self.here.in_flight / self.here.rate.max(1e-3);
        let mut before = Level { in_flight: level.in_flight.min(self.limit), ..level };
        if self.here.times.count > 0.0 {
            before.times.mean = before.times.mean.max(self.here.times.mean + (takes / took).ln());
        }
        let excess = self.baseline.map_or(0.0, |baseline| before.times.mean - baseline.mean - self.target());
        let by_times = excess / self.steepness;
        // What fails may take no time, so its share says little about how many too many there are.
        let kept = (1.0 - level.lost).max(KEPT) * before.in_flight;
        let by_loss = if self.is_failing(level.lost) { (self.limit / kept).ln() } else { 0.0 };
        let step = (weight * by_times).max(by_loss).clamp(-LESS.ln(), std::f64::consts::LN_2);
        (self.evidence, self.closed) = (Evidence::default(), level.times);
        if !self.begin_at(self.limit * (-step).exp(), Kind::Less, before, 0) {
            return Reason::Steady;
        }
        // At the limit before they took longer than is typical, and those have to go first.
        self.settling = self.settling.max(takes.min(20.0 * self.typical));
        if by_loss > by_times { Reason::Failing } else { Reason::Slower }
    }
}

/// More than this share failed or given up: whatever the times say, it is too much.
pub(super) const FAILING: f64 = 0.2;
/// What a cut for failures leaves of those in flight, at least.
const KEPT: f64 = 0.75;
/// So many must have ended before a share of them means anything.
pub(super) const FAILURES: f64 = 30.0;
/// An excess that asks for a smaller step than this is corrected without a trial.
const SMALL: f64 = 0.15;
/// The part of a window's excess that is corrected at once. Windows have a standard error of 8 %: this makes it 2 %.
const GAIN: f64 = 0.25;
/// Corrections that led further down than this since the last trial call for one: it may not be load.
const DRIFT: f64 = 0.8;
/// So many standard errors close a window early. More than usual, for it is looked at every few milliseconds.
const ALARM: f64 = 5.0;
/// What is seen early is only the beginning of it: the step is so many times as large.
const EARLY: f64 = 3.0;
