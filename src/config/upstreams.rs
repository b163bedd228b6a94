//! `[upstreams.NAME]`.

use super::address;
use super::report::Report;
use super::section::Section;
use super::server::{TIMEOUT, TIMEOUT_OR_ZERO};
use super::value::{duration, integer};
use crate::tls;
use crate::upstream::{Endpoint, HostHeader, Protocol, Settings};

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
    "set_headers",
    "secret_headers",
    "forwarded",
    "via",
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
    let tls = tls(s, protocol, &default.endpoint.host, url.is_some(), report);
    // A server of TLS is seldom the one that its clients have named.
    let host = if protocol == Protocol::Tls { HostHeader::Upstream } else { default.host };
    let settings = Settings {
        host: s.take_or("host", address::host_header, host),
        connect_timeout: s.take_or("connect_timeout", duration(TIMEOUT), default.connect_timeout),
        response_timeout: s.take_or("response_timeout", duration(TIMEOUT), default.response_timeout),
        read_idle_timeout: s.take_or("read_idle_timeout", duration(TIMEOUT), default.read_idle_timeout),
        upgrade_idle_timeout: s.take_or("upgrade_idle_timeout", duration(TIMEOUT), default.upgrade_idle_timeout),
        idle_timeout: s.take("idle_timeout", duration(TIMEOUT_OR_ZERO)),
        retries: s.take_or("retries", integer(0..=10), default.retries),
        protocol,
        tls,
        base_path,
        name: default.name,
        endpoint: default.endpoint,
    };
    section.finish(NOT_YET);
    url.map(|_| settings)
}

/// How the upstream's certificate is judged, if it has one. The table is read whatever the URL says, for its mistakes.
fn tls(
    section: &mut Section<'_>,
    protocol: Protocol,
    host: &str,
    has_url: bool,
    report: &Report,
) -> Option<tls::Client> {
    let table = section.section("tls");
    let written = section.was_written("tls");
    if protocol != Protocol::Tls && !written {
        return None;
    }
    let tls = super::tls::client(table, report);
    if has_url && protocol != Protocol::Tls {
        let help = "write url = \"https://HOST\", or remove the table";
        report.error(section.problem("tls", "is for upstreams with an https:// URL").help(help));
        return None;
    }
    if tls.as_ref().is_some_and(|tls| !tls.can_name(host)) {
        let help = "write tls = { sni = \"NAME\" } with the name in its certificate";
        report.error(section.problem("url", format!("has a host that no certificate names: \"{host}\"")).help(help));
    }
    tls
}
