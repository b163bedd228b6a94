//! `GET /api/v1/routes`: which way requests go.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::context::Context;
use super::status::json;
use crate::proxy::RouteSettings;

#[derive(Debug, Serialize)]
struct RouteStatus {
    name: String,
    /// What requests must be like; what is not there does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    method: Vec<String>,
    /// Names alone: a value can be a secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    header: Vec<String>,
    upstream: String,
    /// In the order in which they are acquired; none for `limit = "none"`.
    limits: Vec<String>,
    rejected: BTreeMap<&'static str, u64>,
}

/// `GET /api/v1/routes`.
pub(super) async fn list(State(context): State<Context>) -> Response {
    let proxy = context.server.proxy();
    let upstreams: Vec<_> = proxy.upstreams().map(|(name, _)| name.to_owned()).collect();
    let status = |(route, rejected): (&RouteSettings, _)| {
        let conditions = &route.conditions;
        RouteStatus {
            name: route.name.clone(),
            host: conditions.host.as_ref().map(ToString::to_string),
            path: conditions.path.as_ref().map(ToString::to_string),
            method: conditions.methods.iter().map(ToString::to_string).collect(),
            header: conditions.headers.iter().map(|(name, _)| name.to_string()).collect(),
            upstream: upstreams[route.upstream].clone(),
            limits: route.limits.iter().map(|limit| proxy.limiters()[*limit].name().to_owned()).collect(),
            rejected: reasons(rejected),
        }
    };
    let routes: Vec<_> = proxy.routes().map(status).collect();
    json(StatusCode::OK, &serde_json::json!({ "routes": routes }))
}

fn reasons<const N: usize>(counts: [(crate::admission::Reason, u64); N]) -> BTreeMap<&'static str, u64> {
    counts.into_iter().map(|(reason, count)| (reason.as_str(), count)).collect()
}
