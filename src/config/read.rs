//! The merged tree becomes settings.

use config::{Map, Value};

use super::limits;
use super::overridable::Overridable;
use super::report::{Report, problem};
use super::routes::{self, Route};
use super::section::Section;
use super::shared::SharedLimits;
use super::{Settings, admin, log, response_headers, server, upstreams};
use crate::proxy::{Cost, Plan};

/// Tables that a later version will have.
const TABLES_NOT_YET: &[&str] = &["tracing", "fleet"];

const WHAT_TO_WRITE: &str = "write [upstreams.default] with url = \"http://127.0.0.1:3000\" and [routes.default] with \
                             limit = 20, or use --upstream URL --limit N";

/// Reads all sections. `None` if something is missing, which has been reported.
pub(super) fn settings(tree: Map<String, Value>, report: &Report) -> Option<Settings> {
    let mut root = Section::root(tree, report);
    let (server, preflight) = server::read(root.section("server"), report);
    let admin = admin::read(root.section("admin"), report);
    let log = log::read(root.section("log"));
    let response_headers = response_headers::read(root.section("response_headers"));

    let mut limit_sections = root.named_sections("limits");
    let shared = SharedLimits::sort(&mut limit_sections, report);
    let defaults = defaults(root.section("defaults"), &shared, report);
    let limits: Vec<_> = limit_sections
        .into_iter()
        .map(|(name, section)| limits::read(&name, section, &defaults.keys, report))
        .collect();

    let upstream_sections = root.named_sections("upstreams");
    let names: Vec<String> = upstream_sections.iter().map(|(name, _)| name.clone()).collect();
    let upstreams: Vec<_> =
        upstream_sections.into_iter().filter_map(|(name, section)| upstreams::read(&name, section, report)).collect();

    let route_sections = root.named_sections("routes");
    let no_routes = route_sections.is_empty();
    let routes: Vec<Route> = route_sections
        .into_iter()
        .map(|(name, section)| routes::read(name, section, &defaults, &shared, &names, report))
        .collect();
    root.finish(TABLES_NOT_YET);

    match (names.is_empty(), no_routes) {
        (true, true) => nothing_configured("neither an upstream nor a route is configured", report),
        (true, false) => nothing_configured("no upstream is configured", report),
        (false, true) => nothing_configured("no route is configured", report),
        (false, false) => {}
    }
    routes::check_conflicts(&routes, report);

    // One that could not be read has been reported, and then the plan is not used.
    let complete = limits.iter().all(Option::is_some);
    let plan = routes::plan(upstreams, routes, limits.into_iter().flatten().collect(), preflight);
    let plan = Plan { response_headers, ..plan };
    warn_of_unused(&plan, &names, report);
    if complete {
        check_claims(&plan, report);
        warn_of_keys(&plan, &server, report);
    }
    Some(Settings { server, plan, admin, log_level: log.level, access_log: log.access, log_format: log.format })
}

fn nothing_configured(message: &str, report: &Report) {
    let place = report.origins.first_file().unwrap_or_default();
    report.error(problem(place, "", message).help(WHAT_TO_WRITE));
}

fn warn_of_unused(plan: &Plan, upstreams: &[String], report: &Report) {
    let warn = |key: String| report.warning(problem(&report.place_of(&key), &*key, "is used by no route"));
    for (index, name) in upstreams.iter().enumerate() {
        if !plan.routes.iter().any(|route| route.upstream == index) {
            warn(format!("upstreams.{name}"));
        }
    }
    for (index, limit) in plan.limits.iter().enumerate() {
        if !plan.routes.iter().any(|route| route.limits.contains(&index)) {
            warn(format!("limits.{}", limit.name));
        }
    }
}

/// A request that takes more than a limit has would never be admitted.
fn check_claims(plan: &Plan, report: &Report) {
    for route in &plan.routes {
        let Cost::Fixed(cost) = route.claim.cost else { continue };
        let limits = route.limits.iter().map(|limit| &plan.limits[*limit]);
        for limit in limits.filter(|limit| limit.limit.get() < cost) {
            let key = format!("routes.{}.cost", route.name);
            let message = format!("takes {cost} permits, and the limit \"{}\" has {}", limit.name, limit.limit);
            report.error(problem(&report.place_of(&key), &*key, message).help("lower the cost, or raise the limit"));
        }
    }
}

fn warn_of_keys(plan: &Plan, server: &crate::server::Settings, report: &Report) {
    for (index, (limit, rules)) in plan.limits.iter().zip(&plan.keys).enumerate() {
        let Some(rules) = rules else { continue };
        let shared = format!("limits.{}.key", limit.name);
        let key = if report.origins.key(&shared).is_some() { shared } else { format!("routes.{}.key", limit.name) };
        let warn = |message: String, help: &str| {
            report.warning(problem(&report.place_of(&key), &*key, message).help(help));
        };
        if rules.expression.names_client_ip() && server.trusted_proxies.is_empty() {
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

fn defaults(mut section: Section<'_>, shared: &SharedLimits, report: &Report) -> Overridable {
    let defaults = Overridable::take(&mut section, shared, report);
    section.finish(&[limits::NOT_YET, routes::OWN_KEYS].concat());
    defaults
}
