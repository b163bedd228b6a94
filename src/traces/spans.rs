//! The spans of a request, by OpenTelemetry's conventions for HTTP.
//!
//! No query is in them, as in the access log: it may hold credentials.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, UNIX_EPOCH};

use http::uri::Authority;
use http::{HeaderValue, Method, Uri, Version};

use super::messages::{Event, KeyValue, Span, SpanKind, Status, StatusCode, Value, attribute};
use crate::access_log::{Entry, Left, Outcome, Traced};
use crate::telemetry::SpanId;

/// The span of the request, that of its wait if it waited, and that of its exchange with the upstream if there was one.
pub(super) fn spans(entry: &Entry) -> Vec<Span> {
    let Some(traced) = &entry.traced else { return Vec::new() };
    let of = Of { entry, traced, end: entry.end.unwrap_or_default() };
    [Some(of.server()), of.queue(), of.client()].into_iter().flatten().collect()
}

struct Of<'a> {
    entry: &'a Entry,
    traced: &'a Traced,
    /// As all times, by how long it was after the arrival.
    end: Duration,
}

/// Attributes, of which those without a value are left out.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn text(mut self, name: &str, value: Option<impl Into<String>>) -> Self {
        self.0.extend(value.map(|value| attribute(name, Value::Text(value.into()))));
        self
    }

    fn number(mut self, name: &str, value: Option<impl Into<i64>>) -> Self {
        self.0.extend(value.map(|value| attribute(name, Value::Integer(value.into()))));
        self
    }

    fn millis(mut self, name: &str, value: Option<Duration>) -> Self {
        let value = value.map(|value| Value::Number(value.as_micros() as f64 / 1000.0));
        self.0.extend(value.map(|value| attribute(name, value)));
        self
    }

    fn bytes(self, name: &str, value: u64) -> Self {
        self.number(name, i64::try_from(value).ok())
    }
}

impl Of<'_> {
    fn server(&self) -> Span {
        let Entry { method, host, target, .. } = self.entry;
        let route = self.entry.route();
        let (host, port) = authority(host.as_ref());
        let status = (self.entry.outcome != Outcome::ClientGone || self.entry.headed.is_some() || self.entry.begun)
            .then_some(self.entry.status);
        let failed = status.is_some_and(|status| status >= 500) || self.entry.outcome == Outcome::Failed;
        let error = self.entry.reason.map(str::to_owned).or_else(|| failed.then_some(status?.to_string()));
        let read = self.entry.request_bytes.as_ref().map_or(0, |bytes| bytes.load(Relaxed));
        let attributes = method_of(method.as_ref())
            .text("url.path", target.as_ref().map(Uri::path))
            .text("url.scheme", Some(self.traced.scheme))
            .text("server.address", host)
            .number("server.port", port)
            .text("client.address", Some(self.entry.client_ip.to_canonical().to_string()))
            .text("network.protocol.version", Some(version(self.entry.version)))
            .text("user_agent.original", self.traced.user_agent.as_ref().and_then(text))
            .number("http.response.status_code", status)
            .text("error.type", error)
            .bytes("http.request.body.size", read)
            .bytes("http.response.body.size", self.entry.response_bytes)
            .text("sluicegate.request_id", text(&self.entry.request_id))
            .text("sluicegate.route", route)
            .text("sluicegate.limit", self.entry.limit())
            .text("sluicegate.priority", self.entry.priority)
            .number("sluicegate.cost", self.entry.cost)
            .millis("sluicegate.queue_ms", Some(self.entry.waited()))
            .number("sluicegate.queue_position", self.entry.ahead)
            .number("sluicegate.inflight", self.entry.in_flight)
            .text("sluicegate.reason", self.entry.reason)
            .text("sluicegate.outcome", Some(self.entry.outcome.as_str()))
            .text("sluicegate.client_gone", self.entry.left.map(Left::as_str));
        let name = route.or(method.as_ref().map(known)).unwrap_or("HTTP");
        Span {
            parent_span_id: self.traced.trace.parent.map_or_else(Vec::new, Vec::from),
            attributes: attributes.0,
            status: failed.then(|| failure(self.entry.reason)),
            ..self.span(self.traced.trace.server, name, SpanKind::Server, Duration::ZERO, self.end)
        }
    }

    /// Its wait, as the limit that let it go at last, or turned it away, has told of it.
    fn queue(&self) -> Option<Span> {
        let waited = Some(self.entry.waited()).filter(|waited| self.entry.ahead.is_some() || !waited.is_zero())?;
        let end = self.traced.waited.unwrap_or(self.end);
        let begin = end.saturating_sub(waited);
        let attributes = Attributes::default()
            .text("sluicegate.limit", self.entry.limit())
            .number("sluicegate.queue_position", self.entry.ahead)
            .text("sluicegate.reason", self.entry.reason.filter(|_| self.entry.admitted.is_none()));
        let id = fastrand::u64(1..).to_be_bytes();
        Some(Span { attributes: attributes.0, ..self.below(id, "queue", SpanKind::Internal, begin, end) })
    }

    /// All attempts are one span: the upstream is told of one.
    fn client(&self) -> Option<Span> {
        let begin = self.traced.sent?;
        // The exchange ends before a slow client has had its answer, where it is read ahead.
        let end = self.entry.released.filter(|released| *released >= begin).unwrap_or(self.end);
        let place = self.entry.endpoint.as_deref().unwrap_or_default();
        let (host, port) = match place.strip_prefix("unix:") {
            Some(path) => (Some(path.to_owned()), None),
            None => authority(HeaderValue::from_str(place).ok().as_ref()),
        };
        let status = self.entry.headed.map(|_| self.entry.status);
        let failed = status.is_some_and(|status| status >= 400) || self.entry.outcome == Outcome::Failed;
        let error = self.entry.reason.map(str::to_owned).or_else(|| failed.then_some(status?.to_string()));
        let retries = Some(self.entry.retries).filter(|retries| *retries > 0);
        let reused = self.entry.reused.map(|reused| attribute("sluicegate.connection_reused", Value::Boolean(reused)));
        let mut attributes = method_of(self.entry.method.as_ref())
            .text("url.full", self.url(place))
            .text("server.address", host)
            .number("server.port", port)
            .number("http.response.status_code", status)
            .text("error.type", error)
            .number("http.request.resend_count", retries)
            .text("sluicegate.upstream", self.entry.upstream())
            .millis("sluicegate.connect_ms", self.entry.connected_in);
        attributes.0.extend(reused);
        let head = self
            .entry
            .headed
            .map(|headed| Event { time_unix_nano: self.nanos(headed), name: "response head".to_owned() });
        let name = self.entry.method.as_ref().map_or("HTTP", known);
        Some(Span {
            attributes: attributes.0,
            events: head.into_iter().collect(),
            status: failed.then(|| failure(self.entry.reason)),
            ..self.below(self.traced.trace.client, name, SpanKind::Client, begin, end)
        })
    }

    /// What the upstream is asked for, without the query.
    fn url(&self, place: &str) -> Option<String> {
        let (scheme, target) = self.traced.target.as_ref().filter(|_| !place.starts_with("unix:"))?;
        let scheme = if *scheme == "https" { "https" } else { "http" };
        Some(format!("{scheme}://{place}{}", target.path()))
    }

    fn below(&self, id: SpanId, name: &str, kind: SpanKind, begin: Duration, end: Duration) -> Span {
        let parent_span_id = self.traced.trace.server.to_vec();
        Span { parent_span_id, ..self.span(id, name, kind, begin, end) }
    }

    fn span(&self, id: SpanId, name: &str, kind: SpanKind, begin: Duration, end: Duration) -> Span {
        let state = self.traced.state.as_ref().and_then(text).unwrap_or_default();
        Span {
            trace_id: self.traced.trace.id.to_vec(),
            span_id: id.to_vec(),
            trace_state: state.to_owned(),
            flags: self.traced.trace.flags.into(),
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: self.nanos(begin),
            end_time_unix_nano: self.nanos(end.max(begin)),
            ..Span::default()
        }
    }

    /// By the clock as it was when the request came.
    fn nanos(&self, at: Duration) -> u64 {
        let since = self.entry.arrived.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from((since + at).as_nanos()).unwrap_or(u64::MAX)
    }
}

fn failure(reason: Option<&str>) -> Status {
    Status { message: reason.unwrap_or_default().to_owned(), code: StatusCode::Error.into() }
}

fn method_of(method: Option<&Method>) -> Attributes {
    let name = method.map(known);
    let original = method.map(Method::as_str).filter(|method| Some(*method) != name);
    Attributes::default()
        .text("http.request.method", name.map(|name| if original.is_some() { "_OTHER" } else { name }))
        .text("http.request.method_original", original)
}

/// The names of methods are few; what else a client calls one is no name for a span.
fn known(method: &Method) -> &str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH];
    if KNOWN.contains(method) { method.as_str() } else { "HTTP" }
}

/// A host without its brackets, and its port.
fn authority(value: Option<&HeaderValue>) -> (Option<String>, Option<u16>) {
    let Some(authority) = value.and_then(|value| Authority::try_from(value.as_bytes()).ok()) else {
        return (None, None);
    };
    (Some(authority.host().trim_matches(['[', ']']).to_owned()), authority.port_u16())
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}
