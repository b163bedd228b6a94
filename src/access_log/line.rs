//! An entry as a line.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Uri, Version};
use serde_json::{Map, Value};

use super::entry::{Entry, Left};
use super::json::{Object, name};
use super::stamp::Stamp;
use crate::digits;
use crate::telemetry::Parent;

/// Writes `entry` as one JSON object and a line end. What is not known is left out. Returns how much room is left; `None` if it
/// was too little.
pub(super) fn write_json(entry: &Entry, stamp: &mut Stamp, room: &mut [u8]) -> Option<usize> {
    let mut line = Object::begin(room, "{\"kind\":\"request\"");
    line.array(name!("ts", text), stamp.of(entry.arrived));
    line.text(name!("request_id", text), entry.request_id.as_bytes());
    if let Some(id) = trace_id(entry) {
        line.array(name!("trace_id", text), id);
    }
    line.address(name!("client_ip", text), entry.client_ip);
    line.optional_word(name!("method", text), entry.method.as_ref().map(Method::as_str));
    line.optional(name!("host", text), entry.host.as_ref().map(HeaderValue::as_bytes).filter(|host| host.is_ascii()));
    line.optional(name!("path", text), entry.target.as_ref().map(|target| target.path().as_bytes()));
    line.word(name!("proto", text), proto(entry.version));
    line.number(name!("status"), entry.status.into());
    line.word(name!("outcome", text), entry.outcome.as_str());
    line.optional_word(name!("reason", text), entry.reason);
    line.optional(name!("route", text), entry.route.as_ref().map(|name| name.as_bytes()));
    line.optional(name!("limit", text), entry.limit.as_ref().map(|name| name.as_bytes()));
    line.optional_word(name!("priority", text), entry.priority);
    line.optional_number(name!("cost"), entry.cost);
    line.millis(name!("queue_ms"), entry.waited());
    line.optional_number(name!("queue_pos"), entry.ahead);
    line.optional_number(name!("inflight"), entry.in_flight);
    line.optional_millis(name!("connect_ms"), entry.connected_in);
    line.optional_millis(
        name!("ttfb_ms"),
        entry.admitted.zip(entry.headed).map(|(admitted, headed)| headed - admitted),
    );
    line.millis(name!("total_ms"), entry.took());
    line.optional_millis(name!("permit_ms"), permit(entry));
    line.optional(name!("upstream", text), entry.upstream.as_ref().map(|name| name.as_bytes()));
    line.optional(name!("endpoint", text), entry.endpoint.as_ref().map(|endpoint| endpoint.as_bytes()));
    line.optional_boolean(name!("conn_reused"), entry.reused);
    line.number(name!("retries"), entry.retries.into());
    line.number(name!("req_bytes"), entry.request_bytes.as_ref().map_or(0, |bytes| bytes.load(Relaxed)));
    line.number(name!("resp_bytes"), entry.response_bytes);
    line.optional_word(name!("client_gone", text), entry.left.map(Left::as_str));
    if !entry.headers.is_empty() {
        line.value(name!("headers"), &headers(entry));
    }
    line.end()
}

/// Writes `entry` as a line for people. Returns how much room is left; `None` if it was too little.
pub(super) fn write_text(entry: &Entry, stamp: &mut Stamp, room: &mut [u8]) -> Option<usize> {
    let at = stamp.of(entry.arrived).escape_ascii().to_string();
    let Entry { status, .. } = entry;
    let client_ip = entry.client_ip.to_canonical();
    let method = entry.method.as_ref().map_or("-", Method::as_str);
    let path: String =
        entry.target.as_ref().map_or("-", Uri::path).chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let id = String::from_utf8_lossy(entry.request_id.as_bytes());
    let line = format!(
        "{at} {status} {method} {path} {:.1}ms queued {:.1}ms {} {} {client_ip} {}\n",
        millis(entry.took()),
        millis(entry.waited()),
        entry.route.as_deref().unwrap_or("-"),
        entry.reason.unwrap_or("-"),
        id.get(..SHORT_ID).unwrap_or(&id),
    );
    room.get_mut(..line.len())?.copy_from_slice(line.as_bytes());
    Some(room.len() - line.len())
}

/// As much of an id as stands in a line for people, at most: enough to find it by among the last thousand.
const SHORT_ID: usize = 8;

/// That lines are missing: rejections that were too many to be written, and lines that the reader was too slow for.
pub(super) fn missing(suppressed: u64, dropped: u64, text: bool) -> String {
    let now = Stamp::default().of(SystemTime::now()).escape_ascii().to_string();
    match text {
        true => format!("{now} lines are missing: {suppressed} rejections beyond reject_burst, {dropped} dropped\n"),
        false => {
            format!("{{\"kind\":\"missing\",\"ts\":\"{now}\",\"suppressed\":{suppressed},\"dropped\":{dropped}}}\n")
        }
    }
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

/// The trace's id: that of the trace that we record, which may begin here, else what the client's `traceparent` says.
fn trace_id(entry: &Entry) -> Option<[u8; 32]> {
    let id = match &entry.traced {
        Some(traced) => traced.trace.id,
        None => Parent::read(entry.traceparent.as_ref()?)?.trace,
    };
    Some(digits::hex(id))
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
        let mut out = vec![0; 1000];
        let left = write_json(&entry(), &mut Stamp::default(), &mut out).unwrap();
        out.truncate(1000 - left);
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
        let mut out = vec![0; 1000];
        let entry = Entry { request_id: HeaderValue::from_static("0123abcd4567"), ..entry() };
        let left = write_text(&entry, &mut Stamp::default(), &mut out).unwrap();
        out.truncate(1000 - left);
        let line = String::from_utf8(out).unwrap();
        assert!(line.starts_with("2023-11-14T22:13:20.123Z 200 GET /a\"b 12.3ms "), "{line}");
        assert!(line.ends_with(" api - 192.0.2.1 0123abcd\n"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
