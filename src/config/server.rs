//! `[server]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use config::Value;

use super::address;
use super::report::Report;
use super::section::{Section, closest};
use super::units::show_duration;
use super::value::{self, Taken, as_text, choice, list, not_an_integer, size, some, wrong, wrong_with_help};
use crate::proxy::{Network, Preflight, TrustedProxies};
use crate::server::{Listen, ProxyProtocol, Settings};

/// More threads than any machine has processors.
const THREADS_MAX: usize = 1024;

/// More than any system lets a process have open.
const CONNECTIONS_MAX: u32 = 10_000_000;

/// More than this on one connection is several clients' worth.
const STREAMS_MAX: u32 = 65_536;

/// Timeouts: so long that nobody waits for the end, but not so long that a point in time overflows.
pub(super) const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=YEAR;
/// The same where zero has a meaning.
pub(super) const TIMEOUT_OR_ZERO: std::ops::RangeInclusive<Duration> = Duration::ZERO..=YEAR;
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads the keys of the client side, and what preflights take.
pub(super) fn read(mut section: Section<'_>, report: &Report) -> (Settings, Preflight) {
    let default = Settings::new(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)));
    // TCP counts keep-alive in seconds.
    let keepalive = Duration::from_secs(1)..=Duration::from_secs(32_767);
    let s = &mut section;
    let listen = listen(s);
    let tls = s.section("tls");
    let tls = s.was_written("tls").then(|| super::tls::server(tls, report)).flatten();
    let settings = Settings {
        tls,
        listen: listen.unwrap_or(default.listen),
        threads: s.take_or("threads", threads, default.threads),
        tcp_keepalive: s.take_or("tcp_keepalive", value::duration(keepalive), default.tcp_keepalive),
        max_connections: s.take_or("max_connections", connections, default.max_connections),
        header_timeout: s.take_or("header_timeout", value::duration(TIMEOUT), default.header_timeout),
        idle_timeout: s.take_or("idle_timeout", value::duration(TIMEOUT), default.idle_timeout),
        body_idle_timeout: s.take_or("body_idle_timeout", value::duration(TIMEOUT), default.body_idle_timeout),
        write_idle_timeout: s.take_or("write_idle_timeout", value::duration(TIMEOUT), default.write_idle_timeout),
        max_header_bytes: s.take_or("max_header_bytes", header_bytes, default.max_header_bytes),
        max_body: s.take_or("max_body", body, default.max_body),
        h2_max_streams: s.take_or("h2_max_streams", streams, default.h2_max_streams),
        trusted_proxies: s.take("trusted_proxies", list(networks)).map_or(default.trusted_proxies, trusted),
        health_path: s.take_or("health_path", health_path, default.health_path),
        proxy_protocol: s.take_or("proxy_protocol", choice(&PROXY_PROTOCOL), default.proxy_protocol),
        drain_delay: s.take_or("drain_delay", value::duration(TIMEOUT_OR_ZERO), default.drain_delay),
        drain_timeout: s.take_or("drain_timeout", value::duration(TIMEOUT_OR_ZERO), default.drain_timeout),
    };
    if settings.listen.iter().any(Listen::is_tls) && !section.was_written("tls") {
        let help = "write tls = { cert = \"/etc/sluicegate/tls.crt\", key = \"/etc/sluicegate/tls.key\" } in [server]";
        report.error(section.problem("listen", "speaks TLS without a certificate").help(help));
    } else if section.was_written("tls") && !settings.listen.iter().any(Listen::is_tls) {
        let help = "write listen = [\"tls:0.0.0.0:8443\"]";
        report.warning(section.problem("tls", "is not used: no address of server.listen begins with tls:").help(help));
    }
    if settings.proxy_protocol == ProxyProtocol::Optional && settings.trusted_proxies.is_empty() {
        let message = "is not used: where a header may be missing, it is believed from server.trusted_proxies only";
        let help = "write trusted_proxies = [\"10.0.0.0/8\"] with the addresses of the balancers, or \"required\" where only they can connect";
        report.warning(section.problem("proxy_protocol", message).help(help));
    }
    if settings.drain_delay > settings.drain_timeout {
        let timeout = show_duration(settings.drain_timeout);
        let message = format!("is longer than server.drain_timeout (\"{timeout}\"), which includes it");
        let problem = section.problem("drain_delay", message).help("raise drain_timeout, or lower drain_delay");
        report.error(match section.was_written("drain_timeout") {
            true => problem.also(&section.problem("drain_timeout", "").place),
            false => problem,
        });
    }
    let preflight = section.take_or("preflight", choice(&PREFLIGHT), Preflight::default());
    if preflight == Preflight::Exempt {
        let message = "lets requests to every route through that take no permit";
        let help = "anybody can send such requests: \"first\" counts them, and serves them before others";
        report.warning(section.problem("preflight", message).help(help));
    }
    section.finish(&[]);
    (settings, preflight)
}

/// Where to listen.
pub(super) fn listen(section: &mut Section<'_>) -> Option<Vec<Listen>> {
    section.take("listen", some(list(address::listen))).map(distinct)
}

const PROXY_PROTOCOL: [(&str, ProxyProtocol); 3] =
    [("off", ProxyProtocol::Off), ("optional", ProxyProtocol::Optional), ("required", ProxyProtocol::Required)];

const PREFLIGHT: [(&str, Preflight); 3] =
    [("first", Preflight::First), ("count", Preflight::Count), ("exempt", Preflight::Exempt)];

/// Names may have addresses in common.
fn distinct(lists: Vec<Vec<Listen>>) -> Vec<Listen> {
    let mut distinct = Vec::new();
    for listen in lists.into_iter().flatten() {
        if !distinct.contains(&listen) {
            distinct.push(listen);
        }
    }
    distinct
}

fn threads(value: &Value) -> Taken<NonZeroUsize> {
    if as_text(value) == Some("auto") {
        return Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
    }
    let threads = value::as_integer(value).and_then(|threads| usize::try_from(threads).ok());
    match threads.filter(|threads| *threads <= THREADS_MAX).and_then(NonZeroUsize::new) {
        Some(threads) => Ok(threads),
        None => not_an_integer(value, format!("must be a whole number from 1 to {THREADS_MAX}, or \"auto\"")),
    }
}

fn header_bytes(value: &Value) -> Taken<usize> {
    // The HTTP library reads heads into a buffer of at least 8 KiB.
    let bytes = size(8 << 10..=16 << 20)(value)?;
    Ok(usize::try_from(bytes).expect("16 MiB fit into memory"))
}

fn connections(value: &Value) -> Taken<NonZeroUsize> {
    let connections: u32 = value::integer(1..=CONNECTIONS_MAX)(value)?;
    Ok(NonZeroUsize::new(connections as usize).expect("at least one"))
}

fn body(value: &Value) -> Taken<u64> {
    if as_text(value) == Some("unlimited") {
        return Ok(u64::MAX);
    }
    // Far beyond any disk, and below where arithmetic ends.
    size(1..=1 << 60)(value).map_err(|mut wrong| {
        for wrong in &mut wrong {
            wrong.message += ", or \"unlimited\"";
        }
        wrong
    })
}

/// `off`, or a path as it stands in a request.
fn health_path(value: &Value) -> Taken<Option<String>> {
    const EXPECTED: &str = "must be a path such as \"/healthz\", or \"off\"";
    match as_text(value) {
        Some("off") => Ok(None),
        Some(path) if path.starts_with('/') && path.bytes().all(is_of_a_path) => Ok(Some(path.to_owned())),
        Some(path) if path.starts_with('/') => {
            wrong_with_help(EXPECTED, "write the path alone, without a query, and escape as %XX what no path can hold")
        }
        Some(path) if !path.contains("//") => wrong_with_help(EXPECTED, format!("write \"/{path}\"")),
        _ => wrong(EXPECTED),
    }
}

fn is_of_a_path(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"#<>?\\^`{|}".contains(&byte)
}

fn streams(value: &Value) -> Taken<u32> {
    let streams = value::as_integer(value).and_then(|streams| u32::try_from(streams).ok());
    match streams.filter(|streams| (1..=STREAMS_MAX).contains(streams)) {
        Some(streams) => Ok(streams),
        None => not_an_integer(value, format!("must be a whole number from 1 to {STREAMS_MAX}")),
    }
}

fn networks(value: &Value) -> Taken<Vec<Network>> {
    match as_text(value) {
        Some("private") => Ok(Network::PRIVATE.to_vec()),
        text => match text.unwrap_or_default().parse() {
            Ok(network) => Ok(vec![network]),
            Err(_) => {
                let help = match closest(text.unwrap_or_default(), ["private"]) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => "\"private\" stands for loopback, RFC 1918 and unique local addresses".to_owned(),
                };
                wrong_with_help("must be a list of networks such as \"10.0.0.0/8\", addresses, or \"private\"", help)
            }
        },
    }
}

fn trusted(networks: Vec<Vec<Network>>) -> TrustedProxies {
    TrustedProxies::new(networks.concat())
}
