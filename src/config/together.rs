//! What only shows where limits, routes and the defaults are seen together.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use super::fairness::Fairness;
use super::limits::LONG_WAIT;
use super::report::{Report, problem};
use super::units::show_duration;
use crate::admission::{Key, Rules, Settings};
use crate::proxy::{Cost, KeyRules, Plan, Unknown};
use crate::server::ProxyProtocol;

/// Checks a plan whose parts have been read, rightly or not.
pub(super) fn check(plan: &Plan, server: &crate::server::Settings, report: &Report) {
    check_costs(plan, report);
    check_defaults(plan, report);
    warn_of_keys(plan, server, report);
    warn_of_caps(plan, report);
    warn_of_silence(plan, report);
}

/// A request that takes more than a limit has would never be admitted.
fn check_costs(plan: &Plan, report: &Report) {
    for route in &plan.routes {
        let Cost::Fixed(cost) = route.claim.cost else { continue };
        // What is measured or found may be another number tomorrow.
        let is_fixed = |limit: &&usize| {
            plan.limits[**limit].limit_max.is_none() && !plan.measured.iter().any(|measured| measured.limit == **limit)
        };
        let limits = route.limits.iter().filter(is_fixed).map(|limit| &plan.limits[*limit]);
        for limit in limits.filter(|limit| limit.limit.get() < cost) {
            let table = format!("routes.{}", route.name);
            let place = report.place_of_overridable(&table, "cost");
            let message = format!("takes {cost} permits, and the limit \"{}\" has {}", limit.name, limit.limit);
            let problem = problem(&place, format!("{table}.cost"), message).also(&place_of_limit(&limit.name, report));
            report.error(problem.help("lower the cost, or raise the limit"));
        }
        let capped = |index: &usize| Some((&plan.limits[*index], plan.limits[*index].rules.as_ref()?));
        for (limit, rules) in route.limits.iter().filter_map(capped) {
            // The route's own table, and that of the limit.
            let (table, of_limit) = (format!("routes.{}", route.name), table_of(&limit.name, report));
            for (key, cap, written) in caps(rules).filter(|(_, cap, _)| cap.get() < cost) {
                let message = format!("takes {cost} permits, and {key} may have {cap} of \"{}\"", limit.name);
                let place = report.place_of_overridable(&table, "cost");
                let problem = problem(&place, format!("{table}.cost"), message);
                let problem = problem.also(&report.place_of_overridable(&of_limit, written));
                report
                    .error(problem.help("lower the cost, or raise per_key: it would have to run alone, past the cap"));
            }
        }
    }
}

/// Where the number of permits of a limit was written, be it a shared one or a route's own.
fn place_of_limit(name: &str, report: &Report) -> String {
    match report.origins.key(&format!("limits.{name}.limit")) {
        Some(place) => place.to_owned(),
        None => report.place_of_overridable(&format!("routes.{name}"), "limit"),
    }
}

/// The table of a limit, be it a shared one or a route's.
fn table_of(name: &str, report: &Report) -> String {
    let is_shared = report.origins.key(&format!("limits.{name}")).is_some();
    format!("{}.{name}", if is_shared { "limits" } else { "routes" })
}

/// What keys may have in flight: whose it is, how many, and which key of the configuration says so.
fn caps(rules: &Rules<Key>) -> impl Iterator<Item = (String, NonZeroU32, &'static str)> {
    let all = rules.per_key.map(|cap| ("one key".to_owned(), cap, "per_key"));
    let shared = rules.shared.per_key.map(|cap| ("the shared bucket".to_owned(), cap, "keys"));
    let named = rules.keys.iter().filter_map(|(key, rule)| Some((key, rule.per_key?)));
    let mut named: Vec<_> = named.map(|(key, cap)| (format!("the key \"{key}\""), cap, "keys")).collect();
    named.sort();
    all.into_iter().chain(named).chain(shared)
}

/// What the defaults say of keys is for limits that have one.
fn check_defaults(plan: &Plan, report: &Report) {
    if plan.limits.is_empty() || plan.keys.iter().any(Option::is_some) {
        return;
    }
    let path = |key: &&str| format!("defaults.{key}");
    for path in Fairness::DEPENDENT.iter().map(path).filter(|path| report.origins.key(path).is_some()) {
        let problem = problem(&report.place_of(&path), path, "says nothing: no limit has a `key`");
        report.error(
            problem.help("write key = \"header:x-tenant\", key = \"client_ip\", or what tells whose a request is"),
        );
    }
}

/// A cap above the limit is none.
fn warn_of_caps(plan: &Plan, report: &Report) {
    for (index, limit) in plan.limits.iter().enumerate() {
        // What is measured may be another number tomorrow.
        let Some(rules) = limit.rules.as_ref().filter(|_| plan.measured.iter().all(|one| one.limit != index)) else {
            continue;
        };
        let table = table_of(&limit.name, report);
        let most = limit.limit_max.unwrap_or(limit.limit);
        for (key, cap, written) in caps(rules).filter(|(_, cap, _)| *cap > most) {
            let permits = if most.get() == 1 { "permit" } else { "permits" };
            let message = format!("lets {key} have {cap} of {most} {permits}");
            let place = report.place_of_overridable(&table, written);
            let problem = problem(&place, format!("{table}.{written}"), message);
            let problem = problem.also(&place_of_limit(&limit.name, report));
            report.warning(problem.help("it is no bound: lower it, or raise the limit"));
        }
    }
}

/// Who waits for long and hears nothing is gone before its turn. One warning for each place that says how long.
fn warn_of_silence(plan: &Plan, report: &Report) {
    let mut said = BTreeSet::new();
    for (index, Settings { name, queue_timeout, .. }) in plan.limits.iter().enumerate() {
        let mut routes = plan.routes.iter().filter(|route| route.limits.contains(&index));
        if *queue_timeout < LONG_WAIT || !routes.any(|route| !route.handling.queue_events) {
            continue;
        }
        let table = table_of(name, report);
        let place = report.place_of_overridable(&table, "queue_timeout");
        if said.insert(place.clone()) {
            let own = format!("{table}.queue_timeout");
            let path = if report.origins.key(&own).is_some() { own } else { "defaults.queue_timeout".to_owned() };
            let message = format!("lets clients wait for {} without a sign of life", show_duration(*queue_timeout));
            let help = "most clients and load balancers give up before that: queue_events = \"sse\" tells those of \
                        event streams";
            report.warning(problem(&place, path, message).help(help));
        }
    }
}

fn warn_of_keys(plan: &Plan, server: &crate::server::Settings, report: &Report) {
    for (index, (limit, rules)) in plan.limits.iter().zip(&plan.keys).enumerate() {
        let Some(rules) = rules else { continue };
        let table = table_of(&limit.name, report);
        check_unknown(rules, &table, report);
        let warn = |message: String, help: &str| {
            let place = report.place_of_overridable(&table, "key");
            report.warning(problem(&place, format!("{table}.key"), message).help(help));
        };
        let introduced = server.proxy_protocol == ProxyProtocol::Required;
        if rules.expression.names_client_ip() && server.trusted_proxies.is_empty() && !introduced {
            let message =
                "takes the address of whoever connects for the client's: behind a load balancer that is one for all";
            warn(message.to_owned(), "write its addresses into server.trusted_proxies, or \"private\"");
        }
        for parameter in rules.expression.path_parameters() {
            let lacking = plan.routes.iter().filter(|route| route.limits.contains(&index)).find(|route| {
                let path = route.conditions.path.as_ref();
                path.is_none_or(|path| !path.has_parameter(parameter))
            });
            if let Some(route) = lacking {
                let message = format!("takes {{{parameter}}}, which the path of routes.{} does not have", route.name);
                warn(message, "its requests have no key: missing_key says what becomes of them");
            }
        }
    }
}

/// Where nobody is named, everybody is unknown.
fn check_unknown(rules: &KeyRules, table: &str, report: &Report) {
    let place = report.place_of_overridable(table, "unknown_key");
    let said = |message: &str| problem(&place, format!("{table}.unknown_key"), message);
    let help = "name the known ones: keys = { NAME = { per_key = 5 } }";
    match rules.unknown {
        _ if !rules.named.is_empty() => {}
        Unknown::Own => {}
        Unknown::Shared => report.warning(said("lets all keys share one bucket: `keys` names none").help(help)),
        Unknown::Reject => report.warning(said("turns everybody away who has a key: `keys` names none").help(help)),
    }
}
