//! `GET /metrics`: snapshots of what the others count, read at the scrape and never on a request's way.

mod adaptive;
mod classic;
mod collector;
mod endpoints;
mod process;
mod traffic;
mod upstreams;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::context::Context;
use super::problem::Problem;
use crate::server::Handle;
use collector::Collector;
use process::Process;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics: ours, with our prefix, and those of the process, which have the same names everywhere.
pub(super) fn registry(server: Handle) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    registry.sub_registry_with_prefix("sluicegate").register_collector(Box::new(Collector::new(server)));
    registry
}

/// OpenMetrics for those who ask for it, the older text format for everyone else.
pub(super) async fn show(State(context): State<Context>, headers: HeaderMap) -> Response {
    let mut text = String::new();
    if encode(&mut text, &context.metrics).is_err() {
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The metrics can't be written.").into_response();
    }
    match wants_open_metrics(&headers) {
        true => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        false => ([(CONTENT_TYPE, CLASSIC)], classic::from_open_metrics(&text)).into_response(),
    }
}

/// Whoever understands OpenMetrics names it, and prefers it to the other; a quality of zero is a refusal.
fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let ranges =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    ranges.into_iter().any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
        let refused = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        named && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_are_for_those_who_ask() {
        let wants = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            wants_open_metrics(&headers)
        };
        assert!(wants("application/openmetrics-text"));
        assert!(wants("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"));
        assert!(!wants("text/plain;version=0.0.4"));
        assert!(!wants("*/*"));
        assert!(!wants("application/openmetrics-text;q=0,text/plain"));
        assert!(!wants_open_metrics(&HeaderMap::new()));
    }
}
