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
    name: String,
    endpoints: Vec<EndpointState>,
}

/// `GET /api/v1/upstreams`.
pub(super) async fn list(State(context): State<Context>) -> Response {
    json(StatusCode::OK, &List { upstreams: all(&context) })
}

/// The upstreams, in the order of the plan.
pub(super) fn all(context: &Context) -> Vec<UpstreamStatus> {
    let proxy = context.server.proxy();
    let upstreams = proxy.upstreams();
    let upstreams = upstreams.map(|(name, endpoints)| UpstreamStatus {
        name: name.to_owned(),
        endpoints: endpoints.into_iter().map(EndpointState::from).collect(),
    });
    upstreams.collect()
}

/// The state of an endpoint.
#[derive(Debug, Serialize)]
struct EndpointState {
    endpoint: String,
    state: &'static str,
    in_flight: u32,
}

impl From<EndpointStatus> for EndpointState {
    fn from(status: EndpointStatus) -> Self {
        let EndpointStatus { name, state, in_flight } = status;
        EndpointState { endpoint: name.to_string(), state, in_flight }
    }
}
