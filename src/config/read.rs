//! The merged tree becomes settings.

use config::{Map, Value};
use tracing_subscriber::EnvFilter;

use super::limits;
use super::overridable::Overridable;
use super::report::{Report, problem};
use super::routes::{self, Route};
use super::section::Section;
use super::shared::SharedLimits;
use super::value::{Taken, as_text, wrong, wrong_with_help};
use super::{Settings, server, upstreams};
use crate::proxy::Plan;

/// Tables that a later version will have.
const TABLES_NOT_YET: &[&str] = &["admin", "response_headers", "tracing", "fleet"];

const LOG_NOT_YET: &[&str] = &["format", "access", "reject_burst", "headers"];

const WHAT_TO_WRITE: &str = "write [upstreams.default] with url = \"http://127.0.0.1:3000\" and [routes.default] with \
                             limit = 20, or use --upstream URL --limit N";

/// Reads all sections. `None` if something is missing, which has been reported.
pub(super) fn settings(tree: Map<String, Value>, report: &Report) -> Option<Settings> {
    let mut root = Section::root(tree, report);
    let server = server::read(root.section("server"), report);
    let log_level = log_level(root.section("log"));

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
    let plan = routes::plan(upstreams, routes, limits.into_iter().flatten().collect());
    warn_of_unused(&plan, &names, report);
    Some(Settings { server, plan, log_level })
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

fn log_level(mut section: Section<'_>) -> Option<String> {
    let level = section.take("level", directives);
    section.finish(LOG_NOT_YET);
    level
}

fn directives(value: &Value) -> Taken<String> {
    const EXPECTED: &str = "must be \"error\", \"warn\", \"info\", \"debug\" or \"trace\", or directives";
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let Some(text) = as_text(value) else { return wrong(EXPECTED) };
    // A filter takes a bare word that is no level for the name of a module, so a slip would log everything.
    let no_directive = text.split(',').find(|part| !part.contains('=') && !LEVELS.contains(&part.trim()));
    if let Some(word) = no_directive {
        return match super::section::closest(word, LEVELS) {
            Some(meant) => wrong_with_help(EXPECTED, format!("did you mean \"{meant}\"?")),
            None => wrong_with_help(EXPECTED, "directives are written \"info,sluicegate=debug\""),
        };
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => wrong_with_help(EXPECTED, error.to_string()),
    }
}
