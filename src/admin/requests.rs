//! Who runs, and ending one of them.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::context::{Connection, Context};
use super::limits::{Top, find};
use super::problem::Problem;
use super::status::json;
use crate::proxy::LiveView;

/// A request that is under way.
#[derive(Debug, Serialize)]
struct Request {
    request_id: String,
    age_seconds: f64,
    phase: &'static str,
    /// `null` until it has been found.
    route: Option<String>,
    /// `null` where nobody had to know it.
    key: Option<String>,
    /// `null` until it has been sent.
    endpoint: Option<String>,
}

impl From<&LiveView> for Request {
    fn from(view: &LiveView) -> Self {
        Request {
            request_id: shown(&view.request_id),
            age_seconds: view.age.as_secs_f64(),
            phase: view.phase.as_str(),
            route: view.route.as_deref().map(str::to_owned),
            key: view.key.as_deref().map(str::to_owned),
            endpoint: view.endpoint.as_deref().map(str::to_owned),
        }
    }
}

/// An id as text.
pub(super) fn shown(id: &HeaderValue) -> String {
    String::from_utf8_lossy(id.as_bytes()).into_owned()
}

/// `GET /api/v1/limits/{name}/inflight?top=20`: those that hold permits of a limit, the oldest first.
pub(super) async fn in_flight(
    State(context): State<Context>,
    Path(name): Path<String>,
    top: Result<Query<Top>, QueryRejection>,
) -> Result<Response, Problem> {
    let limiter = find(&context, &name)?;
    let top = Top::of(top)?;
    let running = context.server.proxy().registry().in_flight(&limiter);
    let requests: Vec<_> = running.iter().take(top).map(Request::from).collect();
    let answer = serde_json::json!({ "name": name, "length": running.len(), "requests": requests });
    Ok(json(StatusCode::OK, &answer))
}

/// `POST /api/v1/requests/{id}/cancel`: ends the requests of an id, which clients can choose and may choose twice.
pub(super) async fn cancel(
    State(context): State<Context>,
    Extension(connection): Extension<Connection>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let ended = context.server.proxy().registry().cancel(&id);
    if ended.is_empty() {
        let detail = "No request with this id is under way. `sluicegate ps` lists them.";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    tracing::info!(request_id = %id, by = %connection.by(), ended = ended.len(), "a request has been cancelled");
    let cancelled: Vec<_> = ended.iter().map(Request::from).collect();
    Ok(json(StatusCode::OK, &serde_json::json!({ "cancelled": cancelled })))
}
