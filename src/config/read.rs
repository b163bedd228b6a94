//! The merged tree becomes settings.

use config::{Map, Value};

use super::limits;
use super::overridable::Overridable;
use super::report::{Report, problem};
use super::routes::{self, Route};
use super::section::Section;
use super::shared::SharedLimits;
use super::{Settings, admin, log, server, upstreams};
use crate::proxy::Plan;

/// Tables that a later version will have.
const TABLES_NOT_YET: &[&str] = &["response_headers", "tracing", "fleet"];

const WHAT_TO_WRITE: &str = "write [upstreams.default] with url = \"http://127.0.0.1:3000\" and [routes.default] with \
                             limit = 20, or use --upstream URL --limit N";

/// Reads all sections. `None` if something is missing, which has been reported.
pub(super) fn settings(tree: Map<String, Value>, report: &Report) -> Option<Settings> {
    let mut root = Section::root(tree, report);
    let (server, preflight) = server::read(root.section("server"), report);
    let admin = admin::read(root.section("admin"), report);
    let log = log::read(root.section("log"));

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
        upstream_sections.into_iter().filter_map(|(name, section)| upstreams::read(&name, section)).collect();

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
    let plan = routes::plan(upstreams, routes, limits.into_iter().flatten().collect(), preflight);
    warn_of_unused(&plan, &names, report);
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

fn defaults(mut section: Section<'_>, shared: &SharedLimits, report: &Report) -> Overridable {
    let defaults = Overridable::take(&mut section, shared, report);
    section.finish(&[limits::NOT_YET, routes::NOT_YET, routes::OWN_KEYS].concat());
    defaults
}
