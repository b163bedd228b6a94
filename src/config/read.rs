//! The merged tree becomes settings.

use config::{Map, Value};

use super::limits;
use super::overridable::Overridable;
use super::report::{Report, problem};
use super::routes::{self, Route};
use super::section::Section;
use super::shared::SharedLimits;
use super::{Settings, admin, connections, log, response_headers, server, together, tracing, upstreams};
use crate::proxy::Plan;

/// Tables that a later version will have.
const TABLES_NOT_YET: &[&str] = &["fleet"];

const WHICH_ROUTE: &str = "write [routes.default] with limit = 20: a route says which requests go to an upstream, here all of \
                           them, and how many at a time";

const WHICH_UPSTREAM: &str = "write [upstreams.default] with url = \"http://127.0.0.1:3000\": where the requests of the \
                              routes go";

const WHAT_TO_WRITE: &str = "write [upstreams.default] with url = \"http://127.0.0.1:3000\" and [routes.default] with \
                             limit = 20, or use --upstream URL --limit N";

/// Reads all sections. `None` if something is missing, which has been reported.
pub(super) fn settings(tree: Map<String, Value>, report: &Report) -> Option<Settings> {
    let mut root = Section::root(tree, report);
    let (server, preflight) = server::read(root.section("server"), report);
    let admin = admin::read(root.section("admin"), report);
    let log = log::read(root.section("log"));
    let tracing = tracing::read(root.section("tracing"), report);
    let response_headers = response_headers::read(root.section("response_headers"));

    let mut limit_sections = root.named_sections("limits");
    let shared = SharedLimits::sort(&mut limit_sections, report);
    let defaults = defaults(root.section("defaults"), &shared, report);
    let limits: Vec<_> = limit_sections
        .into_iter()
        .map(|(name, section)| limits::read(&name, section, &defaults.keys, report))
        .collect();

    let errors_before = report.errors();
    let upstream_sections = root.named_sections("upstreams");
    let wrong_upstreams = report.errors() > errors_before;
    let names: Vec<String> = upstream_sections.iter().map(|(name, _)| name.clone()).collect();
    let upstreams: Vec<_> =
        upstream_sections.into_iter().filter_map(|(name, section)| upstreams::read(&name, section, report)).collect();

    let errors_before = report.errors();
    let route_sections = root.named_sections("routes");
    // One that is no table has been reported.
    let wrong_routes = report.errors() > errors_before;
    let no_routes = route_sections.is_empty();
    let routes: Vec<Route> = route_sections
        .into_iter()
        .map(|(name, section)| routes::read(name, section, &defaults, &shared, &names, report))
        .collect();
    root.finish(TABLES_NOT_YET);

    // A table whose name was misspelt has been reported.
    let lacks = |table: &str, is_empty: bool, wrong: bool| is_empty && !wrong && !report.is_meant(table);
    match (lacks("upstreams", names.is_empty(), wrong_upstreams), lacks("routes", no_routes, wrong_routes)) {
        (true, true) => {
            let message = "is missing, and so is routes: nothing is configured";
            nothing_configured("upstreams", message, WHAT_TO_WRITE, report);
        }
        (true, false) => {
            // Where nobody writes a file, there are flags.
            let help = if report.origins.first_file().is_some() { WHICH_UPSTREAM } else { WHAT_TO_WRITE };
            nothing_configured("upstreams", "is missing: no upstream is configured", help, report);
        }
        (false, true) => nothing_configured("routes", "is missing: no route is configured", WHICH_ROUTE, report),
        (false, false) => {}
    }
    routes::check_conflicts(&routes, report);

    // One that could not be read has been reported, and then the plan is not used.
    let complete = limits.iter().all(Option::is_some);
    let plan = routes::plan(upstreams, routes, limits.into_iter().flatten().collect(), preflight, report);
    let plan = Plan { response_headers, ..plan };
    // What is wrong may be what uses it.
    if report.errors() == 0 {
        warn_of_unused(&plan, &names, report);
    }
    if complete {
        together::check(&plan, &server, report);
        connections::check(&plan, report);
    }
    Some(Settings {
        server,
        plan,
        admin,
        log_level: log.level,
        access_log: log.access,
        log_format: log.format,
        log_lines: log.lines,
        tracing,
    })
}

fn nothing_configured(key: &str, message: &str, help: &str, report: &Report) {
    report.error(problem(&report.place_of(key), key, message).lacks(key).help(help));
}

fn warn_of_unused(plan: &Plan, upstreams: &[String], report: &Report) {
    let warn = |key: String, help: String| {
        report.warning(problem(&report.place_of(&key), &*key, "is used by no route").help(help));
    };
    for (index, name) in upstreams.iter().enumerate() {
        if !plan.routes.iter().any(|route| route.upstream == index) {
            warn(format!("upstreams.{name}"), format!("remove it, or write upstream = \"{name}\" in a route"));
        }
    }
    let mut used = vec![false; plan.limits.len()];
    plan.routes.iter().flat_map(|route| &route.limits).for_each(|limit| used[*limit] = true);
    for (limit, _) in plan.limits.iter().zip(used).filter(|(_, used)| !used) {
        let name = &limit.name;
        warn(format!("limits.{name}"), format!("remove it, or write limits = [\"{name}\"] in a route"));
    }
}

fn defaults(mut section: Section<'_>, shared: &SharedLimits, report: &Report) -> Overridable {
    let defaults = Overridable::take(&mut section, shared, report);
    for key in routes::OWN_KEYS {
        section.refuse(key, "says which requests a route takes and where they go", "write it in [routes.NAME]");
    }
    section.finish(limits::NOT_YET);
    defaults
}
