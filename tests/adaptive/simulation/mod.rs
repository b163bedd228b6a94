//! Clients, a gate with the shipped queue and controller, and a server that has a knee, as a discrete-event model.
//!
//! A request first waits at the server for nothing in particular (`pause`), then needs so many seconds of its processors
//! (`work`). With n requests on C processors each goes at min(1, C/n), over the [`Crowding`]'s toll for n > C. What
//! clients have given up is worked on all the same, and keeps its permit, as behind most servers. Goodput is work that
//! was finished in time. The gate does what admission does: in at once if nobody waits, else estimate, make room, join.

pub(crate) mod controllers;
mod draw;
mod model;
pub(crate) mod published;
pub(crate) mod scenarios;
pub(crate) mod score;
mod server;

pub(crate) use draw::Draw;
pub(crate) use model::{Outcome, run};
pub(crate) use scenarios::Scenario;

/// A value from each moment on, the first at 0.
pub(crate) type Steps = Vec<(f64, f64)>;

pub(crate) fn at(steps: &Steps, time: f64) -> f64 {
    steps.iter().take_while(|(from, _)| *from <= time).last().map_or(0.0, |(_, value)| *value)
}

/// What being too many costs, beyond taking turns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Crowding {
    /// Throughput is 1 / (1 + k (n - C) / C) of the best.
    Linear(f64),
    /// Throughput is (C / n)^2 of the best.
    Square,
}

/// One kind of request.
#[derive(Debug, Clone)]
pub(crate) struct Class {
    pub(crate) per_second: Steps,
    pub(crate) pause: Draw,
    pub(crate) work: Draw,
    /// The client gives up after so many seconds.
    pub(crate) patience: f64,
}

/// More and less load in turns, the mean as it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bursts {
    pub(crate) times: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
}

#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) ends: f64,
    pub(crate) capacity: Steps,
    pub(crate) crowding: Crowding,
    /// What pauses take, as a multiple.
    pub(crate) pauses: Steps,
    pub(crate) classes: Vec<Class>,
    pub(crate) bursts: Option<Bursts>,
    /// What clients have given up gives its permit back at once, though it is worked on.
    pub(crate) forgets: bool,
    /// Waiting longer is judged on arrival; the order is `adaptive_lifo`.
    pub(crate) queue_timeout: f64,
}
