//! `max_connections = "limit"` needs limits that bound what is in flight.

use super::report::{Report, problem};
use crate::admission::Hold;
use crate::proxy::{Plan, Preflight, RouteSettings};
use crate::upstream::MaxConnections;

/// Reports an upstream that was to have as many connections as its limits let requests through, where they let through any
/// number. Where nothing was written that is as well, and then there may be any number.
pub(super) fn check(plan: &Plan, report: &Report) {
    let bounds =
        |limit: &usize| plan.limits.get(*limit).is_none_or(|limit| !limit.dry_run && limit.hold == Hold::Response);
    let is_bounded = |route: &&RouteSettings| route.limits.iter().any(bounds);
    for (index, upstream) in plan.upstreams.iter().enumerate() {
        let key = format!("upstreams.{}.max_connections", upstream.name);
        let Some(place) = report.origins.key(&key).filter(|_| upstream.max_connections == MaxConnections::Limit) else {
            continue;
        };
        let mut routes = plan.routes.iter().filter(|route| route.upstream == index);
        let message = if plan.preflight == Preflight::Exempt {
            "is \"limit\", and preflights are exempt from all limits".to_owned()
        } else if let Some(route) = routes.find(|route| !is_bounded(route)) {
            format!("is \"limit\", and no limit bounds what is in flight by routes.{}", route.name)
        } else {
            continue;
        };
        let place = place.to_owned();
        report.error(
            problem(&place, key, message).help("write a number, or remove the key: then there may be any number"),
        );
    }
}
