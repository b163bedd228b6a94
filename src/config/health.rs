//! `health` of an upstream.

use std::ops::RangeInclusive;

use config::{Map, Value, ValueKind};
use http::uri::PathAndQuery;

use super::report::Report;
use super::section::{Section, closest};
use super::server::TIMEOUT;
use super::value::{Taken, Wrong, as_text, boolean, duration, integer, list, some, wrong, wrong_with_help};
use crate::upstream::{Health, Probe, Protocol};

const KEYS: [&str; 8] = ["path", "grpc", "tcp", "interval", "timeout", "up", "down", "expect"];

/// `{ path = "/healthz", interval = "5s" }`, or with `grpc` or `tcp` in place of `path`.
pub(super) fn health(value: &Value) -> Taken<Option<Health>> {
    const EXPECTED: &str = "must be { path = \"/healthz\" }, { grpc = true } or { tcp = true }";
    let ValueKind::Table(table) = &value.kind else { return wrong(EXPECTED) };
    if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let help = match closest(unknown, KEYS) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys here are {}", KEYS.join(", ")),
        };
        return Err(vec![Wrong {
            place: None,
            key: Some(unknown.to_owned()),
            message: "is not a known key".to_owned(),
            help: Some(help),
        }]);
    }
    let expect = table.get("expect").map(|value| inside(table, "expect", some(list(statuses))(value))).transpose()?;
    let probe = match (table.get("path"), table.get("grpc"), table.get("tcp")) {
        (Some(value), None, None) => {
            let expect = expect.unwrap_or_else(|| vec![200..=299]);
            Probe::Http { path: inside(table, "path", path(value))?, expect }
        }
        (None, Some(_), None) | (None, None, Some(_)) if expect.is_some() => {
            return wrong_with_help("has expect without path", "only pages have a status: remove it");
        }
        (None, Some(value), None) => match inside(table, "grpc", service(value))? {
            Some(service) => Probe::Grpc { service },
            None => return Ok(None),
        },
        (None, None, Some(value)) => match inside(table, "tcp", boolean(value))? {
            true => Probe::Tcp,
            false => return Ok(None),
        },
        _ => return wrong_with_help(EXPECTED, "one of path, grpc and tcp says what is asked"),
    };
    let default = Health::new(probe);
    let time = |key| table.get(key).map(|value| inside(table, key, duration(TIMEOUT)(value))).transpose();
    let number = |key| table.get(key).map(|value| inside(table, key, integer(1..=1_000)(value))).transpose();
    Ok(Some(Health {
        interval: time("interval")?.unwrap_or(default.interval),
        timeout: time("timeout")?.unwrap_or(default.timeout),
        up: number("up")?.unwrap_or(default.up),
        down: number("down")?.unwrap_or(default.down),
        probe: default.probe,
    }))
}

/// gRPC needs HTTP/2.
pub(super) fn fitting(health: Health, protocol: Protocol, section: &Section<'_>, report: &Report) -> Option<Health> {
    if matches!(health.probe, Probe::Grpc { .. }) && protocol == Protocol::Http1 {
        let message = "asks in gRPC, and HTTP/1.1 is spoken with this upstream";
        let help = "write url = \"h2c://HOST:PORT\" or https://, or health = { path = \"/healthz\" }";
        report.error(section.problem("health", message).help(help));
        return None;
    }
    Some(health)
}

/// Says which key of the table is wrong.
fn inside<T>(table: &Map<String, Value>, key: &str, taken: Taken<T>) -> Taken<T> {
    let place = || table.get(key)?.origin().map(str::to_owned);
    let named = |wrong: Wrong| Wrong { key: Some(key.to_owned()), place: wrong.place.or_else(place), ..wrong };
    taken.map_err(|wrongs| wrongs.into_iter().map(named).collect())
}

fn path(value: &Value) -> Taken<PathAndQuery> {
    let path = as_text(value).filter(|path| path.starts_with('/') && !path.contains('#'));
    match path.and_then(|path| path.parse().ok()) {
        Some(path) => Ok(path),
        None => wrong("must be a path such as \"/healthz\""),
    }
}

/// A service's name, or `true` for the server as a whole. `None` for no checks.
fn service(value: &Value) -> Taken<Option<String>> {
    match (boolean(value), as_text(value)) {
        (Ok(whole), _) => Ok(whole.then(String::new)),
        (Err(_), Some(name)) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(name.to_owned()))
        }
        _ => wrong("must be true, or the name of a service such as \"acme.Orders\""),
    }
}

/// `200`, `2xx` or `200-399`.
fn statuses(value: &Value) -> Taken<RangeInclusive<u16>> {
    const EXPECTED: &str = "must be statuses such as \"2xx\", \"204\" or \"200-399\"";
    let number = |text: &str| text.parse().ok().filter(|status| (100..=599).contains(status) && text.len() == 3);
    let range = match value.clone().into_string().unwrap_or_default().split_once('-') {
        Some((from, to)) => number(from).zip(number(to)),
        None => {
            let text = value.clone().into_string().unwrap_or_default();
            let class = text.strip_suffix("xx").and_then(|class| number(&format!("{class}00")));
            class.map(|from| (from, from + 99)).or_else(|| number(&text).map(|status| (status, status)))
        }
    };
    match range {
        Some((from, to)) if from <= to => Ok(from..=to),
        _ => wrong(EXPECTED),
    }
}
