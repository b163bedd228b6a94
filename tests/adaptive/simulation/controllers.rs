//! What sets the limit in the simulation: a number, the shipped controller, or a published one.

use std::time::Duration;

use sluicegate::limit::{Knee, LimitAlgorithm, Reason, Settings, Window};

/// A request that has been answered, or given up.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) now: f64,
    /// From its admission to now.
    pub(crate) time: f64,
    /// Those in flight before it.
    pub(crate) in_flight: u32,
    pub(crate) cut: bool,
}

pub(crate) trait Controller {
    fn limit(&self) -> u32;
    fn arrival(&mut self, _constrained: bool) {}
    fn began(&mut self, _in_flight: u32) {}
    fn sample(&mut self, _sample: Sample) {}
    /// Every 10 ms.
    fn tick(&mut self, _now: f64, _in_flight: u32) {}
}

pub(crate) struct Fixed(pub(crate) u32);

impl Controller for Fixed {
    fn limit(&self) -> u32 {
        self.0
    }
}

/// The shipped controller, with a sampler and a housekeeper as they are in the proxy.
pub(crate) struct Shipped {
    knee: Knee,
    limit: u32,
    window: Window,
    visited: f64,
    /// Changes, when there is somebody to read them.
    pub(crate) trace: Option<Vec<(f64, u32, Reason, f64)>>,
}

impl Shipped {
    pub(crate) fn new(settings: Settings) -> Self {
        let knee = Knee::new(settings);
        Shipped { limit: knee.limit(), knee, window: Window::default(), visited: 0.0, trace: None }
    }

    pub(crate) fn knee(&self) -> &Knee {
        &self.knee
    }
}

impl Controller for Shipped {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn arrival(&mut self, constrained: bool) {
        self.window.arrivals += 1;
        self.window.constrained += u64::from(constrained);
    }

    fn began(&mut self, in_flight: u32) {
        self.window.in_flight_max = self.window.in_flight_max.max(in_flight);
    }

    fn sample(&mut self, sample: Sample) {
        let moments = if sample.cut { &mut self.window.cut } else { &mut self.window.answered };
        moments.add(Duration::from_secs_f64(sample.time));
    }

    fn tick(&mut self, now: f64, in_flight: u32) {
        self.window.duration = Duration::from_secs_f64(now - self.visited);
        self.window.in_flight = in_flight;
        self.visited = now;
        let window = std::mem::take(&mut self.window);
        self.window.in_flight_max = in_flight;
        let decision = self.knee.update(&window);
        self.limit = decision.limit;
        if decision.reason != Reason::Gathering
            && let Some(trace) = &mut self.trace
        {
            trace.push((now, decision.limit, decision.reason, self.knee.baseline().unwrap_or_default()));
        }
    }
}
