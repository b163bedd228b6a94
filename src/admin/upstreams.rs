//! `/api/v1/upstreams`: where requests go.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::context::Context;
use super::status::json;
use crate::proxy::EndpointStatus;

#[derive(Serialize)]
struct List {
    upstreams: Vec<UpstreamStatus>,
}

/// The state of an upstream.
#[derive(Debug, Serialize)]
pub(super) struct UpstreamStatus {
    pub(super) name: String,
    /// Whose requests go there.
    routes: Vec<String>,
    pub(super) endpoints: Vec<EndpointState>,
}

/// `GET /api/v1/upstreams`.
pub(super) async fn list(State(context): State<Context>) -> Response {
    json(StatusCode::OK, &List { upstreams: all(&context) })
}

/// The upstreams, in the order of the plan.
pub(super) fn all(context: &Context) -> Vec<UpstreamStatus> {
    let proxy = context.server.proxy();
    let upstreams = proxy.upstreams();
    let users = |at| proxy.routes().filter(move |(route, _)| route.upstream == at);
    let upstreams = upstreams.enumerate().map(|(at, (name, endpoints))| UpstreamStatus {
        name: name.to_owned(),
        routes: users(at).map(|(route, _)| route.name.clone()).collect(),
        endpoints: endpoints.into_iter().map(EndpointState::from).collect(),
    });
    upstreams.collect()
}

/// The state of an endpoint.
#[derive(Debug, Serialize)]
pub(super) struct EndpointState {
    pub(super) endpoint: String,
    pub(super) state: &'static str,
    pub(super) in_flight: u32,
    pub(super) slots: Option<u32>,
    /// Who has taken it out.
    drained_by: Option<String>,
    answers: u64,
    pub(super) errors: u64,
    /// How long its answers took to begin, of late.
    pub(super) latency_ms: Option<f64>,
    /// How long it gets no requests yet, where it has asked for that.
    pub(super) paused_for_seconds: Option<f64>,
}

impl From<EndpointStatus> for EndpointState {
    fn from(status: EndpointStatus) -> Self {
        EndpointState {
            endpoint: status.name.to_string(),
            state: status.state,
            in_flight: status.in_flight,
            slots: status.slots,
            drained_by: status.drained_by.map(|by| by.to_string()),
            answers: status.answers,
            errors: status.errors,
            latency_ms: status.latency.map(|latency| latency.as_micros() as f64 / 1000.0),
            paused_for_seconds: status.paused_for.map(|left| (left.as_secs_f64() * 10.0).ceil() / 10.0),
        }
    }
}
