//! An entry as a line.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Uri, Version};
use serde_json::{Map, Value};

use super::entry::{Entry, Left};
use super::json::{Object, name};
use super::stamp::Stamp;
use crate::digits;
use crate::telemetry::Parent;

/// Appends `entry` as one JSON object and a line end. What is not known is left out.
pub(super) fn write_json(entry: &Entry, stamp: &mut Stamp, out: &mut Vec<u8>) {
    let mut line = Object::begin(out, "request");
    line.plain(name!("ts"), |out| stamp.write(entry.arrived, out));
    line.text(name!("request_id"), text(&entry.request_id).unwrap_or_default());
    line.optional(name!("trace_id"), trace_id(entry).as_deref());
    line.plain(name!("client_ip"), |out| address(entry.client_ip, out));
    line.optional(name!("method"), entry.method.as_ref().map(Method::as_str));
    line.optional(name!("host"), entry.host.as_ref().and_then(text));
    line.optional(name!("path"), entry.target.as_ref().map(Uri::path));
    line.word(name!("proto"), proto(entry.version));
    line.number(name!("status"), Some(entry.status.into()));
    line.word(name!("outcome"), entry.outcome.as_str());
    line.optional_word(name!("reason"), entry.reason);
    line.optional(name!("route"), entry.route.as_deref());
    line.optional(name!("limit"), entry.limit.as_deref());
    line.optional_word(name!("priority"), entry.priority);
    line.number(name!("cost"), entry.cost.map(u64::from));
    line.millis(name!("queue_ms"), Some(entry.waited()));
    line.number(name!("queue_pos"), entry.ahead.map(u64::from));
    line.number(name!("inflight"), entry.in_flight.map(u64::from));
    line.millis(name!("connect_ms"), entry.connected_in);
    line.millis(name!("ttfb_ms"), entry.admitted.zip(entry.headed).map(|(admitted, headed)| headed - admitted));
    line.millis(name!("total_ms"), Some(entry.took()));
    line.millis(name!("permit_ms"), permit(entry));
    line.optional(name!("upstream"), entry.upstream.as_deref());
    line.optional(name!("endpoint"), entry.endpoint.as_deref());
    line.boolean(name!("conn_reused"), entry.reused);
    line.number(name!("retries"), Some(entry.retries.into()));
    line.number(name!("req_bytes"), Some(entry.request_bytes.as_ref().map_or(0, |bytes| bytes.load(Relaxed))));
    line.number(name!("resp_bytes"), Some(entry.response_bytes));
    line.optional_word(name!("client_gone"), entry.left.map(Left::as_str));
    if !entry.headers.is_empty() {
        line.value(name!("headers"), &headers(entry));
    }
    line.end();
}

/// Appends `entry` as a line for people.
pub(super) fn write_text(entry: &Entry, stamp: &mut Stamp, out: &mut Vec<u8>) {
    stamp.write(entry.arrived, out);
    let Entry { status, client_ip, .. } = entry;
    let method = entry.method.as_ref().map_or("-", Method::as_str);
    let path: String =
        entry.target.as_ref().map_or("-", Uri::path).chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let line = format!(
        " {status} {method} {path} {:.1}ms queued {:.1}ms {} {} {client_ip}\n",
        millis(entry.took()),
        millis(entry.waited()),
        entry.route.as_deref().unwrap_or("-"),
        entry.reason.unwrap_or("-"),
    );
    out.extend_from_slice(line.as_bytes());
}

/// Appends that lines are missing: rejections that were too many to be written, and lines that the reader was too slow for.
pub(super) fn write_missing(suppressed: u64, dropped: u64, text: bool, stamp: &mut Stamp, out: &mut Vec<u8>) {
    let now = SystemTime::now();
    if text {
        stamp.write(now, out);
        let line = format!(" lines are missing: {suppressed} rejections beyond reject_burst, {dropped} dropped\n");
        out.extend_from_slice(line.as_bytes());
        return;
    }
    let mut line = Object::begin(out, "missing");
    line.plain(name!("ts"), |out| stamp.write(now, out));
    line.number(name!("suppressed"), Some(suppressed));
    line.number(name!("dropped"), Some(dropped));
    line.end();
}

/// Several of a name are a list, as RFC 9110 §5.3 has it.
fn headers(entry: &Entry) -> Value {
    let mut headers = Map::new();
    for (name, value) in &entry.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        match headers.entry(name.as_str()).or_insert(Value::Null) {
            Value::String(before) => *before += &format!(", {value}"),
            none => *none = value.into(),
        }
    }
    headers.into()
}

fn address(ip: IpAddr, out: &mut Vec<u8>) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                digits::push(out, octet.into());
            }
        }
        IpAddr::V6(ip) => out.extend_from_slice(ip.to_string().as_bytes()),
    }
}

/// How long it held permits; where it still does, until its line was written.
fn permit(entry: &Entry) -> Option<Duration> {
    let admitted = entry.admitted.filter(|_| entry.in_flight.is_some())?;
    let until = entry.released.or(entry.end)?;
    Some(until.saturating_duration_since(admitted))
}

/// Milliseconds with three places: microseconds.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// The trace's id: that of the trace that we record, which may begin here, else what the client's `traceparent` says.
fn trace_id(entry: &Entry) -> Option<String> {
    match &entry.traced {
        Some(traced) => Some(traced.trace.id_text()),
        None => {
            let parent = Parent::read(entry.traceparent.as_ref()?)?;
            Some(digits::hex::<16, 32>(parent.trace).map(char::from).iter().collect())
        }
    }
}

fn proto(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::HeaderName;
    use tokio::time::Instant;

    use super::*;
    use crate::access_log::Outcome;

    fn entry() -> Entry {
        let start = Instant::now();
        Entry {
            arrived: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            start,
            end: Some(start + Duration::from_micros(12_345)),
            request_id: HeaderValue::from_static("id-1"),
            traceparent: Some(HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
            traced: None,
            client_ip: "::ffff:192.0.2.1".parse().unwrap(),
            method: Some(Method::GET),
            host: Some(HeaderValue::from_static("api.test")),
            target: Some("/a\"b?secret=1".parse().unwrap()),
            version: Version::HTTP_11,
            status: 200,
            begun: false,
            outcome: Outcome::Completed,
            reason: None,
            route: Some("api".into()),
            limit: None,
            queued: Duration::ZERO,
            ahead: None,
            admitted: Some(start),
            in_flight: Some(2),
            released: Some(start + Duration::from_millis(7)),
            priority: Some("normal"),
            cost: Some(1),
            dialled: None,
            connected_in: None,
            headers: ["a", "b"].map(|v| (HeaderName::from_static("x-a"), HeaderValue::from_static(v))).to_vec(),
            request_bytes: None,
            headed: Some(start + Duration::from_millis(5)),
            upstream: None,
            endpoint: None,
            reused: Some(true),
            retries: 0,
            response_bytes: 7,
            left: None,
        }
    }

    #[test]
    fn a_line_is_one_object_without_the_query() {
        let mut out = Vec::new();
        write_json(&entry(), &mut Stamp::default(), &mut out);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["kind"], "request");
        assert_eq!(line["ts"], "2023-11-14T22:13:20.123Z");
        assert_eq!(line["path"], "/a\"b");
        assert_eq!(line["client_ip"], "192.0.2.1");
        assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(line["total_ms"], 12.345);
        assert_eq!(line["ttfb_ms"], 5.0);
        assert_eq!(line["permit_ms"], 7.0);
        assert_eq!(line["headers"], serde_json::json!({ "x-a": "a, b" }));
        assert_eq!(line["outcome"], "completed");
        assert!(line.get("reason").is_none());
    }

    #[test]
    fn the_line_for_people_has_no_line_ends_inside() {
        let mut out = Vec::new();
        write_text(&entry(), &mut Stamp::default(), &mut out);
        let line = String::from_utf8(out).unwrap();
        assert!(line.starts_with("2023-11-14T22:13:20.123Z 200 GET /a\"b 12.3ms "), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
