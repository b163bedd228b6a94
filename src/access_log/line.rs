//! An entry as a line.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{HeaderValue, Method, Uri, Version};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::entry::{Entry, Left, Outcome};

/// The fields of a line, in the order in which they are written. What is not known is left out.
#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    ts: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    client_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    proto: &'static str,
    status: u16,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<u32>,
    queue_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_pos: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inflight: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttfb_ms: Option<f64>,
    total_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    permit_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_reused: Option<bool>,
    retries: u32,
    req_bytes: u64,
    resp_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_gone: Option<Left>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    headers: Map<String, Value>,
}

/// Appends `entry` as one JSON object and a line end.
pub(super) fn write_json(entry: &Entry, out: &mut Vec<u8>) {
    let line = Line {
        kind: "request",
        ts: humantime::format_rfc3339_millis(entry.arrived).to_string(),
        request_id: text(&entry.request_id).unwrap_or_default(),
        trace_id: entry.traceparent.as_ref().and_then(trace_id),
        client_ip: entry.client_ip.to_canonical().to_string(),
        method: entry.method.as_ref().map(Method::as_str),
        host: entry.host.as_ref().and_then(text),
        path: entry.target.as_ref().map(Uri::path),
        proto: proto(entry.version),
        status: entry.status,
        outcome: entry.outcome,
        reason: entry.reason,
        route: entry.route.as_deref(),
        limit: entry.limit.as_deref(),
        priority: entry.priority,
        cost: entry.cost,
        queue_ms: millis(entry.queued),
        queue_pos: entry.ahead,
        inflight: entry.in_flight,
        connect_ms: entry.connected_in.map(millis),
        ttfb_ms: entry.admitted.zip(entry.headed).map(|(admitted, headed)| millis(headed - admitted)),
        total_ms: total(entry),
        permit_ms: permit(entry),
        upstream: entry.upstream.as_deref(),
        endpoint: entry.endpoint.as_deref(),
        conn_reused: entry.reused,
        retries: entry.retries,
        req_bytes: entry.request_bytes.as_ref().map_or(0, |bytes| bytes.load(Relaxed)),
        resp_bytes: entry.response_bytes,
        client_gone: entry.left,
        headers: headers(entry),
    };
    serde_json::to_writer(&mut *out, &line).expect("text and numbers always serialize");
    out.push(b'\n');
}

/// Appends `entry` as a line for people.
pub(super) fn write_text(entry: &Entry, out: &mut Vec<u8>) {
    let ts = humantime::format_rfc3339_millis(entry.arrived);
    let Entry { status, client_ip, .. } = entry;
    let method = entry.method.as_ref().map_or("-", Method::as_str);
    let path: String =
        entry.target.as_ref().map_or("-", Uri::path).chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let line = format!(
        "{ts} {status} {method} {path} {:.1}ms queued {:.1}ms {} {} {client_ip}\n",
        total(entry),
        millis(entry.queued),
        entry.route.as_deref().unwrap_or("-"),
        entry.reason.unwrap_or("-"),
    );
    out.extend_from_slice(line.as_bytes());
}

/// Several of a name are a list, as RFC 9110 §5.3 has it.
fn headers(entry: &Entry) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, value) in &entry.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        match headers.entry(name.as_str()).or_insert(Value::Null) {
            Value::String(before) => *before += &format!(", {value}"),
            none => *none = value.into(),
        }
    }
    headers
}

/// How long it held permits; where it still does, until its line was written.
fn permit(entry: &Entry) -> Option<f64> {
    let admitted = entry.admitted.filter(|_| entry.in_flight.is_some())?;
    let until = entry.released.or(entry.end)?;
    Some(millis(until.saturating_duration_since(admitted)))
}

fn total(entry: &Entry) -> f64 {
    millis(entry.end.unwrap_or_else(Instant::now).saturating_duration_since(entry.start))
}

/// Milliseconds with three places: microseconds.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// The trace's id in a `traceparent` (W3C Trace Context §3.2).
fn trace_id(traceparent: &HeaderValue) -> Option<&str> {
    let id = text(traceparent)?.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(id)
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

    use super::*;

    fn entry() -> Entry {
        let start = Instant::now();
        Entry {
            arrived: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            start,
            end: Some(start + Duration::from_micros(12_345)),
            request_id: HeaderValue::from_static("id-1"),
            traceparent: Some(HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
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
        write_json(&entry(), &mut out);
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
        write_text(&entry(), &mut out);
        let line = String::from_utf8(out).unwrap();
        assert!(line.starts_with("2023-11-14T22:13:20.123Z 200 GET /a\"b 12.3ms "), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
