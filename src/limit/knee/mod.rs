//! The knee: how many at a time until more only take longer.
//!
//! The signal is m, the mean of ln(time) from forward to response head, with its standard error. Contention multiplies
//! all times alike, so m rises by ln of the slow-down whatever their distribution, and a heavy tail weighs little. The
//! *baseline* b is m where nothing is crowded. Below the knee m = b; beyond it, by Little's law (L = X W), times rise with
//! the limit at least in proportion. So m - b says how far the limit L is beyond where it should be, if b is right; and b
//! can only be found out by trying. There are three states:
//!
//! **Begin**: 20 answers, to know how long to wait for what is typical. Then a trial with half as many.
//!
//! **Cruise** (`cruise.rs`): windows of a standard error of 8 %. L *= exp(-(m - b - target) / 4 / steepness): small
//! corrections, down, and up again to what trials have shown to be of use. What is significant, or shows before the window
//! is full because requests take much longer or far fewer end, is a *cut*: down by as much as the bandwidth-delay product
//! says, half at most, as a trial.
//!
//! **Trial** (`trial.rs`): another limit for a moment. What the change unsettled is left out, then all completions count
//! (counting only requests that began in the window would leave out the long ones) until the slope is known, which is
//! the change of m over the change of ln(in flight): 0 below the knee, 1 and more beyond it.
//!
//! | trial | slope < 0.5 | slope > 0.5 |
//! |---|---|---|
//! | more: a small step, then twice as far | keep it, and more again | back to where times meet the baseline |
//! | less: x0.8, or a cut | that is b; back | keep it, and less again while times are too long |
//!
//! If the times of a trial with less are longer than b, and a second one with less again confirms it, then it is not
//! load: b rises, and L *= exp(rise of b), for as many more are needed to do the same (Little's law). That is then itself
//! a trial with more. So the baseline rises only on paired evidence that fewer at a time take as long, and overload cannot
//! become the new normal; a limit that holds nobody back is never raised; and no trial rejects, for the queue is in front.
//!
//! How often: a trial costs its length times the share of throughput that is lost meanwhile, a change that is missed costs
//! until the next trial. The sum is least at intervals in proportion to the root of the cost. So fast services try every
//! few seconds, slow and small ones every minute, without a setting.

mod cruise;
#[cfg(test)]
mod tests;
mod trial;

use std::num::NonZeroU32;

use self::trial::Trial;
use super::LimitAlgorithm;
use super::decision::{Decision, Reason};
use super::level::{Estimate, Evidence, Level};
use super::settings::{Memory, Settings, Start};
use super::window::Window;

/// Finds the number beyond which more at a time take longer instead of getting more done.
#[derive(Debug, Clone)]
pub struct Knee {
    settings: Settings,
    /// With its fraction: corrections are smaller than one.
    limit: f64,
    baseline: Option<Estimate>,
    /// Whether the baseline was measured by a trial.
    proven: bool,
    phase: Phase,
    evidence: Evidence,
    /// What is seen for so many seconds still belongs to the limit before.
    settling: f64,
    /// Nor does that end before no more are in flight than the limit, for at most so many seconds.
    draining: f64,
    /// The last window that was closed.
    closed: Estimate,
    /// Windows at this limit, together.
    here: Level,
    /// The limit when the last trial ended.
    anchor: f64,
    until_more: f64,
    until_less: f64,
    /// How long requests typically take, in seconds, as last seen.
    typical: f64,
    /// The typical variance of a sample.
    variance: f64,
    /// By how much more the means of windows vary than their samples explain: what is in flight together shares its luck.
    dispersion: f64,
    /// By which power times rise with concurrency beyond the knee: 1 where all only take turns.
    steepness: f64,
    /// The share that fails however few there are.
    usually_lost: f64,
    /// Failures call for nothing for so many seconds.
    tolerant: f64,
    random: u64,
    frozen: bool,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Nothing is known yet, not even how long to wait before something can be.
    Begin,
    Cruise,
    Trial(Trial),
}

impl LimitAlgorithm for Knee {
    fn update(&mut self, window: &Window) -> Decision {
        if self.frozen {
            return Decision { limit: self.limit(), reason: Reason::Frozen };
        }
        let reason = self.take_in(window);
        Decision { limit: self.limit(), reason }
    }
}

impl Knee {
    /// Begins where the settings say.
    pub fn new(settings: Settings) -> Self {
        let (limit, baseline, phase) = match settings.start {
            Start::At(initial) => (f64::from(initial.get()), None, Phase::Begin),
            Start::From(Memory { limit, baseline }) => (limit, baseline, Phase::Cruise),
        };
        let limit = settings.clamp(limit);
        Knee {
            settings,
            limit,
            baseline,
            proven: baseline.is_some(),
            phase,
            evidence: Evidence::default(),
            settling: 0.0,
            draining: 0.0,
            closed: Estimate::default(),
            here: Level::default(),
            anchor: limit,
            until_more: 0.0,
            until_less: 0.0,
            typical: baseline.map_or(0.05, |baseline| baseline.seconds()),
            variance: baseline.map_or(1.0, |baseline| baseline.variance),
            dispersion: 1.0,
            steepness: 2.0,
            usually_lost: 0.0,
            tolerant: 0.0,
            random: settings.seed,
            frozen: false,
        }
    }

    /// The limit in force.
    pub fn limit(&self) -> u32 {
        self.settings.clamp(self.limit).round() as u32
    }

    /// What another controller can go on from ([`Start::From`]).
    pub fn memory(&self) -> Memory {
        Memory { limit: self.limit, baseline: self.baseline }
    }

    /// What requests take when they are not crowded, in seconds: a geometric mean. `None` until something was seen.
    pub fn baseline(&self) -> Option<f64> {
        self.baseline.map(|baseline| baseline.seconds())
    }

    /// What the last decision rests on that was not for want of evidence.
    pub fn evidence(&self) -> Estimate {
        self.closed
    }

    /// Holds the limit where it is, or lets go of it again. What is seen meanwhile is not looked at, since trials are part
    /// of looking; a trial under way is called off.
    pub fn freeze(&mut self, frozen: bool) {
        if frozen && !self.frozen && !matches!(self.phase, Phase::Begin) {
            self.cruise_at(if let Phase::Trial(trial) = self.phase { trial.before.limit } else { self.limit });
        }
        self.frozen = frozen;
    }

    /// Other bounds, as after a reload; where it starts is not asked again. Takes effect at once.
    pub fn set_bounds(&mut self, min: NonZeroU32, max: NonZeroU32) {
        (self.settings.min, self.settings.max) = (min, max);
        let limit = self.settings.clamp(self.limit);
        if limit != self.limit {
            if matches!(self.phase, Phase::Begin) { self.move_to(limit) } else { self.cruise_at(limit) }
        }
    }

    fn take_in(&mut self, window: &Window) -> Reason {
        let seconds = window.duration.as_secs_f64();
        self.until_more -= seconds;
        self.until_less -= seconds;
        self.tolerant -= seconds;
        if let Phase::Trial(trial) = &mut self.phase {
            trial.seconds += seconds;
        }
        if self.is_settling(seconds, window.in_flight) {
            return Reason::Gathering;
        }
        self.evidence.add(window);
        match self.phase {
            Phase::Begin => self.begin_to_learn(),
            Phase::Cruise => self.cruise(),
            Phase::Trial(trial) => self.judge(trial),
        }
    }

    /// Whether what ends now was begun at the limit before.
    fn is_settling(&mut self, seconds: f64, in_flight: u32) -> bool {
        if self.draining > 0.0 {
            self.draining = if in_flight <= self.limit() { 0.0 } else { (self.draining - seconds).max(0.0) };
            return true;
        }
        let settling = self.settling > 0.0;
        self.settling = (self.settling - seconds).max(0.0);
        settling
    }

    /// The first to finish are the shortest: they only say how long to wait for what is typical.
    fn begin_to_learn(&mut self) -> Reason {
        if self.evidence.count() >= 20.0 {
            self.close();
            self.cruise_at(self.limit);
        }
        Reason::Gathering
    }

    fn measured(&self) -> Level {
        self.evidence.level(self.limit, self.variance, self.dispersion)
    }

    /// Ends the window.
    fn close(&mut self) -> (Evidence, Level) {
        let level = self.measured();
        let evidence = std::mem::take(&mut self.evidence);
        let count = level.times.count;
        self.closed = level.times;
        if count > 0.0 {
            self.typical = level.times.seconds();
            self.variance += (count / (count + 500.0)) * (evidence.times().variance() - self.variance);
        }
        (evidence, level)
    }

    /// Another limit: what was seen until now says little about it.
    fn move_to(&mut self, limit: f64) {
        let limit = self.settings.clamp(limit);
        let down = limit < self.limit;
        self.limit = limit;
        self.evidence = Evidence::default();
        self.here = Level::default();
        self.settling = SETTLE * self.typical;
        // Nearly all are done after the time that one in fifteen exceeds.
        self.draining = if down { 3.0 * (self.typical * (1.5 * self.variance.sqrt()).exp()).max(0.02) } else { 0.0 };
    }

    fn cruise_at(&mut self, limit: f64) {
        self.phase = Phase::Cruise;
        self.move_to(limit);
        self.anchor = self.limit;
    }

    /// The baseline takes in a measurement that agrees with it, and gives way to one that does not.
    fn learn(&mut self, times: Estimate) {
        self.baseline = Some(match self.baseline {
            Some(known) if (times.mean - known.mean).abs() < 3.0 * times.error_of_difference(&known) => {
                known.pooled(&times, MEMORY * self.samples())
            }
            _ => times,
        });
    }

    /// How much longer requests may take than uncrowded ones.
    fn target(&self) -> f64 {
        TARGET / self.steepness
    }

    /// Samples for a standard error of `NOISE`.
    fn samples(&self) -> f64 {
        (self.variance / (NOISE * NOISE)).clamp(40.0, 750.0)
    }

    /// From 0.8 to 1.2. splitmix64.
    fn jitter(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        0.8 + 0.4 * ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// After a change of the limit, completions of so many typical times are left out. The typical time is a geometric mean;
/// for exponential times 1.8 of it are one arithmetic mean.
const SETTLE: f64 = 2.0;
/// The standard error that a window is to have, in logarithms: 8 %.
const NOISE: f64 = 0.08;
/// The baseline weighs at most so many windows.
const MEMORY: f64 = 12.0;
/// The same for a knee where requests only take turns beyond it. The steeper, the more it costs to be beyond.
const TARGET: f64 = 0.07;
