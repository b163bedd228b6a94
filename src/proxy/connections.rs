//! How many connections an upstream can need: one for each request that may be in flight there.

use std::sync::Arc;

use super::preflight::Preflight;
use super::shared::Shared;
use crate::admission::{Hold, Limiter, Limits};

/// The routes to one upstream, as far as they bound what is in flight there.
#[derive(Debug)]
pub(super) struct Needed {
    routes: Vec<Bounds>,
    /// Limits of earlier plans: what they have let in is still under way.
    retired: Arc<[Limiter]>,
    /// Whether there are requests that take no permit, whatever their route says.
    exempt: bool,
}

/// What bounds a route.
#[derive(Debug)]
struct Bounds {
    limits: Option<Limits>,
    upgrades: Option<Limiter>,
}

impl Needed {
    /// Of each upstream, in the order of the plan. One pass over the routes: a plan may have thousands of both.
    pub(super) fn of_all(shared: &Shared) -> Vec<Self> {
        let exempt = shared.preflight == Preflight::Exempt;
        let retired: Arc<[Limiter]> = shared.retired.as_slice().into();
        let none = |_| Needed { routes: Vec::new(), retired: retired.clone(), exempt };
        let mut all: Vec<_> = shared.upstreams.iter().map(none).collect();
        for route in &shared.all_routes {
            let bounds = Bounds { limits: route.limits.clone(), upgrades: route.upgrades().cloned() };
            all[route.settings.upstream].routes.push(bounds);
        }
        all
    }

    /// How many there can be at once, with the limits that are in force now. `None` where nothing bounds them.
    ///
    /// Of the limits of a route the narrowest counts, and one that several routes share counts once.
    pub(super) fn count(&self) -> Option<u32> {
        if self.exempt {
            return None;
        }
        let mut narrowest: Vec<&Limiter> = Vec::with_capacity(self.routes.len());
        for route in &self.routes {
            let limiters = route.limits.as_ref()?.limiters();
            let limiter = limiters.iter().filter(|limiter| bounds(limiter)).min_by_key(|limiter| limiter.limit())?;
            narrowest.push(limiter);
        }
        narrowest.sort_unstable_by_key(|limiter| limiter.name());
        narrowest.dedup_by_key(|limiter| limiter.name());
        let upgrades = self.routes.iter().filter_map(|route| route.upgrades.as_ref());
        // After a limit has been lowered, more may be in flight for a while.
        let now = narrowest.into_iter().chain(upgrades).map(|limiter| limiter.limit().max(limiter.in_flight()));
        let before = self.retired.iter().map(Limiter::in_flight);
        Some(now.chain(before).fold(0, u32::saturating_add).max(1))
    }
}

/// Whether there is never more in flight than it has permits.
fn bounds(limiter: &Limiter) -> bool {
    !limiter.is_dry_run() && limiter.settings().hold == Hold::Response
}
