//! How fast a full limit makes room.

use std::time::{Duration, Instant};

/// Completions per second while somebody waits: the base of `Retry-After`, and of what is said about a wait in advance.
///
/// Only that time counts. Who waits does so because the limit is full, so its completions are then what the upstream can
/// do; what it does between two bursts says only what was asked of it. Time is added up over the waits until it is a
/// second, or until the line is empty and twenty completions are there; then it counts half towards the estimate, which so
/// follows a change within a few seconds of waiting.
///
/// Once nobody has waited for ten seconds, what was measured turns nobody away any more: it may be another upstream by
/// then. It still serves for `Retry-After`, until there is something newer.
#[derive(Debug, Default)]
pub struct DrainRate {
    /// While somebody waits: up to when that has been added up, and the completions until then.
    waits: Option<Mark>,
    /// The last time that somebody was turned away where nobody may wait.
    asked: Option<Mark>,
    /// When somebody last waited.
    last: Option<Instant>,
    /// What has been added up.
    time: Duration,
    completions: u64,
    per_second: Option<f64>,
    /// Completions that it rests on.
    rests_on: u64,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    completed: u64,
}

/// Shorter windows would measure scheduling.
const WINDOW: Duration = Duration::from_secs(1);
/// The first estimate need not wait for the end of the window once it rests on so many completions.
const FIRST: u64 = 20;
/// If nobody has waited for so long, what was measured then says nothing sure about now.
const GAP: Duration = Duration::from_secs(10);

impl DrainRate {
    /// Takes note of the completions so far, and of whether somebody waits from now on. To be called whenever the latter
    /// changes, and as often as one likes in between.
    pub fn observe(&mut self, now: Instant, completed: u64, somebody_waits: bool) {
        if let Some(mark) = self.waits {
            self.add(mark, now, completed);
            self.last = Some(now);
            self.close(!somebody_waits);
        } else if self.last.is_some_and(|last| now.saturating_duration_since(last) >= GAP) {
            self.forget();
        }
        self.waits = somebody_waits.then_some(Mark { at: now, completed });
        if somebody_waits && self.asked.take().is_some() {
            self.forget();
        }
    }

    /// Takes note of the completions when somebody is turned away because nobody may wait. The limit is full then, and is
    /// taken to have been since the last time, if that is less than a second ago: an estimate from below, by which nobody
    /// is judged.
    pub fn turned_away(&mut self, now: Instant, completed: u64) {
        if let Some(mark) = self.asked.replace(Mark { at: now, completed })
            && now.saturating_duration_since(mark.at) < WINDOW
        {
            self.add(mark, now, completed);
            self.close(false);
        }
    }

    fn add(&mut self, since: Mark, now: Instant, completed: u64) {
        self.time += now.saturating_duration_since(since.at);
        self.completions += completed.saturating_sub(since.completed);
    }

    /// Makes an estimate of what has been added up, if that is enough.
    fn close(&mut self, nobody_waits: bool) {
        let early = (nobody_waits || self.rests_on == 0) && self.completions >= FIRST;
        if self.completions == 0 || self.time.is_zero() || self.time < WINDOW && !early {
            return;
        }
        let sample = self.completions as f64 / self.time.as_secs_f64();
        let before = self.per_second.filter(|_| self.rests_on > 0);
        self.per_second = Some(before.map_or(sample, |rate| (rate + sample) / 2.0));
        self.rests_on = self.rests_on.saturating_add(self.completions);
        (self.time, self.completions) = (Duration::ZERO, 0);
    }

    fn forget(&mut self) {
        (self.time, self.completions, self.rests_on) = (Duration::ZERO, 0, 0);
    }

    /// Whether it is known that somebody waits.
    pub fn is_observed(&self) -> bool {
        self.waits.is_some()
    }

    /// Whether it rests on twenty completions or more, and on ones of late: enough to turn somebody away for it.
    pub fn is_firm(&self) -> bool {
        self.rests_on >= FIRST
    }

    /// Completions per second. `None` before twenty completions, or the first in a second, have been seen.
    pub fn per_second(&self) -> Option<f64> {
        self.per_second
    }
}
