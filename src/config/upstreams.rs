//! `[upstreams.NAME]`.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use config::{Value, ValueKind};

use super::address;
use super::fields::{self, Of};
use super::health;
use super::report::{Report, problem};
use super::section::Section;
use super::server::{TIMEOUT, TIMEOUT_OR_ZERO};
use super::value::{Taken, as_text, boolean, choice, duration, integer, list, some, wrong};
use crate::admission::LIMIT_MAX;
use crate::tls;
use crate::upstream::{Balance, Eject, Endpoint, Forwarded, HostHeader, MaxConnections, Protocol, Resolve, Settings};

const URL_HELP: &str = "write url = \"http://127.0.0.1:3000\" in the table, or endpoints = [\"http://a:3000\", \"http://b:3000\"], or use \
                        --upstream URL";

/// Reads the keys of one upstream. `None` if it has no URL that could be used.
pub(super) fn read(name: &str, mut section: Section<'_>, report: &Report) -> Option<Settings> {
    let s = &mut section;
    let urls = urls(s, report);
    // Without a URL the other keys are read all the same, for what is wrong with them.
    let nowhere = || (Protocol::default(), vec![Endpoint { host: String::new(), port: 0 }], String::new());
    let slots = s.take("slots", slots);
    let (protocol, endpoints, base_path) = urls.as_ref().map_or_else(nowhere, Urls::of_all);
    let default = Settings::new(name, endpoints[0].clone());
    let tls = tls(s, urls.as_ref(), report);
    // A server of TLS is seldom the one that its clients have named.
    let host = if protocol == Protocol::Tls { HostHeader::Upstream } else { default.host };
    let settings = Settings {
        slots: urls.as_ref().map_or_else(Vec::new, |urls| urls.slots(slots, s, report)),
        balance: s.take_or("balance", choice(&BALANCE), default.balance),
        host: s.take_or("host", address::host_header, host),
        connect_timeout: s.take_or("connect_timeout", duration(TIMEOUT), default.connect_timeout),
        response_timeout: s.take_or("response_timeout", duration(TIMEOUT), default.response_timeout),
        read_idle_timeout: s.take_or("read_idle_timeout", duration(TIMEOUT), default.read_idle_timeout),
        upgrade_idle_timeout: s.take_or("upgrade_idle_timeout", duration(TIMEOUT), default.upgrade_idle_timeout),
        idle_timeout: s.take("idle_timeout", duration(TIMEOUT_OR_ZERO)),
        max_connections: s.take_or("max_connections", max_connections, default.max_connections),
        eject: s.take_or("eject", eject, default.eject),
        health: s.take("health", health::health).flatten().and_then(|it| health::fitting(it, protocol, s, report)),
        wait_for_endpoint: s.take_or("wait_for_endpoint", duration(TIMEOUT_OR_ZERO), default.wait_for_endpoint),
        respect_retry_after: s.take("respect_retry_after", respect_retry_after).flatten(),
        resolve: s.take_or("resolve", resolve, default.resolve),
        retries: s.take_or("retries", integer(0..=10), default.retries),
        set_headers: fields::take(s, "set_headers", Of::Requests, report),
        secret_headers: fields::take_secrets(s, "secret_headers", report),
        forwarded: s.take_or("forwarded", choice(&FORWARDED), default.forwarded),
        via: s.take_or("via", boolean, default.via),
        protocol,
        tls,
        base_path,
        name: default.name,
        endpoints,
    };
    section.finish(&[]);
    urls.map(|_| settings)
}

/// How the upstream's certificates are judged, if it has any. The table is read whatever the URLs say, for its mistakes.
fn tls(section: &mut Section<'_>, urls: Option<&Urls>, report: &Report) -> Option<tls::Client> {
    let table = section.section("tls");
    let written = section.was_written("tls");
    let speaks_tls = urls.is_some_and(|urls| urls.protocol == Protocol::Tls);
    if !speaks_tls && !written {
        return None;
    }
    let tls = super::tls::client(table, report);
    if urls.is_some() && !speaks_tls {
        let help = "write url = \"https://HOST\", or remove the table";
        report.error(section.problem("tls", "is for upstreams with an https:// URL").help(help));
        return None;
    }
    for Written { url: (_, endpoint, _), .. } in urls.into_iter().flat_map(|urls| &urls.endpoints) {
        if tls.as_ref().is_some_and(|tls| !tls.can_name(&endpoint.host)) {
            let key = if section.was_written("url") { "url" } else { "endpoints" };
            let message = format!("has a host that no certificate names: \"{}\"", endpoint.host);
            let help = "write tls = { sni = \"NAME\" } with the name in its certificate";
            report.error(section.problem(key, message).help(help));
        }
    }
    tls
}

const FORWARDED: [(&str, Forwarded); 3] =
    [("append", Forwarded::Append), ("replace", Forwarded::Replace), ("off", Forwarded::Off)];

/// What is spoken, the path before each request's, and the endpoints.
#[derive(Debug)]
struct Urls {
    protocol: Protocol,
    base_path: String,
    endpoints: Vec<Written>,
}

/// An endpoint, and where it was written.
#[derive(Debug)]
struct Written {
    url: (Protocol, Endpoint, String),
    slots: Option<NonZeroU32>,
    place: Option<String>,
}

impl Urls {
    fn of_all(&self) -> (Protocol, Vec<Endpoint>, String) {
        let endpoints = self.endpoints.iter().map(|endpoint| endpoint.url.1.clone()).collect();
        (self.protocol, endpoints, self.base_path.clone())
    }

    /// How many each endpoint has, its own or the upstream's. None, where nobody says anything.
    fn slots(&self, all: Option<NonZeroU32>, section: &Section<'_>, report: &Report) -> Vec<NonZeroU32> {
        let slots: Vec<_> = self.endpoints.iter().filter_map(|endpoint| endpoint.slots.or(all)).collect();
        if !slots.is_empty() && slots.len() < self.endpoints.len() {
            let message = "has slots for some of the endpoints only";
            let help = "write slots = 4 beside it for all that do not say how many";
            report.error(section.problem("endpoints", message).help(help));
        }
        slots
    }
}

/// The one URL, or those of all endpoints. What is wrong with them has been reported.
fn urls(section: &mut Section<'_>, report: &Report) -> Option<Urls> {
    let endpoints = section.take("endpoints", some(list(endpoint)));
    if !section.was_written("endpoints") {
        let url = section.require("url", address::url, URL_HELP)?;
        let (protocol, base_path) = (url.0, url.2.clone());
        return Some(Urls { protocol, base_path, endpoints: vec![Written { url, slots: None, place: None }] });
    }
    if section.take("url", address::url).is_some() || section.was_written("url") {
        let message = "stands beside `endpoints`: an upstream has one or the other";
        report.error(section.problem("url", message).help("move it into the list"));
        return None;
    }
    let endpoints = endpoints?;
    let (protocol, _, base_path) = endpoints.first()?.url.clone();
    for (at, Written { url: (other, endpoint, path), place, .. }) in endpoints.iter().enumerate() {
        let place = place.clone().unwrap_or_else(|| section.place());
        let error = |message: &str| {
            let key = format!("{}.endpoints", section.path());
            problem(&place, key, message)
        };
        if endpoints[..at].iter().any(|before| before.url.1 == *endpoint) {
            report.error(error("is there twice").help("remove one of the two"));
        } else if (*other, path) != (protocol, &base_path) {
            let error = error("has another scheme or path than the first: they are the same for all of an upstream");
            report.error(error.help("give it an upstream of its own"));
        }
    }
    Some(Urls { protocol, base_path, endpoints })
}

/// A URL, or one with its slots.
fn endpoint(value: &Value) -> Taken<Written> {
    let place = value.origin().map(str::to_owned);
    let ValueKind::Table(table) = &value.kind else {
        return Ok(Written { url: address::url(value)?, slots: None, place });
    };
    const EXPECTED: &str = "must be a URL, or { url = \"http://127.0.0.1:3000\", slots = 4 }";
    if table.keys().any(|key| key != "url" && key != "slots") {
        return wrong(EXPECTED);
    }
    let Some(url) = table.get("url") else { return wrong(EXPECTED) };
    let slots = table.get("slots").map(slots).transpose()?;
    Ok(Written { url: address::url(url)?, slots, place })
}

/// `{ failures = 5, for = "10s" }`, or `"off"`.
fn eject(value: &Value) -> Taken<Option<Eject>> {
    const EXPECTED: &str = "must be { failures = 5, for = \"10s\" }, or \"off\"";
    let ValueKind::Table(table) = &value.kind else {
        return if as_text(value) == Some("off") { Ok(None) } else { wrong(EXPECTED) };
    };
    if table.keys().any(|key| key != "failures" && key != "for") {
        return wrong(EXPECTED);
    }
    let default = Eject::default();
    let failures = table.get("failures").map(integer(1..=1_000_000)).transpose()?;
    let time = table.get("for").map(duration(TIMEOUT)).transpose()?;
    Ok(Some(Eject { failures: failures.unwrap_or(default.failures), time: time.unwrap_or(default.time) }))
}

/// A number, or `"limit"`.
fn max_connections(value: &Value) -> Taken<MaxConnections> {
    if as_text(value) == Some("limit") {
        return Ok(MaxConnections::Limit);
    }
    let Ok(most) = integer::<u32>(1..=LIMIT_MAX)(value) else {
        return wrong("must be a number from 1 on, or \"limit\"");
    };
    Ok(MaxConnections::Fixed(NonZeroU32::new(most).expect("at least one")))
}

/// Whether, or for how long at most.
fn respect_retry_after(value: &Value) -> Taken<Option<Duration>> {
    if let Ok(heed) = boolean(value) {
        return Ok(heed.then_some(*PAUSE.end()));
    }
    let time = duration(PAUSE)(value);
    time.map(Some).or_else(|_| wrong("must be true, false, or a duration from \"1ms\" to \"60s\""))
}

/// No upstream is left alone for longer by a word of its own.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

/// A duration, or `"once"`.
fn resolve(value: &Value) -> Taken<Resolve> {
    if as_text(value) == Some("once") { Ok(Resolve::Once) } else { duration(TIMEOUT)(value).map(Resolve::Every) }
}

fn slots(value: &Value) -> Taken<NonZeroU32> {
    let slots: u32 = integer(1..=LIMIT_MAX)(value)?;
    Ok(NonZeroU32::new(slots).expect("at least one"))
}

const BALANCE: [(&str, Balance); 2] =
    [("least_inflight", Balance::LeastInFlight), ("round_robin", Balance::RoundRobin)];
