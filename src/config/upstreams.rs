//! `[upstreams.NAME]`.

use config::Value;

use super::address;
use super::fields::{self, Of};
use super::report::{Report, problem};
use super::section::Section;
use super::server::{TIMEOUT, TIMEOUT_OR_ZERO};
use super::value::{Taken, boolean, choice, duration, integer, list, some};
use crate::upstream::{Balance, Endpoint, Forwarded, Protocol, Settings};

const NOT_YET: &[&str] =
    &["slots", "max_connections", "resolve", "respect_retry_after", "health", "eject", "wait_for_endpoint", "tls"];

const URL_HELP: &str = "write url = \"http://127.0.0.1:3000\" in the table, or endpoints = [\"http://a:3000\", \"http://b:3000\"], or use \
                        --upstream URL";

/// Reads the keys of one upstream. `None` if it has no URL that could be used.
pub(super) fn read(name: &str, mut section: Section<'_>, report: &Report) -> Option<Settings> {
    let s = &mut section;
    let urls = urls(s, report);
    // Without a URL the other keys are read all the same, for what is wrong with them.
    let nowhere = || (Protocol::default(), vec![Endpoint { host: String::new(), port: 0 }], String::new());
    let (protocol, endpoints, base_path) = urls.clone().unwrap_or_else(nowhere);
    let default = Settings::new(name, endpoints[0].clone());
    let settings = Settings {
        balance: s.take_or("balance", choice(&BALANCE), default.balance),
        host: s.take_or("host", address::host_header, default.host),
        connect_timeout: s.take_or("connect_timeout", duration(TIMEOUT), default.connect_timeout),
        response_timeout: s.take_or("response_timeout", duration(TIMEOUT), default.response_timeout),
        read_idle_timeout: s.take_or("read_idle_timeout", duration(TIMEOUT), default.read_idle_timeout),
        upgrade_idle_timeout: s.take_or("upgrade_idle_timeout", duration(TIMEOUT), default.upgrade_idle_timeout),
        idle_timeout: s.take("idle_timeout", duration(TIMEOUT_OR_ZERO)),
        retries: s.take_or("retries", integer(0..=10), default.retries),
        set_headers: fields::take(s, "set_headers", Of::Requests, report),
        secret_headers: fields::take_secrets(s, "secret_headers", report),
        forwarded: s.take_or("forwarded", choice(&FORWARDED), default.forwarded),
        via: s.take_or("via", boolean, default.via),
        protocol,
        base_path,
        name: default.name,
        endpoints,
    };
    section.finish(NOT_YET);
    urls.map(|_| settings)
}

const FORWARDED: [(&str, Forwarded); 3] =
    [("append", Forwarded::Append), ("replace", Forwarded::Replace), ("off", Forwarded::Off)];

/// What is spoken, where, and the path before each request's.
type Urls = (Protocol, Vec<Endpoint>, String);

/// The one URL, or those of all endpoints. What is wrong with them has been reported.
fn urls(section: &mut Section<'_>, report: &Report) -> Option<Urls> {
    let endpoints = section.take("endpoints", some(list(endpoint)));
    if !section.was_written("endpoints") {
        let (protocol, endpoint, base_path) = section.require("url", address::url, URL_HELP)?;
        return Some((protocol, vec![endpoint], base_path));
    }
    if section.take("url", address::url).is_some() || section.was_written("url") {
        let message = "stands beside `endpoints`: an upstream has one or the other";
        report.error(section.problem("url", message).help("move it into the list"));
        return None;
    }
    let mut endpoints = endpoints?.into_iter();
    let (first, _) = endpoints.next()?;
    let (protocol, endpoint, base_path) = first;
    let mut all = vec![endpoint];
    for ((other, endpoint, path), place) in endpoints {
        let place = place.unwrap_or_else(|| section.place());
        let error = |message: &str| {
            let key = format!("{}.endpoints", section.path());
            problem(&place, key, message)
        };
        if all.contains(&endpoint) {
            report.error(error("is there twice").help("remove one of the two"));
        } else if (other, &path) != (protocol, &base_path) {
            let error = error("has another scheme or path than the first: they are the same for all of an upstream");
            report.error(error.help("give it an upstream of its own"));
        } else {
            all.push(endpoint);
        }
    }
    Some((protocol, all, base_path))
}

/// A URL, and where it was written.
fn endpoint(value: &Value) -> Taken<((Protocol, Endpoint, String), Option<String>)> {
    Ok((address::url(value)?, value.origin().map(str::to_owned)))
}

const BALANCE: [(&str, Balance); 2] =
    [("least_inflight", Balance::LeastInFlight), ("round_robin", Balance::RoundRobin)];
