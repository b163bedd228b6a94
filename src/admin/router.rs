//! Which handler takes which path, and the layers around all of them.

use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use super::context::{Connection, Context};
use super::problem::Problem;
use super::{
    configuration, dashboard, endpoints, events, limits, metrics, openapi, probes, protection, rejections, reload,
    requests, routes, status, suggest, upstreams,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// No handler waits for anything but the request's body.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest body that makes sense is a tenth of this.
const BODY_MAX: usize = 8 << 10;

/// All paths; `/` only if there is to be a dashboard.
pub(super) fn router(context: Context, dashboard: bool) -> Router {
    let open = Router::new()
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/healthz", get(probes::ready))
        .route("/metrics", get(metrics::show))
        .method_not_allowed_fallback(wrong_method);
    let open = if dashboard { open.route("/", get(dashboard::show).fallback(wrong_method)) } else { open };
    let protected = Router::new()
        .route("/api/v1/status", get(status::show))
        .route("/api/v1/limits", get(limits::list))
        .route("/api/v1/limits/{name}", get(limits::show).patch(limits::change).delete(limits::reset))
        .route("/api/v1/limits/{name}/flush", post(limits::flush))
        .route("/api/v1/limits/{name}/keys", get(limits::keys))
        .route("/api/v1/limits/{name}/queue", get(limits::queue))
        .route("/api/v1/limits/{name}/inflight", get(requests::in_flight))
        .route("/api/v1/limits/{name}/history", get(limits::history))
        .route("/api/v1/suggest", get(suggest::show))
        .route("/api/v1/routes", get(routes::list))
        .route("/api/v1/upstreams", get(upstreams::list))
        .route("/api/v1/upstreams/{name}/endpoints/{endpoint}/drain", post(endpoints::drain))
        .route("/api/v1/upstreams/{name}/endpoints/{endpoint}/enable", post(endpoints::enable))
        .route("/api/v1/rejections", get(rejections::list))
        .route("/api/v1/requests/{id}/cancel", post(requests::cancel))
        .route("/api/v1/config", get(configuration::show))
        .route("/api/v1/explain", post(configuration::explain))
        .route("/api/v1/events", get(events::show))
        .route("/api/v1/drain", post(drain))
        .route("/api/v1/openapi.json", get(openapi::show))
        .route("/api/v1/reload", post(reload::reload))
        .method_not_allowed_fallback(wrong_method)
        // Whoever may see nothing is not told what there is, either.
        .fallback(no_such_path)
        .layer(from_fn_with_state(context.clone(), protection::protect));
    // From the innermost to the outermost.
    open.merge(protected)
        .with_state(context)
        .layer(RequestBodyLimitLayer::new(BODY_MAX))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The admin listener failed on this request.")
                .into_response()
        }))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
        .layer(map_response(finish))
        // A probe that is told of a drain is no failure of ours.
        .layer(TraceLayer::new_for_http().on_failure(()))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION]))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
}

/// `POST /api/v1/drain`: asks for what a SIGTERM asks for.
async fn drain(State(context): State<Context>, Extension(connection): Extension<Connection>) -> Response {
    tracing::info!(by = %connection.by(), "a drain has been asked for");
    context.server.ask_to_drain();
    status::json(StatusCode::ACCEPTED, &json!({ "draining": true }))
}

async fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "There is nothing at this path.")
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This path has other methods: see the field Allow.")
}

/// What the layers refuse becomes a problem like any other, and nothing is cached.
async fn finish(response: Response) -> Response {
    let detail = match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Some("The body is too large."),
        StatusCode::REQUEST_TIMEOUT => Some("The request did not arrive in time."),
        _ => None,
    };
    let mut response = match detail {
        Some(detail) => Problem::new(response.status(), detail).into_response(),
        None => response,
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if headers.contains_key(CONTENT_TYPE) {
        headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}
