//! `GET /api/v1/routes` and `/api/v1/upstreams`: which way requests go.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::context::Context;
use super::status::json;
use crate::duration;
use crate::proxy::{RouteSettings, Shared};

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

/// An upstream with its endpoints.
#[derive(Debug, Serialize)]
pub(super) struct UpstreamStatus {
    pub(super) name: String,
    pub(super) protocol: &'static str,
    connect_timeout: String,
    response_timeout: String,
    retries: u32,
    routes: Vec<String>,
    pub(super) endpoints: Vec<Endpoint>,
}

/// One address of an upstream.
#[derive(Debug, Serialize)]
pub(super) struct Endpoint {
    pub(super) endpoint: String,
}

/// `GET /api/v1/routes`.
pub(super) async fn routes(State(context): State<Context>) -> Response {
    let proxy = context.server.proxy();
    let upstreams: Vec<_> = proxy.upstream_settings().map(|upstream| upstream.name.clone()).collect();
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

/// `GET /api/v1/upstreams`.
pub(super) async fn show_upstreams(State(context): State<Context>) -> Response {
    json(StatusCode::OK, &serde_json::json!({ "upstreams": upstreams(&context.server.proxy()) }))
}

/// The upstreams, in the order of the plan.
pub(super) fn upstreams(proxy: &Shared) -> Vec<UpstreamStatus> {
    let users = |at| proxy.routes().filter(move |(route, _)| route.upstream == at);
    let status = |(at, upstream): (usize, &crate::proxy::UpstreamSettings)| UpstreamStatus {
        name: upstream.name.clone(),
        protocol: upstream.protocol.scheme(),
        connect_timeout: duration::show(upstream.connect_timeout),
        response_timeout: duration::show(upstream.response_timeout),
        retries: upstream.retries,
        routes: users(at).map(|(route, _)| route.name.clone()).collect(),
        endpoints: vec![Endpoint { endpoint: upstream.endpoint.to_string() }],
    };
    proxy.upstream_settings().enumerate().map(status).collect()
}

fn reasons<const N: usize>(counts: [(crate::admission::Reason, u64); N]) -> BTreeMap<&'static str, u64> {
    counts.into_iter().map(|(reason, count)| (reason.as_str(), count)).collect()
}
