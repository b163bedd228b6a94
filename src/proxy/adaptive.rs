//! Which limits of a plan find themselves, and whoever keeps house for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::sampling::Sampled;
use super::settings::Plan;
use super::shared::Shared;
use crate::admission::{self, Adaptive, AdaptiveSettings, Limiter, TICK};

/// A limit that finds itself, or has a shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveLimit {
    /// Index into the plan's limits.
    pub limit: usize,
    /// How.
    pub settings: AdaptiveSettings,
}

impl Plan {
    /// How many permits a limit has, for people: "20", or "1 to 500" where it finds itself.
    pub fn permits(&self, limit: usize) -> String {
        match self.adaptive_of(limit) {
            Some(AdaptiveSettings { min, max, shadow: false, .. }) => format!("{min} to {max}"),
            _ => self.limits[limit].limit.to_string(),
        }
    }

    /// How a limit finds itself, or what its shadow is like.
    pub fn adaptive_of(&self, limit: usize) -> Option<&AdaptiveSettings> {
        self.adaptive.iter().find(|each| each.limit == limit).map(|each| &each.settings)
    }
}

/// What finds the limits of `plan`, made anew where `before` has none for the same limit: as many as there are limits.
/// Nothing has changed until [`put_in_force`].
pub(super) fn of_plan(plan: &Plan, limiters: &[Limiter], before: &Shared) -> Vec<Option<Adaptive>> {
    let mut all = vec![None; limiters.len()];
    for AdaptiveLimit { limit, settings } in &plan.adaptive {
        let limiter = &limiters[*limit];
        let known = before.adaptive.iter().find(|known| known.limiter().name() == limiter.name());
        all[*limit] = Some(match known {
            Some(known) => known.clone(),
            None => {
                let was = before.limiters().iter().any(|other| other.name() == limiter.name());
                Adaptive::new(limiter.clone(), *settings, was.then(|| limiter.limit()), before.workers)
            }
        });
    }
    all
}

/// Where samples of a route with these limits go.
pub(super) fn sampled(limits: &[usize], adaptive: &[Option<Adaptive>]) -> Sampled {
    let samples = limits.iter().filter_map(|limit| adaptive[*limit].as_ref());
    let samples: Vec<_> = samples.map(|adaptive| adaptive.samples().clone()).collect();
    (!samples.is_empty()).then(|| samples.into())
}

/// The settings of the plan hold for what finds its limits, and what was found for its limits.
pub(super) fn put_in_force(
    of_plan: &[AdaptiveLimit],
    limits: &mut [admission::Settings],
    adaptive: &[Option<Adaptive>],
) {
    for AdaptiveLimit { limit, settings } in of_plan {
        let Some(adaptive) = &adaptive[*limit] else { continue };
        adaptive.reconfigure(*settings);
        if !settings.shadow {
            let of_limit = &mut limits[*limit];
            of_limit.limit = adaptive.limit();
            of_limit.queue = if settings.queue_follows { adaptive.default_queue() } else { of_limit.queue };
        }
    }
}

/// Keeps house for all of them. Never ends.
pub(super) async fn keep_house(all: Arc<[Adaptive]>) {
    let mut ticks = interval(TICK);
    // A window lasts as long as it lasts.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut idle = true;
        for adaptive in &*all {
            idle &= adaptive.tick();
        }
        if idle {
            tokio::time::sleep(IDLE).await;
        }
    }
}

/// Where there are no requests, it looks after so long. Long against a tick, short against what a limit needs to learn.
const IDLE: Duration = Duration::from_millis(90);
