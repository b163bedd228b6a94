//! `GET /api/v1/rejections`: who was turned away, and why.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::{Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::problem::Problem;
use super::status::json;
use super::timestamp::rfc3339_millis;
use crate::proxy::{LimitThen, Refused, Shared};

/// A request that was answered by sluicegate itself.
#[derive(Debug, Serialize)]
pub(super) struct Rejection {
    number: u64,
    pub(super) at: String,
    pub(super) request_id: String,
    pub(super) route: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<String>,
    pub(super) status: u16,
    pub(super) reason: &'static str,
    /// A sentence with the numbers of that moment.
    pub(super) why: String,
    queue_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    // Only known where there is an access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

/// Which ones are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    last: Option<usize>,
    limit: Option<String>,
    route: Option<String>,
    request_id: Option<String>,
}

const DEFAULT_LAST: usize = 100;

/// `GET /api/v1/rejections?last=100&limit=…&route=…&request_id=…`: the newest first, of the last thousand.
pub(super) async fn list(
    State(context): State<Context>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(filter) = filter.map_err(|_| {
        let detail = "Known are `last` (a whole number), `limit`, `route` and `request_id`.";
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    let proxy = context.server.proxy();
    let matching = newest(&proxy).filter(|rejection| filter.matches(rejection));
    let rejections: Vec<_> = matching.take(filter.last.unwrap_or(DEFAULT_LAST)).collect();
    Ok(json(StatusCode::OK, &serde_json::json!({ "rejections": rejections })))
}

/// The last ones, the newest first.
fn newest(proxy: &Shared) -> impl Iterator<Item = Rejection> {
    proxy.recent().newest().map(Rejection::from)
}

/// Some of the last ones, the newest first: of those that were turned away for one reason by one limit only a few, or a
/// storm at one would hide what happens at the others.
pub(super) fn some(proxy: &Shared, most: usize) -> Vec<Rejection> {
    let mut of_a_kind = HashMap::new();
    let differs = |refused: &Arc<Refused>| {
        let limit = refused.limit.as_ref().map(|limit| limit.name.clone());
        let count = of_a_kind.entry((refused.reason, refused.route.clone(), limit)).or_insert(0);
        *count += 1;
        *count <= OF_A_KIND
    };
    proxy.recent().newest().filter(differs).take(most).map(Rejection::from).collect()
}

const OF_A_KIND: usize = 4;

impl Filter {
    fn matches(&self, rejection: &Rejection) -> bool {
        let is = |asked: &Option<String>, value: Option<&str>| asked.is_none() || asked.as_deref() == value;
        is(&self.limit, rejection.limit.as_deref())
            && is(&self.route, Some(&rejection.route))
            && is(&self.request_id, Some(&rejection.request_id))
    }
}

impl From<Arc<Refused>> for Rejection {
    fn from(refused: Arc<Refused>) -> Self {
        let asked = refused.asked.as_ref();
        Rejection {
            number: refused.number,
            at: rfc3339_millis(refused.at),
            request_id: String::from_utf8_lossy(refused.request_id.as_bytes()).into_owned(),
            route: refused.route.to_string(),
            limit: refused.limit.as_ref().map(|limit| limit.name.to_string()),
            status: refused.status.as_u16(),
            reason: refused.reason,
            why: why(&refused),
            queue_ms: refused.waited.map_or(0.0, |(_, wait)| wait.as_micros() as f64 / 1000.0),
            retry_after: refused.retry_after,
            endpoint: refused.endpoint.as_deref().map(str::to_owned),
            client_ip: asked.map(|asked| asked.client_ip.to_canonical().to_string()),
            method: asked.and_then(|asked| asked.method.as_ref()).map(Method::to_string),
            path: asked.and_then(|asked| asked.target.as_ref()).map(Uri::path).map(str::to_owned),
        }
    }
}

/// What the client was told, with the numbers behind it.
fn why(refused: &Refused) -> String {
    let mut why = refused.detail.to_owned();
    match (&refused.endpoint, &refused.cause) {
        (Some(endpoint), Some(cause)) => _ = write!(why, " {endpoint}: {cause}."),
        (Some(endpoint), None) => _ = write!(why, " It was sent to {endpoint}."),
        (None, Some(cause)) => _ = write!(why, " {cause}."),
        (None, None) => {}
    }
    if let Some(LimitThen { in_flight, limit, queue_length, queue, .. }) = &refused.limit {
        let _ = write!(why, " {in_flight} of {limit} in flight, {queue_length} of {queue} waiting.");
    }
    if let Some((position, wait)) = refused.waited.filter(|(_, wait)| wait.as_millis() >= 50) {
        let _ = write!(why, " Waited {:.1} s, from place {position} on.", wait.as_secs_f64());
    }
    why
}
