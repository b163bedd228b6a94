//! `[routes.NAME]`.

use std::num::NonZeroU32;

use config::{Value, ValueKind};
use http::{HeaderName, HeaderValue, Method};

use super::fields;
use super::limits::{self, Limited};
use super::overridable::{Effective, Overridable};
use super::report::{Report, problem};
use super::section::{Section, closest};
use super::shared::SharedLimits;
use super::slots;
use super::value::{Taken, as_text, integer, list, parsed, some, text, wrong, wrong_with_help};
use crate::admission::LIMIT_MAX;
use crate::proxy::{AdaptiveLimit, Plan, Preflight, RouteSettings, Upgrade};
use crate::route::{Conditions, HeaderCondition, Table};
use crate::upstream::{self, Ending};

/// Keys that only a route itself can have, not the defaults.
pub(super) const OWN_KEYS: &[&str] = &["host", "path", "method", "header", "upstream", "upgrade"];

/// A route as far as it could be read, and where it was written.
#[derive(Debug)]
pub(super) struct Route {
    name: String,
    place: String,
    /// `None` if one is wrong: without it, the route would seem to conflict with others.
    conditions: Option<Conditions>,
    upgrade: Upgrade,
    /// Upstream and limits, `None` if one of them is wrong.
    rest: Option<(usize, Effective)>,
}

/// Reads the keys of one route. What is wrong has been reported, and is `None`.
pub(super) fn read(
    name: String,
    mut section: Section<'_>,
    defaults: &Overridable,
    shared: &SharedLimits,
    upstreams: &[String],
    report: &Report,
) -> Route {
    let errors_before = report.errors();
    let s = &mut section;
    let conditions = Conditions {
        host: s.take("host", parsed("a host such as \"api.example.com\" or \"*.example.com\"")),
        path: s.take("path", parsed("a path such as \"/users/{id}\" or \"/v1/*\"")),
        methods: s.take_or("method", some(list(method)), Vec::new()),
        headers: headers(s, report),
    };
    let conditions = (report.errors() == errors_before).then_some(conditions);
    let upstream = s.take("upstream", text);
    let upgrade = s.take_or("upgrade", upgrade, Upgrade::default());
    let own = Overridable::take(s, shared, report);
    let upstream = upstream_index(upstream, upstreams, &section, report);
    let effective = own.over(defaults, &name, shared, &section, report);
    let place = section.place();
    section.finish(limits::NOT_YET);
    Route { name, place, conditions, upgrade, rest: upstream.zip(effective) }
}

/// `"count"`, `"deny"` or `{ separate = N }`.
fn upgrade(value: &Value) -> Taken<Upgrade> {
    const EXPECTED: &str = "must be \"count\", \"deny\" or { separate = N }";
    match &value.kind {
        ValueKind::String(word) if word == "count" => Ok(Upgrade::Count),
        ValueKind::String(word) if word == "deny" => Ok(Upgrade::Deny),
        ValueKind::Table(table) if table.len() == 1 => match table.get("separate") {
            Some(places) => {
                let places: u32 = integer(1..=LIMIT_MAX)(places)?;
                Ok(NonZeroU32::new(places).map_or(Upgrade::Deny, Upgrade::Separate))
            }
            None if table.keys().any(|key| closest(key, ["separate"]).is_some()) => {
                wrong_with_help(EXPECTED, "did you mean `separate`?")
            }
            None => wrong(EXPECTED),
        },
        _ => wrong(EXPECTED),
    }
}

impl Route {
    /// The settings, if nothing was wrong, with the shared limits that it takes, and its own limit.
    fn settings(self) -> Option<(RouteSettings, Option<Limited>)> {
        let (upstream, effective) = self.rest?;
        let Effective { inline, shared, on_client_gone, abort_grace, claim, handling, rewrite } = effective;
        let conditions = self.conditions?;
        let ending = Ending { on_client_gone, abort_grace };
        let Route { name, upgrade, .. } = self;
        let limits = shared;
        let settings = RouteSettings { name, conditions, upstream, limits, claim, upgrade, ending, handling, rewrite };
        Some((settings, inline))
    }
}

/// Puts routes and limits together. The inline limits come before the shared ones, so that every route's limits are in
/// ascending order.
pub(super) fn plan(
    upstreams: Vec<upstream::Settings>,
    routes: Vec<Route>,
    shared: Vec<Limited>,
    preflight: Preflight,
    report: &Report,
) -> Plan {
    let (mut routes, inline): (Vec<_>, Vec<_>) = routes.into_iter().filter_map(Route::settings).unzip();
    let first_shared = inline.iter().flatten().count();
    let mut own = 0..first_shared;
    for (route, inline) in routes.iter_mut().zip(&inline) {
        let shared = route.limits.iter().map(|index| first_shared + index);
        route.limits = inline.as_ref().and_then(|_| own.next()).into_iter().chain(shared).collect();
    }
    let mut plan = Plan { upstreams, routes, preflight, ..Plan::default() };
    let mut measured = Vec::new();
    for (index, Limited { settings, keys, slots, adaptive }) in inline.into_iter().flatten().chain(shared).enumerate() {
        measured.extend(slots.map(|queue_follows| (index, queue_follows)));
        plan.adaptive.extend(adaptive.map(|settings| AdaptiveLimit { limit: index, settings }));
        plan.limits.push(settings);
        plan.keys.push(keys);
    }
    // What could not be read is missing from the lists, and an index would be about another.
    if report.errors() == 0 {
        slots::measure(&mut plan, measured, report);
    }
    plan
}

/// Reports every two routes that one request can match equally.
pub(super) fn check_conflicts(routes: &[Route], report: &Report) {
    let readable: Vec<&Route> = routes.iter().filter(|route| route.conditions.is_some()).collect();
    let conditions = readable.iter().filter_map(|route| Some((route.conditions.clone()?, ()))).collect();
    for conflict in Table::try_new(conditions).err().unwrap_or_default() {
        let (first, second) = (readable[conflict.first], readable[conflict.second]);
        let key = format!("routes.{}", first.name);
        let message = format!("and routes.{} can match the same request equally", second.name);
        let help = "give one of them a narrower host or path, or one more method or header condition";
        report.error(problem(&first.place, key, message).also(&second.place).help(help));
    }
}

fn upstream_index(
    wanted: Option<String>,
    upstreams: &[String],
    section: &Section<'_>,
    report: &Report,
) -> Option<usize> {
    let names = || upstreams.join(", ");
    let problem = |message: String| section.problem("upstream", message);
    match (wanted, upstreams) {
        (Some(wanted), _) => {
            let index = upstreams.iter().position(|name| *name == wanted);
            // With no upstream at all, that is what is reported.
            if index.is_none() && !upstreams.is_empty() {
                let problem = problem(format!("names an upstream that is not there: \"{wanted}\""));
                report.error(match closest(&wanted, upstreams.iter().map(String::as_str)) {
                    Some(meant) => problem.help(format!("did you mean \"{meant}\"?")),
                    None => problem.help(format!("the upstreams are {}", names())),
                });
            }
            index
        }
        (None, _) if section.was_written("upstream") => None,
        (None, []) => None,
        (None, [_]) => Some(0),
        (None, _) => {
            report.error(
                problem("is missing: there is more than one upstream".to_owned())
                    .lacks(format!("{}.upstream", section.path()))
                    .help(format!("name one of {}", names())),
            );
            None
        }
    }
}

fn method(value: &Value) -> Taken<Method> {
    const EXPECTED: &str = "must be a method such as \"GET\", or a list of methods";
    let text = as_text(value).unwrap_or_default();
    match Method::from_bytes(text.as_bytes()) {
        Ok(_) if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            wrong_with_help(EXPECTED, format!("methods are in upper case: \"{}\"", text.to_ascii_uppercase()))
        }
        Ok(Method::CONNECT | Method::TRACE) => {
            let help = "a proxy in front of an API has no use for them: they are refused on every route";
            wrong_with_help("must be a method that is forwarded, which CONNECT and TRACE are not", help)
        }
        Ok(method) => Ok(method),
        Err(_) => wrong(EXPECTED),
    }
}

fn headers(section: &mut Section<'_>, report: &Report) -> Vec<(HeaderName, HeaderCondition)> {
    fields::distinct(section, "header", report, header)
}

fn header(name: &str, value: &Value) -> Taken<(HeaderName, HeaderCondition)> {
    let name = fields::field_name(name)?;
    match as_text(value) {
        Some("*") => Ok((name, HeaderCondition::Present)),
        Some(text) => match HeaderValue::from_str(text) {
            Ok(value) => Ok((name, HeaderCondition::Equals(value))),
            Err(_) => wrong("holds a character that the value of a header cannot have"),
        },
        None => wrong("must be the value of a header in quotes, or \"*\" for any"),
    }
}
