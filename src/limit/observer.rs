//! What a limit should be, by those who may only look on.
//!
//! [`Knee`](super::Knee) learns by moving the limit. Where another number is in force, nothing moves, and what can be known
//! is what differs by itself: how long requests take when there are few, and how long when the limit in force holds some
//! back. By Little's law, requests that take twice as long as uncrowded ones are twice as many as would do the same work.
//!
//! It says less than the knee would find: that the limit in force is too high, and by how much; that it holds traffic back
//! although nothing is crowded; or that it holds nobody back. It can't tell an upstream that became slower by itself from
//! one that is crowded, which takes a trial.

use std::num::NonZeroU32;

use super::LimitAlgorithm;
use super::decision::{Decision, Reason};
use super::level::{Estimate, Evidence, Level};
use super::settings::{Settings, Start};
use super::window::Window;

/// Says where the knee seems to be, without moving anything.
#[derive(Debug, Clone)]
pub struct Observer {
    settings: Settings,
    limit: f64,
    /// What they take where there are few.
    baseline: Option<Estimate>,
    /// The most that were seen in flight and took no longer than that.
    reach: f64,
    evidence: Evidence,
    /// The last window that was closed.
    closed: Estimate,
    typical: f64,
}

impl LimitAlgorithm for Observer {
    fn update(&mut self, window: &Window) -> Decision {
        self.evidence.add(window);
        let reason = if self.is_window_full() { self.close() } else { Reason::Gathering };
        Decision { limit: self.limit(), reason }
    }
}

impl Observer {
    /// Begins where the settings say; that is its answer until something was seen.
    pub fn new(settings: Settings) -> Self {
        let (limit, baseline) = match settings.start {
            Start::At(initial) => (f64::from(initial.get()), None),
            Start::From(memory) => (memory.limit, memory.baseline),
        };
        Observer {
            limit: settings.clamp(limit),
            settings,
            baseline,
            reach: 0.0,
            evidence: Evidence::default(),
            closed: Estimate::default(),
            typical: baseline.map_or(0.05, |baseline| baseline.seconds()),
        }
    }

    /// The limit that it would set.
    pub fn limit(&self) -> u32 {
        self.limit.round() as u32
    }

    /// What requests take where there are few, in seconds: a geometric mean. `None` until something was seen.
    pub fn baseline(&self) -> Option<f64> {
        self.baseline.map(|baseline| baseline.seconds())
    }

    /// What the last decision rests on that was not for want of evidence.
    pub fn evidence(&self) -> Estimate {
        self.closed
    }

    /// Other bounds. Takes effect at once.
    pub fn set_bounds(&mut self, min: NonZeroU32, max: NonZeroU32) {
        (self.settings.min, self.settings.max) = (min, max);
        self.limit = self.settings.clamp(self.limit);
    }

    fn is_window_full(&self) -> bool {
        let (seconds, count) = (self.evidence.seconds, self.evidence.count());
        seconds >= (2.0 * self.typical).max(0.1) && count >= ENOUGH || seconds >= 2.0 && count >= FEW
    }

    fn close(&mut self) -> Reason {
        let level = self.evidence.level(self.limit, self.baseline.map_or(1.0, |baseline| baseline.variance), 1.0);
        let evidence = std::mem::take(&mut self.evidence);
        let times = level.times;
        (self.closed, self.typical) = (times, times.seconds());
        let baseline = self.learn(&level);
        let error = times.error_of_difference(&baseline);
        let excess = times.mean - baseline.mean - LONGER;
        if excess < error {
            // Larger than what is seen now only as long as that is seen from time to time.
            self.reach = level.in_flight.max(self.reach + FADE * (level.in_flight - self.reach));
        }
        let in_force = evidence.in_flight_max;
        if !evidence.is_constrained(in_force.max(1)) {
            return Reason::Unused;
        }
        let crowded = excess > 2.0 * error;
        let wanted = match crowded {
            true => (level.in_flight * (-excess).exp()).max(self.reach.min(level.in_flight)),
            // How many more is not to be seen from here.
            false => (level.in_flight * MORE).max(level.in_flight + 1.0),
        };
        self.limit = self.settings.clamp(self.limit + GAIN * (wanted - self.limit));
        if crowded { Reason::Crowded } else { Reason::Steady }
    }

    /// The baseline falls at once to what is clearly shorter, and otherwise goes slowly with what is seen where there are few.
    fn learn(&mut self, level: &Level) -> Estimate {
        let times = level.times;
        let next = match self.baseline {
            None => times,
            Some(known) if times.mean - known.mean < -4.0 * times.error_of_difference(&known) => times,
            Some(known) if level.in_flight <= 0.7 * self.reach => {
                let mean = known.mean + 0.02 * (times.mean - known.mean);
                Estimate { mean, ..known.pooled(&times, 3000.0) }
            }
            Some(known) => known,
        };
        self.baseline = Some(next);
        next
    }
}

/// Answers that close a window.
const ENOUGH: f64 = 50.0;
/// The same for one of two seconds.
const FEW: f64 = 8.0;
/// How much longer, as a logarithm, is not yet crowded.
const LONGER: f64 = 0.07;
/// How much more is worth a try where nothing is crowded.
const MORE: f64 = 1.25;
/// The part of the way that a window leads.
const GAIN: f64 = 0.2;
/// The part of the way that the reach falls with each window.
const FADE: f64 = 0.001;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limit::Moments;

    /// A tenth of a second with so many in flight, each of which takes so long.
    fn window(in_flight: u32, takes: f64, constrained: bool) -> Window {
        let count = (f64::from(in_flight) / takes / 10.0) as u64;
        let ln = takes.ln();
        let sum = count as f64 * ln;
        let answered = Moments { count, sum, squares: sum * ln + 0.2 * count as f64 };
        Window {
            duration: Duration::from_millis(100),
            answered,
            arrivals: count,
            constrained: if constrained { count } else { 0 },
            in_flight,
            in_flight_max: in_flight,
            ..Window::default()
        }
    }

    fn observer() -> Observer {
        let number = |number| NonZeroU32::new(number).expect("not zero");
        Observer::new(Settings { start: Start::At(number(100)), ..Settings::new(number(5), number(300)) })
    }

    fn seen(observer: &mut Observer, in_flight: u32, takes: f64, constrained: bool) -> Decision {
        let decisions = (0..600).map(|_| observer.update(&window(in_flight, takes, constrained)));
        decisions.filter(|decision| decision.reason != Reason::Gathering).last().expect("it has seen enough")
    }

    #[test]
    fn a_limit_that_is_too_high_shows_by_what_takes_longer_at_it() {
        let mut observer = observer();
        assert_eq!(seen(&mut observer, 10, 0.05, false), Decision { limit: 100, reason: Reason::Unused });
        // Forty places: at a hundred, all take two and a half times as long.
        let Decision { limit, reason } = seen(&mut observer, 100, 0.125, true);
        assert_eq!(reason, Reason::Crowded);
        assert!((36..=48).contains(&limit), "{limit}");
    }

    #[test]
    fn what_was_seen_uncrowded_is_not_too_many() {
        let mut observer = observer();
        seen(&mut observer, 10, 0.05, false);
        seen(&mut observer, 38, 0.05, false);
        // Crowded, the upstream does less: that alone would say twenty.
        let Decision { limit, .. } = seen(&mut observer, 100, 0.25, true);
        assert!((30..=48).contains(&limit), "{limit}");
    }

    #[test]
    fn a_limit_that_holds_back_what_is_not_crowded_could_be_higher() {
        let mut observer = observer();
        seen(&mut observer, 4, 0.05, false);
        let Decision { limit, reason } = seen(&mut observer, 20, 0.05, true);
        assert_eq!((limit, reason), (25, Reason::Steady));
    }

    #[test]
    fn a_limit_that_holds_nobody_back_says_nothing() {
        let mut observer = observer();
        seen(&mut observer, 10, 0.05, false);
        assert_eq!(seen(&mut observer, 40, 0.2, false), Decision { limit: 100, reason: Reason::Unused });
    }

    #[test]
    fn the_bounds_hold() {
        let mut observer = observer();
        seen(&mut observer, 3, 0.05, false);
        assert_eq!(seen(&mut observer, 20, 1.0, true).limit, 5);
        observer.set_bounds(NonZeroU32::new(50).unwrap(), NonZeroU32::new(60).unwrap());
        assert_eq!(observer.limit(), 50);
    }
}
