//! An entry as a line.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Uri, Version};
use serde_json::{Map, Value};

use super::entry::{Entry, Left, Names, Outcome};
use super::json::{Object, name};
use super::repeated::{Repeated, is_same, is_same_word, place};
use super::stamp::Stamp;
use crate::digits;
use crate::telemetry::Parent;

/// What is remembered from line to line.
#[derive(Debug, Default)]
pub(super) struct Pen {
    stamp: Stamp,
    answers: Repeated<Answer>,
    ways: Repeated<Way>,
}

/// What was answered, and on whose behalf.
#[derive(Debug)]
struct Answer {
    version: Version,
    status: u16,
    outcome: Outcome,
    reason: Option<&'static str>,
    names: Option<Arc<Names>>,
    limit: Option<usize>,
    priority: Option<&'static str>,
    cost: Option<u32>,
}

impl Answer {
    #[inline(always)]
    fn is_of(&self, entry: &Entry) -> bool {
        (self.status, self.outcome, self.limit, self.cost) == (entry.status, entry.outcome, entry.limit, entry.cost)
            && self.version == entry.version
            && is_same(self.names.as_ref(), entry.names.as_ref())
            && is_same_word(self.reason, entry.reason)
            && is_same_word(self.priority, entry.priority)
    }

    fn of(entry: &Entry) -> Self {
        let &Entry { version, status, outcome, reason, limit, priority, cost, .. } = entry;
        Answer { version, status, outcome, reason, names: entry.names.clone(), limit, priority, cost }
    }
}

/// Where it went, and how.
#[derive(Debug)]
struct Way {
    names: Option<Arc<Names>>,
    endpoint: Option<Arc<str>>,
    reused: Option<bool>,
    retries: u32,
}

impl Way {
    #[inline(always)]
    fn is_of(&self, entry: &Entry) -> bool {
        (self.reused, self.retries) == (entry.reused, entry.retries)
            && is_same(self.names.as_ref(), entry.names.as_ref())
            && is_same(self.endpoint.as_ref(), entry.endpoint.as_ref())
    }

    fn of(entry: &Entry) -> Self {
        let (names, endpoint) = (entry.names.clone(), entry.endpoint.clone());
        Way { names, endpoint, reused: entry.reused, retries: entry.retries }
    }
}

/// Writes `entry` as one JSON object and a line end. What is not known is left out. Returns how much room is left; `None` if it
/// was too little.
pub(super) fn write_json(entry: &Entry, pen: &mut Pen, room: &mut [u8]) -> Option<usize> {
    let mut line = Object::begin(room, "{\"kind\":\"request\"");
    line.array(name!("ts", text), pen.stamp.of(entry.arrived));
    line.text(name!("request_id", text), entry.request_id.as_bytes());
    if let Some(id) = trace_id(entry) {
        line.array(name!("trace_id", text), id);
    }
    line.address(name!("client_ip", text), entry.client_ip);
    line.optional_word(name!("method", text), entry.method.as_ref().map(Method::as_str));
    line.optional(name!("host", text), entry.host.as_ref().map(HeaderValue::as_bytes).filter(|host| host.is_ascii()));
    line.optional(name!("path", text), entry.target.as_ref().map(|target| target.path().as_bytes()));
    pen.answers.write(
        &mut line,
        place(entry.names.as_ref()) ^ usize::from(entry.status),
        |last| last.is_of(entry),
        || Answer::of(entry),
        |line| {
            line.word(name!("proto", text), proto(entry.version));
            line.number(name!("status"), entry.status.into());
            line.word(name!("outcome", text), entry.outcome.as_str());
            line.optional_word(name!("reason", text), entry.reason);
            line.optional(name!("route", text), entry.route().map(str::as_bytes));
            line.optional(name!("limit", text), entry.limit().map(str::as_bytes));
            line.optional_word(name!("priority", text), entry.priority);
            line.optional_number(name!("cost"), entry.cost);
        },
    );
    line.millis(name!("queue_ms"), entry.waited());
    line.optional_number(name!("queue_pos"), entry.ahead);
    line.optional_number(name!("inflight"), entry.in_flight);
    line.optional_millis(name!("connect_ms"), entry.connected_in);
    line.optional_millis(
        name!("ttfb_ms"),
        entry.admitted.zip(entry.headed).map(|(admitted, headed)| headed.saturating_sub(admitted)),
    );
    line.millis(name!("total_ms"), entry.took());
    line.optional_millis(name!("permit_ms"), permit(entry));
    pen.ways.write(
        &mut line,
        place(entry.endpoint.as_ref()),
        |last| last.is_of(entry),
        || Way::of(entry),
        |line| {
            line.optional(name!("upstream", text), entry.upstream().map(str::as_bytes));
            line.optional(name!("endpoint", text), entry.endpoint.as_ref().map(|endpoint| endpoint.as_bytes()));
            line.optional_boolean(name!("conn_reused"), entry.reused);
            line.number(name!("retries"), entry.retries.into());
        },
    );
    line.number(name!("req_bytes"), entry.request_bytes.as_ref().map_or(0, |bytes| bytes.load(Relaxed)));
    line.number(name!("resp_bytes"), entry.response_bytes);
    line.optional_word(name!("client_gone", text), entry.left.map(Left::as_str));
    if !entry.headers.is_empty() {
        line.value(name!("headers"), &headers(entry));
    }
    line.end()
}

/// Writes `entry` as a line for people. Returns how much room is left; `None` if it was too little.
pub(super) fn write_text(entry: &Entry, pen: &mut Pen, room: &mut [u8]) -> Option<usize> {
    let at = pen.stamp.of(entry.arrived).escape_ascii().to_string();
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
        entry.route().unwrap_or("-"),
        entry.reason.unwrap_or("-"),
        id.get(..SHORT_ID).unwrap_or(&id),
    );
    room.get_mut(..line.len())?.copy_from_slice(line.as_bytes());
    Some(room.len() - line.len())
}

/// As many characters of an id as stand in a line for people, at most: enough to find one of ours by among the last thousand.
pub const SHORT_ID: usize = 8;

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
    Some(until.saturating_sub(admitted))
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

    fn names(route: &str) -> Arc<Names> {
        Arc::new(Names { route: route.into(), upstream: "app".into(), limits: Box::new(["db".into()]) })
    }

    fn entry() -> Entry {
        let start = Instant::now();
        Entry {
            arrived: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            start,
            end: Some(Duration::from_micros(12_345)),
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
            names: Some(names("api")),
            limit: None,
            queued: Duration::ZERO,
            ahead: None,
            admitted: Some(Duration::ZERO),
            in_flight: Some(2),
            released: Some(Duration::from_millis(7)),
            priority: Some("normal"),
            cost: Some(1),
            dialled: None,
            connected_in: None,
            headers: ["a", "b"].map(|v| (HeaderName::from_static("x-a"), HeaderValue::from_static(v))).to_vec(),
            request_bytes: None,
            headed: Some(Duration::from_millis(5)),
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
        let left = write_json(&entry(), &mut Pen::default(), &mut out).unwrap();
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
    fn a_line_is_the_same_whatever_was_written_before() {
        let changes: [fn(&mut Entry); 13] = [
            |_| {},
            |entry| entry.version = Version::HTTP_2,
            |entry| entry.status = 404,
            |entry| entry.outcome = Outcome::Failed,
            |entry| entry.reason = Some("upstream_cut"),
            |entry| entry.names = Some(names("other")),
            |entry| entry.names = None,
            |entry| entry.limit = Some(0),
            |entry| entry.priority = Some("low"),
            |entry| entry.cost = Some(7),
            |entry| entry.endpoint = Some("192.0.2.1:80".into()),
            |entry| entry.reused = Some(false),
            |entry| entry.retries = 2,
        ];
        let mut pen = Pen::default();
        for change in changes {
            let mut entry = entry();
            // The second time as it was the first time, and back to what was there before.
            for changed in [false, true, true, false] {
                if changed {
                    change(&mut entry);
                } else {
                    entry = self::entry();
                }
                let (mut out, mut alone) = (vec![0; 1000], vec![0; 1000]);
                write_json(&entry, &mut pen, &mut out).unwrap();
                write_json(&entry, &mut Pen::default(), &mut alone).unwrap();
                assert_eq!(out.escape_ascii().to_string(), alone.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn the_line_for_people_has_no_line_ends_inside() {
        let mut out = vec![0; 1000];
        let entry = Entry { request_id: HeaderValue::from_static("0123abcd4567"), ..entry() };
        let left = write_text(&entry, &mut Pen::default(), &mut out).unwrap();
        out.truncate(1000 - left);
        let line = String::from_utf8(out).unwrap();
        assert!(line.starts_with("2023-11-14T22:13:20.123Z 200 GET /a\"b 12.3ms "), "{line}");
        assert!(line.ends_with(" api - 192.0.2.1 0123abcd\n"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
