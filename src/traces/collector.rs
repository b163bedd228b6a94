//! Who collects spans.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use prost::Message;
use tokio::time::timeout;

use super::messages::ExportTraceServiceResponse;
use crate::upstream::{self, Poster};

/// A collector that takes OTLP over HTTP, in Protobuf.
#[derive(Debug)]
pub(super) struct Collector {
    poster: Poster,
    path: String,
}

/// Why it has not taken a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It may take it later, after a time if it has named one.
    #[error("{why}")]
    ForNow { why: String, after: Option<Duration> },
    /// It never will.
    #[error("its answer is {0}")]
    ForGood(StatusCode),
}

/// How long it may take for a batch, connecting included: as OpenTelemetry's own exporters have it.
const PATIENCE: Duration = Duration::from_secs(10);

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("sluicegate/", env!("CARGO_PKG_VERSION")));

impl Collector {
    pub(super) fn new(settings: upstream::Settings) -> Self {
        let path = settings.base_path.clone();
        Collector { poster: Poster::new(settings), path }
    }

    /// Sends a batch. Returns what it says of spans that it does not like.
    pub(super) async fn send(&mut self, batch: Bytes) -> Result<Option<String>, Refused> {
        let later = |why: String| Refused::ForNow { why, after: None };
        let mut request = Request::post(&*self.path).body(batch).expect("a checked path");
        request.headers_mut().insert(CONTENT_TYPE, PROTOBUF);
        request.headers_mut().insert(USER_AGENT, AGENT);
        let answer = match timeout(PATIENCE, self.poster.post(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(later(error.to_string())),
            Err(_) => return Err(later(format!("no answer within {PATIENCE:?}"))),
        };
        match answer.status() {
            status if status.is_success() => Ok(complaint(answer.body())),
            // Those that OTLP names.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let why = format!("its answer is {}", answer.status());
                Err(Refused::ForNow { why, after: retry_after(answer.headers()) })
            }
            status => Err(Refused::ForGood(status)),
        }
    }
}

/// What a collector says that has not taken everything, or has something to warn of.
fn complaint(answer: &Bytes) -> Option<String> {
    let partial = ExportTraceServiceResponse::decode(answer.clone()).ok()?.partial_success?;
    let said = partial.rejected_spans > 0 || !partial.error_message.is_empty();
    said.then(|| format!("{} spans refused: {}", partial.rejected_spans, partial.error_message))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    Some(Duration::from_secs(headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?))
}
