//! `GET /api/v1/openapi.json`: what can be asked here, for those who write clients.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

/// By hand, and held to the routes and to what they answer by `tests/e2e/admin/openapi.rs`.
const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /api/v1/openapi.json`.
pub(super) async fn show() -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT).into_response()
}
