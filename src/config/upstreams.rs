//! `[upstreams.NAME]`.

use super::address;
use super::fields::{self, Of};
use super::report::Report;
use super::section::Section;
use super::server::{TIMEOUT, TIMEOUT_OR_ZERO};
use super::value::{boolean, choice, duration, integer};
use crate::upstream::{Endpoint, Forwarded, Protocol, Settings};

const NOT_YET: &[&str] = &[
    "endpoints",
    "slots",
    "balance",
    "max_connections",
    "resolve",
    "respect_retry_after",
    "health",
    "eject",
    "wait_for_endpoint",
    "tls",
];

const URL_HELP: &str = "write url = \"http://127.0.0.1:3000\" in the table, or use --upstream URL";

/// Reads the keys of one upstream. `None` if it has no URL that could be used.
pub(super) fn read(name: &str, mut section: Section<'_>, report: &Report) -> Option<Settings> {
    let s = &mut section;
    let url = s.require("url", address::url, URL_HELP);
    // Without a URL the other keys are read all the same, for what is wrong with them.
    let nowhere = || (Protocol::default(), Endpoint { host: String::new(), port: 0 }, String::new());
    let (protocol, endpoint, base_path) = url.clone().unwrap_or_else(nowhere);
    let default = Settings::new(name, endpoint);
    let settings = Settings {
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
        endpoint: default.endpoint,
    };
    section.finish(NOT_YET);
    url.map(|_| settings)
}

const FORWARDED: [(&str, Forwarded); 3] =
    [("append", Forwarded::Append), ("replace", Forwarded::Replace), ("off", Forwarded::Off)];
