//! Limits whose permits are the slots of an upstream: those that say so, and one behind all others.

use std::num::NonZeroU32;

use super::limits::QueueFollows;
use super::problem::Problem;
use super::report::{Report, problem};
use crate::admission::{self, LIMIT_MAX, default_queue};
use crate::proxy::{Measured, Plan};
use crate::upstream;

/// Gives the limits that say "slots" their numbers, and each upstream with slots a limit of its own, which every route
/// with limits takes last. `slots` are indexes of limits.
pub(super) fn measure(plan: &mut Plan, slots: Vec<(usize, QueueFollows)>, report: &Report) {
    let mut first: Vec<Option<usize>> = vec![None; plan.upstreams.len()];
    for (limit, queue_follows) in slots {
        let Some(upstream) = upstream_of(plan, limit, report) else { continue };
        match first[upstream] {
            Some(other) => warn_of_two(plan, other, limit, upstream, report),
            None => first[upstream] = Some(limit),
        }
        let sum = sum(&plan.upstreams[upstream]);
        let settings = &mut plan.limits[limit];
        settings.limit = sum;
        settings.queue = if queue_follows { default_queue(sum) } else { settings.queue };
        plan.measured.push(Measured { limit, upstream, queue_follows });
    }
    for upstream in 0..plan.upstreams.len() {
        add_last(plan, upstream);
    }
}

/// The limit that lets nobody go upstream without a slot.
fn add_last(plan: &mut Plan, upstream: usize) {
    let settings = &plan.upstreams[upstream];
    let limited = plan.routes.iter_mut().filter(|route| route.upstream == upstream && !route.limits.is_empty());
    let mut routes: Vec<_> = limited.collect();
    if settings.slots.is_empty() || routes.is_empty() {
        return;
    }
    // No name of an operator's choice has a dot.
    let default = admission::Settings::new(format!("upstreams.{}", settings.name), sum(settings));
    // All limits of a request share the shortest wait, and this one has no say in it.
    // Where one could not be read, which has been reported, there are fewer than the routes name.
    let named = routes.iter().flat_map(|route| &route.limits).filter_map(|limit| plan.limits.get(*limit));
    let longest = named.map(|limit| limit.queue_timeout).max();
    let queue_timeout = default.queue_timeout.max(longest.unwrap_or_default());
    let limit = plan.limits.len();
    routes.iter_mut().for_each(|route| route.limits.push(limit));
    plan.limits.push(admission::Settings { takes_one: true, queue_timeout, ..default });
    plan.keys.push(None);
    plan.measured.push(Measured { limit, upstream, queue_follows: true });
}

/// The one upstream whose slots they are, or a report.
fn upstream_of(plan: &Plan, limit: usize, report: &Report) -> Option<usize> {
    let mut upstreams: Vec<usize> =
        plan.routes.iter().filter(|route| route.limits.contains(&limit)).map(|route| route.upstream).collect();
    upstreams.sort_unstable();
    upstreams.dedup();
    match upstreams[..] {
        // That it is used by no route is told elsewhere.
        [] => None,
        [upstream] => {
            // One that could not be read has been reported.
            let settings = plan.upstreams.get(upstream)?;
            if settings.slots.is_empty() {
                let message = format!("is \"slots\", and the endpoints of upstreams.{} have none", settings.name);
                let help = format!("write slots = 4 into [upstreams.{}], or a number here", settings.name);
                report.error(at(plan, limit, &message, report).help(help));
                return None;
            }
            Some(upstream)
        }
        _ => {
            let message = "is \"slots\", and its routes lead to several upstreams";
            let help = "give each upstream a limit of its own, or write a number";
            report.error(at(plan, limit, message, report).help(help));
            None
        }
    }
}

fn warn_of_two(plan: &Plan, one: usize, other: usize, upstream: usize, report: &Report) {
    let name = &plan.upstreams[upstream].name;
    let message = format!("and \"{}\" are two limits of the slots of upstreams.{name}", plan.limits[one].name);
    let help = format!("write one [limits.{name}] with limit = \"slots\", and limits = [\"{name}\"] on the routes");
    report.warning(at(plan, other, &message, report).help(help));
}

fn at(plan: &Plan, limit: usize, message: &str, report: &Report) -> Problem {
    let name = &plan.limits[limit].name;
    let shared = format!("limits.{name}.limit");
    let inline = format!("routes.{name}.limit");
    let key = [shared, inline].into_iter().find(|key| report.origins.key(key).is_some());
    let key = key.unwrap_or_else(|| "defaults.limit".to_owned());
    problem(&report.place_of(&key), key, message)
}

fn sum(upstream: &upstream::Settings) -> NonZeroU32 {
    let sum = upstream.slots.iter().map(|slots| slots.get()).fold(0, u32::saturating_add);
    NonZeroU32::new(sum.min(LIMIT_MAX)).unwrap_or(NonZeroU32::MIN)
}
