//! A limit that finds itself: what was seen goes into a controller, and what it decides into the gate.
//!
//! Whoever forwards requests adds [samples](Samples), each worker to its own; whoever keeps house calls
//! [`Adaptive::tick`] every [`TICK`], which makes a window of them, asks the controller, and puts its answer in force by
//! the way that every change of a limit takes: lowering cuts nobody, raising wakes waiters at once. While an operator has
//! set the number or frozen it, the controller rests and later goes on from where it was. As a *shadow* it is asked all
//! the same, and nothing is put in force.

mod samples;
mod status;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use samples::{Samples, Seen};
pub use status::{AdaptiveStatus, Adjusted};

use super::counts::Demand;
use super::limiter::Limiter;
use super::settings::{LIMIT_MAX, default_queue};
use crate::limit::{Decision, Estimate, Knee, LimitAlgorithm, Observer, Reason, Start, Window};

/// How often [`Adaptive::tick`] is to be called while there are requests: a few times per round trip of the fastest.
pub const TICK: Duration = Duration::from_millis(10);

/// How a limit finds itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveSettings {
    /// Never below.
    pub min: NonZeroU32,
    /// Never above; at least `min`.
    pub max: NonZeroU32,
    /// Where it begins. `None`: ten, within the bounds, or where the limit was if there was one before.
    pub initial: Option<NonZeroU32>,
    /// Whether it is only computed, beside a fixed limit that is in force.
    pub shadow: bool,
    /// Whether as many may wait as belongs to the limit: nobody has said how many. Means nothing for a shadow.
    pub queue_follows: bool,
}

/// A handle to what finds a limit. Clones share it.
#[derive(Debug, Clone)]
pub struct Adaptive(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limiter: Limiter,
    samples: Arc<Samples>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: AdaptiveSettings,
    controller: Controller,
    /// When the last window was closed, and what had been seen by then.
    visited: Instant,
    seen: Seen,
    demand: Demand,
    /// The limit for the queue's default: the largest that was in force lately. A trial with less must not turn away
    /// those whom there was room for.
    room: f64,
    adjusted: Adjusted,
    since: Instant,
    changes: [u64; Reason::ALL.len()],
}

#[derive(Debug)]
enum Controller {
    /// In force: it learns by moving the limit.
    Knee(Box<Knee>),
    /// A shadow: it learns from what others do.
    Observer(Box<Observer>),
}

impl Adaptive {
    /// What finds the limit of `limiter` from now on, with samples of so many workers. Nothing is in force before the
    /// first [tick](Adaptive::tick); [`limit`](Adaptive::limit) says where it begins. `before` is the limit that was in
    /// force until now, if there was one.
    pub fn new(limiter: Limiter, settings: AdaptiveSettings, before: Option<u32>, workers: usize) -> Self {
        let samples = Arc::new(Samples::new(workers));
        let controller = Controller::new(&settings, settings.initial.or(before.and_then(NonZeroU32::new)));
        let now = Instant::now();
        let adjusted = Adjusted { limit: controller.limit(), reason: Reason::Gathering };
        let state = State {
            settings,
            visited: now,
            seen: Seen::default(),
            demand: limiter.demand(),
            room: f64::from(controller.limit()),
            adjusted,
            since: now,
            changes: [0; Reason::ALL.len()],
            controller,
        };
        Adaptive(Arc::new(Inner { limiter, samples, state: Mutex::new(state) }))
    }

    /// The limit that it finds.
    pub fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// Where samples go.
    pub fn samples(&self) -> &Arc<Samples> {
        &self.0.samples
    }

    /// What it has decided last, within its bounds.
    pub fn limit(&self) -> NonZeroU32 {
        self.lock().limit()
    }

    /// Whether it is a shadow.
    pub fn is_shadow(&self) -> bool {
        self.lock().settings.shadow
    }

    /// How many may wait by default: four for each permit, by the most permits of the last seconds.
    pub fn default_queue(&self) -> u32 {
        self.lock().queue()
    }

    /// Takes other settings. What is known stays, and the limit within the new bounds; a shadow that is put in force
    /// begins with what it has found.
    pub fn reconfigure(&self, settings: AdaptiveSettings) {
        let state = &mut *self.lock();
        let before = std::mem::replace(&mut state.settings, settings);
        match &mut state.controller {
            _ if before == settings => return,
            Controller::Knee(knee) if !settings.shadow => knee.set_bounds(settings.min, settings.max),
            Controller::Observer(observer) if settings.shadow => observer.set_bounds(settings.min, settings.max),
            other => {
                let limit = NonZeroU32::new(other.limit());
                *other = Controller::new(&settings, settings.initial.or(limit));
            }
        }
        state.decided(Decision { limit: state.controller.limit(), reason: state.adjusted.reason }, Instant::now());
    }

    /// Closes the window since the last call, and puts in force what follows from it. To be called every [`TICK`] while
    /// there are requests. Returns whether there were none.
    pub fn tick(&self) -> bool {
        let now = Instant::now();
        let limiter = &self.0.limiter;
        let state = &mut *self.lock();
        let window = state.window(&self.0.samples, limiter, now);
        let decision = state.decide(&window, limiter);
        if !matches!(decision.reason, Reason::Gathering | Reason::Frozen | Reason::Pinned) {
            log(limiter, decision, &state.controller);
        }
        state.decided(decision, now);
        state.keep_room(window.duration);
        if !state.settings.shadow {
            limiter.set_found(state.limit(), state.settings.queue_follows.then(|| state.queue()));
        }
        window.arrivals == 0 && window.in_flight == 0
    }

    /// Does what an operator has just said without waiting for the next [tick](Adaptive::tick), so that the number in
    /// force and the reason are those of now. A shadow moves nothing, and heeds nobody.
    pub fn heed(&self) {
        let limiter = &self.0.limiter;
        let state = &mut *self.lock();
        let Controller::Knee(knee) = &mut state.controller else { return };
        let hands_off = limiter.hands_off();
        knee.freeze(hands_off.is_some());
        let decision = Decision { limit: knee.limit(), reason: hands_off.unwrap_or(Reason::Gathering) };
        state.decided(decision, Instant::now());
        limiter.set_found(state.limit(), state.settings.queue_follows.then(|| state.queue()));
    }

    /// What there is to be seen of it.
    pub fn status(&self) -> AdaptiveStatus {
        let state = self.lock();
        AdaptiveStatus {
            settings: state.settings,
            last: state.adjusted,
            since: state.since.elapsed(),
            baseline: state.controller.baseline(),
            changes: Reason::ALL.map(|reason| (reason, state.changes[reason as usize])),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned one holds a controller that is as good as any.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn limit(&self) -> NonZeroU32 {
        NonZeroU32::new(self.controller.limit().min(LIMIT_MAX)).unwrap_or(self.settings.min)
    }

    fn queue(&self) -> u32 {
        default_queue(NonZeroU32::new(self.room as u32).unwrap_or(NonZeroU32::MIN))
    }

    /// What was seen since the last time.
    fn window(&mut self, samples: &Samples, limiter: &Limiter, now: Instant) -> Window {
        let seen = samples.read();
        let demand = limiter.demand();
        let in_flight = limiter.in_flight();
        let since = seen.since(&std::mem::replace(&mut self.seen, seen));
        let came = demand.since(std::mem::replace(&mut self.demand, demand));
        Window {
            duration: now.saturating_duration_since(std::mem::replace(&mut self.visited, now)),
            answered: since.answered,
            cut: since.cut,
            failed: since.failed,
            arrivals: came.came,
            constrained: came.held_back,
            in_flight,
            // Who is held back has found it full.
            in_flight_max: if came.held_back > 0 { in_flight.max(limiter.limit()) } else { in_flight },
        }
    }

    fn decide(&mut self, window: &Window, limiter: &Limiter) -> Decision {
        match &mut self.controller {
            Controller::Observer(observer) => observer.update(window),
            Controller::Knee(knee) => {
                // Where nothing is enforced, no trial says anything.
                let hands_off = limiter.hands_off();
                knee.freeze(hands_off.is_some());
                let decision = knee.update(window);
                Decision { reason: hands_off.unwrap_or(decision.reason), ..decision }
            }
        }
    }

    fn decided(&mut self, Decision { limit, reason }: Decision, now: Instant) {
        if limit != self.adjusted.limit {
            self.changes[reason as usize] += 1;
        }
        // What changes nothing and says nothing is not news, but that nobody holds it any more is.
        let was_held = matches!(self.adjusted.reason, Reason::Frozen | Reason::Pinned);
        let says_something = reason != Reason::Gathering || was_held;
        if limit != self.adjusted.limit || (says_something && reason != self.adjusted.reason) {
            self.since = now;
            self.adjusted = Adjusted { limit, reason };
        }
    }

    /// The room shrinks to the limit by a tenth a second.
    fn keep_room(&mut self, passed: Duration) {
        let limit = f64::from(self.controller.limit());
        self.room = (self.room * (-0.1 * passed.as_secs_f64()).exp()).max(limit);
    }
}

impl Controller {
    fn new(settings: &AdaptiveSettings, start: Option<NonZeroU32>) -> Self {
        let mut of_limit = crate::limit::Settings::new(settings.min, settings.max);
        if let Some(start) = start {
            of_limit.start = Start::At(start);
        }
        of_limit.seed = fastrand::u64(..);
        match settings.shadow {
            true => Controller::Observer(Box::new(Observer::new(of_limit))),
            false => Controller::Knee(Box::new(Knee::new(of_limit))),
        }
    }

    fn limit(&self) -> u32 {
        match self {
            Controller::Knee(knee) => knee.limit(),
            Controller::Observer(observer) => observer.limit(),
        }
    }

    fn evidence(&self) -> Estimate {
        match self {
            Controller::Knee(knee) => knee.evidence(),
            Controller::Observer(observer) => observer.evidence(),
        }
    }

    fn baseline(&self) -> Option<Duration> {
        let seconds = match self {
            Controller::Knee(knee) => knee.baseline(),
            Controller::Observer(observer) => observer.baseline(),
        };
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

/// What was looked at and decided, for those who want to know every step.
fn log(limiter: &Limiter, decision: Decision, controller: &Controller) {
    let (evidence, baseline) = (controller.evidence(), controller.baseline());
    tracing::debug!(
        limit = limiter.name(),
        n = evidence.count as u64,
        mean_ms = evidence.seconds() * 1e3,
        error_percent = evidence.error().sqrt() * 1e2,
        baseline_ms = baseline.map(|baseline| baseline.as_secs_f64() * 1e3),
        found = decision.limit,
        reason = decision.reason.as_str(),
        "a window"
    );
}
