//! A collector of OpenTelemetry, which decodes what it gets with OpenTelemetry's own messages.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;

use super::{Upstream, soon};

pub struct Collector {
    upstream: Upstream,
    spans: mpsc::UnboundedReceiver<Span>,
    seen: Vec<Span>,
}

impl Collector {
    /// One that takes everything.
    pub async fn start() -> Self {
        Collector::that_answers(&[]).await
    }

    /// One that gives its first answers these statuses, and takes everything from then on.
    pub async fn that_answers(statuses: &'static [u16]) -> Self {
        let (sender, spans) = mpsc::unbounded_channel();
        let told = std::sync::Arc::new(std::sync::Mutex::new(statuses.iter()));
        let upstream = Upstream::that(move |mut call| {
            let status = told.lock().expect("nobody panics while holding it").next().copied();
            let sender = sender.clone();
            async move {
                assert_eq!((call.method(), call.path()), ("POST", "/v1/traces"));
                assert_eq!(call.head.field("content-type").as_deref(), Some("application/x-protobuf"));
                let body = call.body().await.expect("a whole batch").bytes;
                if let Some(status) = status {
                    return call.respond(status, "").await;
                }
                let batch = ExportTraceServiceRequest::decode(body.as_slice()).expect("what OTLP has");
                for resource in batch.resource_spans {
                    let service = &resource.resource.as_ref().expect("a resource").attributes;
                    assert!(service.iter().any(|attribute| attribute.key == "service.name"), "{service:?}");
                    for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                        // A test that is over does not mind.
                        let _ = sender.send(span);
                    }
                }
                call.respond(200, "").await;
            }
        })
        .await;
        Collector { upstream, spans, seen: Vec::new() }
    }

    /// The table that has spans sent here.
    pub fn table(&self, more: &str) -> String {
        table(&self.upstream.url(), more)
    }

    /// All spans of the trace to which the request for `path` belongs. They come in one batch, that of the request first.
    pub async fn trace_of(&mut self, path: &str) -> Trace {
        let is_it = |span: &Span| attribute(span, "url.path") == json!(path);
        while !self.seen.iter().any(is_it) {
            let span = soon(&format!("the span of {path}"), self.spans.recv()).await;
            self.seen.push(span.expect("the collector runs"));
        }
        while let Ok(span) = self.spans.try_recv() {
            self.seen.push(span);
        }
        let id = self.seen.iter().find(|span| is_it(span)).expect("just seen").trace_id.clone();
        Trace(self.seen.iter().filter(|span| span.trace_id == id).cloned().collect())
    }

    /// The paths of all requests of which it has heard.
    pub fn paths(&mut self) -> Vec<String> {
        while let Ok(span) = self.spans.try_recv() {
            self.seen.push(span);
        }
        let paths = self.seen.iter().map(|span| attribute(span, "url.path"));
        paths.filter_map(|path| Some(path.as_str()?.to_owned())).collect()
    }

    /// How many batches have been sent.
    pub fn batches(&self) -> usize {
        self.upstream.total()
    }
}

/// The table that has spans sent to this place.
pub fn table(url: &str, more: &str) -> String {
    format!("[tracing]\nendpoint = \"{url}\"\n{more}")
}

/// The spans of a trace.
#[derive(Debug)]
pub struct Trace(pub Vec<Span>);

impl Trace {
    /// The one of this kind, as OpenTelemetry numbers them.
    pub fn of_kind(&self, kind: i32) -> Option<&Span> {
        let mut found = self.0.iter().filter(|span| span.kind == kind);
        let first = found.next();
        assert!(found.next().is_none(), "two of kind {kind}: {self:#?}");
        first
    }

    pub fn server(&self) -> &Span {
        self.of_kind(2).expect("a server span")
    }

    pub fn client(&self) -> &Span {
        self.of_kind(3).expect("a client span")
    }

    pub fn queue(&self) -> &Span {
        self.of_kind(1).expect("a span of the wait")
    }
}

/// An attribute of a span, null where it has none.
pub fn attribute(span: &Span, name: &str) -> serde_json::Value {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        None => serde_json::Value::Null,
        Some(Value::StringValue(text)) => json!(text),
        Some(Value::BoolValue(boolean)) => json!(boolean),
        Some(Value::IntValue(number)) => json!(number),
        Some(Value::DoubleValue(number)) => json!(number),
        Some(other) => panic!("{other:?}"),
    }
}

/// An id as it is written.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
