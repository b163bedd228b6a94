//! `GET /metrics`: snapshots of what the others count, read at the scrape and never on a request's way.

mod adaptive;
mod classic;
mod collector;
mod endpoints;
mod negotiate;
mod process;
mod traffic;
mod upstreams;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::context::Context;
use super::problem::Problem;
use crate::server::Handle;
use collector::Collector;
use negotiate::wants_open_metrics;
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
