//! Trials: another limit for a moment, to see what it does.

use super::cruise::{FAILING, FAILURES};
use super::{Estimate, Knee, Phase};
use crate::limit::decision::Reason;
use crate::limit::level::Level;

#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    kind: Kind,
    /// What it is compared with.
    pub(super) before: Level,
    /// How many led to this one.
    run: u32,
    /// Where this descent or climb began.
    top: Level,
    /// The limit that is right if it turns out that it was not load.
    origin: f64,
    /// Since it began.
    pub(super) seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    More,
    Less,
    /// Less again, because times were found that are longer than the baseline however few are in flight.
    Again,
}

impl Knee {
    /// False if the bounds leave no room for it.
    pub(super) fn begin(&mut self, kind: Kind, before: Level, run: u32) -> bool {
        let now = f64::from(self.limit());
        let limit = match kind {
            Kind::More => (self.limit * self.climb(run).exp()).max(now + 1.0),
            _ if !self.proven => self.limit * 0.5,
            _ => (self.limit * LESS).min(now - 1.0),
        };
        self.begin_at(limit, kind, before, run)
    }

    pub(super) fn begin_at(&mut self, limit: f64, kind: Kind, before: Level, run: u32) -> bool {
        let (top, origin) = match self.phase {
            Phase::Trial(trial) if kind != Kind::More => (trial.top, trial.origin),
            _ => (before, self.anchor),
        };
        if self.settings.clamp(limit).round() == f64::from(self.limit()) {
            let pace = 10.0 * self.jitter();
            if kind == Kind::More {
                self.until_more = pace
            } else {
                self.until_less = pace
            }
            return false;
        }
        self.move_to(limit);
        self.phase = Phase::Trial(Trial { kind, before, run, top, origin, seconds: 0.0 });
        true
    }

    pub(super) fn judge(&mut self, trial: Trial) -> Reason {
        let Trial { kind, before, run, .. } = trial;
        let level = self.measured();
        let apart = (level.in_flight / before.in_flight).ln();
        let rise = level.times.mean - before.times.mean;
        // How much of the change in concurrency is found again in the times: 0 below the knee, 1 and more beyond.
        let slope = rise / apart;
        let doubt = level.times.error_of_difference(&before.times) / apart.abs().max(0.01);
        let (count, seconds) = (level.times.count, self.evidence.seconds);
        let patient = trial.seconds < (30.0 * self.typical).max(4.0);
        // A first step is so small that chance looks like a slope; that of a known knee is twice as far from this.
        let middle = if kind == Kind::More && run == 0 { 0.5 * self.steepness } else { 0.5 };
        let needed = self.needed(apart);
        // Its times become the baseline, and are biased if it ends as soon as fewer seem to take as long.
        let teaches = kind != Kind::More && self.proven && slope < middle;
        let decided = (slope - middle).abs() > CERTAIN * doubt && !teaches;
        let certain = decided && count >= 25.0 && seconds >= self.typical.max(0.03);
        let enough = count >= needed && seconds >= (2.0 * self.typical).max(0.05);
        let failing = self.is_failing(level.lost) && self.evidence.ended() >= FAILURES;
        let collapsed = kind == Kind::More && (self.falls_short(&before) || failing && !self.is_failing(before.lost));
        if patient && !certain && !enough && !collapsed && !failing {
            return Reason::Gathering;
        }
        if collapsed {
            if !failing && apart > 0.3 * (self.limit / before.limit).ln() {
                // Too few have ended to tell by their times, but that is how much longer they are going to take. Where many
                // are lost, more may end than before, and it is no load that they tell of.
                self.learn_steepness(1.0 + (before.rate / level.rate.max(0.1)).ln() / apart);
            }
            self.go_back(before);
            self.pace(kind, trial.seconds, 1.0);
            return Reason::NoGain;
        }
        self.close();
        if failing && kind != Kind::More {
            // Times of what is lost say nothing, and there is nothing to lose.
            return self.descend(trial, level, true);
        }
        if kind == Kind::Less && self.is_failing(before.lost) && count >= 20.0 {
            // Fewer do not fail. How many more would not, a trial with more says.
            (self.here, self.anchor, self.phase) = (level, self.limit, Phase::Cruise);
            self.until_more = self.until_more.min(0.5);
            return Reason::Crowded;
        }
        let tried = (self.limit / before.limit).ln();
        if count < 20.0 || apart / tried < 0.3 {
            // Nobody came to fill it, or to leave it.
            self.cruise_at(before.limit);
            self.pace(kind, trial.seconds, 0.1);
            return Reason::Unused;
        }
        let loss = (rise - apart).abs();
        if slope > 0.5 {
            self.learn_steepness(slope);
        }
        match (kind, slope > middle) {
            (Kind::More, false) if level.lost > before.lost + 0.5 * FAILING => {
                self.go_back(before);
                self.pace(kind, trial.seconds, level.lost);
                Reason::NoGain
            }
            (Kind::More, false) => {
                self.anchor = self.limit;
                self.here = level;
                if !self.begin(Kind::More, level, run + 1) {
                    self.phase = Phase::Cruise;
                }
                Reason::Raised
            }
            (Kind::More, true) => {
                let baseline = self.baseline.unwrap_or(before.times);
                let excess = level.times.mean - baseline.mean - self.target();
                let knee = self.limit * (-excess / slope.max(1.0)).exp();
                let limit = self.limit;
                self.go_back(before);
                if tried > 0.3 {
                    self.cruise_at(knee.clamp(before.limit, limit));
                }
                self.pace(kind, trial.seconds, loss);
                Reason::NoGain
            }
            (_, true) if self.is_crowded(&trial, &level) => self.descend(trial, level, false),
            _ => self.arrive(trial, level, loss),
        }
    }

    /// How far a climb goes with its next step, as a logarithm: each is twice the one before, and none more than double.
    fn climb(&self, run: u32) -> f64 {
        (self.stride() * 2f64.powi(run.min(FAR) as i32)).min(std::f64::consts::LN_2)
    }

    /// How far it goes at first. A trial lasts four round trips at least, in which four times the limit end. A step that so
    /// many can tell from none costs least: a smaller one lasts longer, a larger one loses more meanwhile.
    pub(super) fn stride(&self) -> f64 {
        let told = STRIDE * (self.variance * self.dispersion / (4.0 * self.limit)).sqrt() / self.steepness;
        told.clamp(SHORTEST, LONGEST)
    }

    fn learn_steepness(&mut self, slope: f64) {
        self.steepness += 0.3 * (slope.clamp(1.0, 4.0) - self.steepness);
    }

    /// How many samples tell two limits apart.
    pub(super) fn needed(&self, apart: f64) -> f64 {
        let needed = self.variance * self.dispersion * (TOLD_APART / apart).powi(2);
        needed.clamp(30.0, 2.0 * self.samples())
    }

    /// That times fell with concurrency may be chance. Not so if they were long, or are now shorter than ever.
    fn is_crowded(&self, trial: &Trial, level: &Level) -> bool {
        let Some(baseline) = self.baseline.filter(|_| self.proven) else { return true };
        let Trial { before, top, .. } = trial;
        let in_all = (top.times.mean - level.times.mean) / (top.in_flight / level.in_flight).ln();
        let faster = level.times.mean - baseline.mean < -SURELY * level.times.error_of_difference(&baseline);
        in_all > 0.5 && (before.times.mean - baseline.mean > self.target() || faster)
    }

    /// Fewer at a time are faster by as much: it was crowded, and may be still.
    fn descend(&mut self, trial: Trial, level: Level, failing: bool) -> Reason {
        self.here = level;
        self.anchor = self.limit;
        self.phase = Phase::Cruise;
        let known = self.baseline.unwrap_or(level.times);
        let error = level.times.error_of_difference(&known);
        let faster = level.times.mean - known.mean < -SURELY * error;
        if !failing && (faster || !self.proven) {
            self.baseline = Some(level.times);
        }
        self.until_more = self.until_more.min(0.5);
        let excess = self.baseline.map_or(0.0, |baseline| level.times.mean - baseline.mean - self.target());
        if self.proven && !failing && !faster && excess < error {
            self.until_less = self.until_less.min(3.0);
            return Reason::Crowded;
        }
        let limit = self.limit * (-(excess / self.steepness).clamp(-LESS.ln(), std::f64::consts::LN_2)).exp();
        let limit = if self.proven && !failing { limit.min(f64::from(self.limit()) - 1.0) } else { 0.5 * self.limit };
        self.phase = Phase::Trial(Trial { origin: self.limit, ..trial });
        if !self.begin_at(limit, Kind::Less, level, trial.run + 1) {
            // No fewer are allowed.
            self.phase = Phase::Cruise;
            if failing {
                // However few there are, as many fail: it is not load.
                self.usually_lost = level.lost;
                self.go_back(trial.top);
                self.tolerant = PAUSE;
                return Reason::Confirmed;
            }
            self.learn(level.times);
            self.proven = true;
        }
        Reason::Crowded
    }

    /// Fewer at a time take as long: this is what they take.
    fn arrive(&mut self, trial: Trial, level: Level, loss: f64) -> Reason {
        let Trial { kind, before, origin, .. } = trial;
        let known = self.baseline.unwrap_or(level.times);
        if !self.proven {
            self.proven = true;
            self.baseline = Some(level.times.pooled(&before.times, level.times.count + before.times.count));
            self.cruise_at(before.limit);
            self.pace(kind, trial.seconds, loss);
            self.here = before;
            self.begin(Kind::More, before, FAR);
            return Reason::Confirmed;
        }
        let rise = level.times.mean - known.mean;
        let agrees = rise < 3.0 * level.times.error_of_difference(&known);
        if !agrees && kind == Kind::Less {
            // Longer than the baseline, and not because of load. Before everything else is built on that: once more.
            if self.begin(Kind::Again, level, 0) {
                return Reason::TryingLess;
            }
        }
        self.learn(level.times);
        let baseline: Estimate = self.baseline.unwrap_or(level.times);
        if !agrees {
            // As many more are needed for the same throughput. Whether they help is tried like any other rise.
            let limit = (origin * (baseline.mean - known.mean).exp()).min(4.0 * self.limit);
            self.until_less = 3.0 * trial.seconds;
            self.phase = Phase::Cruise;
            self.anchor = self.limit;
            self.here = level;
            if limit > self.limit {
                self.begin_at(limit, Kind::More, level, 0);
            }
            return Reason::Rescaled;
        }
        self.go_back(before);
        self.pace(Kind::Less, trial.seconds, loss);
        Reason::Confirmed
    }

    fn go_back(&mut self, before: Level) {
        self.cruise_at(before.limit);
        self.here = before;
    }

    /// When to try it again. A trial costs something each time, and a change that is missed costs until the next one: the
    /// sum is least where the interval goes with the square root of the cost.
    fn pace(&mut self, kind: Kind, seconds: f64, loss: f64) {
        let cost = seconds * loss.max(0.02);
        let pace = cost.sqrt() * self.jitter();
        match kind {
            Kind::More => self.until_more = (PACE_MORE * pace).max(3.0 * seconds),
            _ => self.until_less = (PACE_LESS * pace).max(10.0 * seconds),
        }
    }
}

/// Seconds until failures count again, where as many fail however few there are.
const PAUSE: f64 = 30.0;
/// So many standard errors the first step of a climb is to make.
const STRIDE: f64 = 2.5;
/// No first step is smaller: chance would take too long.
const SHORTEST: f64 = 0.05;
/// Or larger: ln 1.25.
const LONGEST: f64 = 0.223;
/// After so many steps that were kept, and where nothing is known yet, the next one doubles.
const FAR: u32 = 4;
/// How far a trial with less goes.
pub(super) const LESS: f64 = 0.8;
/// So many standard errors end a trial early.
const CERTAIN: f64 = 2.5;
/// So many standard errors below the baseline are shorter times, not luck: trials end when they look decided, and luck does.
const SURELY: f64 = 2.5;
/// Otherwise it goes on until the slope has a standard error of a third, the threshold being a half from both answers.
const TOLD_APART: f64 = 3.0;
/// Seconds between trials with more, over the root of their cost in seconds of full throughput: right if the capacity
/// doubles once in two minutes.
const PACE_MORE: f64 = 15.0;
/// The same for less. They are for what comes slowly: what comes suddenly is seen without.
const PACE_LESS: f64 = 80.0;
