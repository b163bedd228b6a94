//! Is it alive, and should it get requests?

use axum::extract::State;
use http::StatusCode;

use super::context::Context;

/// `GET /livez`: whoever can answer is alive, also while draining.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz` and `/healthz`. Listeners are bound before this one answers, so only a drain makes it unready.
pub(super) async fn ready(State(context): State<Context>) -> (StatusCode, &'static str) {
    match context.server.is_draining() {
        false => (StatusCode::OK, "ok\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}
