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
}

impl From<EndpointStatus> for EndpointState {
    fn from(status: EndpointStatus) -> Self {
        let EndpointStatus { name, state, in_flight, slots } = status;
        EndpointState { endpoint: name.to_string(), state, in_flight, slots }
    }
}
