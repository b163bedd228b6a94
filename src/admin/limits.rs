//! `/api/v1/limits`: what limits there are, and changing one for a while.

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::context::{By, Connection, Context};
use super::patch::Patch;
use super::problem::Problem;
use super::requests::shown;
use super::status::{LimitStatus, all, json};
use super::timestamp::rfc3339;
use crate::admission::{LIMIT_MAX, Limiter, Overrides, Waiter};
use crate::duration;
use crate::proxy::{LiveView, Shared};

#[derive(Serialize)]
struct List {
    limits: Vec<LimitStatus>,
}

/// `GET /api/v1/limits`.
pub(super) async fn list(State(context): State<Context>) -> Response {
    json(StatusCode::OK, &List { limits: all(&context) })
}

/// `GET /api/v1/limits/{name}`.
pub(super) async fn show(State(context): State<Context>, Path(name): Path<String>) -> Result<Response, Problem> {
    Ok(state(&context, &find(&context, &name)?))
}

/// `PATCH /api/v1/limits/{name}`.
pub(super) async fn change(
    State(context): State<Context>,
    Extension(connection): Extension<Connection>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let limiter = &find(&context, &name)?;
    let patch = Patch::read(&body)?;
    let proxy = context.server.proxy();
    patch.check(&limiter.settings(), limiter.overrides().limit, |key| proxy.may_show_key(limiter, key))?;
    let Patch { values, lasts, .. } = patch;
    let before = knobs(limiter);
    let over = context.overrides.put(limiter, values, lasts, connection.by());
    heed(&proxy, &name);
    let until = over.until.map_or_else(|| "forever".to_owned(), rfc3339);
    log(limiter, &before, connection.by(), &until);
    Ok(state(&context, limiter))
}

/// `DELETE /api/v1/limits/{name}`: back to the configuration. Nothing to take back is as good.
pub(super) async fn reset(
    State(context): State<Context>,
    Extension(connection): Extension<Connection>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let limiter = &find(&context, &name)?;
    let before = knobs(limiter);
    if context.overrides.remove(&name).is_some() {
        heed(&context.server.proxy(), &name);
        log(limiter, &before, connection.by(), "as configured");
    }
    Ok(state(&context, limiter))
}

/// `POST /api/v1/limits/{name}/flush`: turns away all who wait.
pub(super) async fn flush(
    State(context): State<Context>,
    Extension(connection): Extension<Connection>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let flushed = find(&context, &name)?.flush();
    tracing::info!(limit = %name, by = %connection.by(), flushed, "a queue has been emptied");
    Ok(json(StatusCode::OK, &serde_json::json!({ "name": name, "flushed": flushed })))
}

/// A key with requests.
#[derive(Debug, Serialize)]
pub(super) struct KeyState {
    key: String,
    waiting: u32,
    in_flight: u32,
}

#[derive(Deserialize)]
pub(super) struct Top {
    #[serde(default = "twenty")]
    top: usize,
}

fn twenty() -> usize {
    20
}

impl Top {
    pub(super) fn of(query: Result<Query<Top>, QueryRejection>) -> Result<usize, Problem> {
        match query {
            Ok(Query(Top { top })) => Ok(top.min(TOP_MAX)),
            Err(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "`top` is a whole number, such as top=20.")),
        }
    }
}

/// So many keys or waiters at most are shown at once: each is looked at under the lock of its limit.
const TOP_MAX: usize = 1000;

/// `GET /api/v1/limits/{name}/keys?top=20`: the keys with the most waiting, then the most in flight as far as that is
/// counted by key.
pub(super) async fn keys(
    State(context): State<Context>,
    Path(name): Path<String>,
    top: Result<Query<Top>, QueryRejection>,
) -> Result<Response, Problem> {
    let limiter = find(&context, &name)?;
    let keys = top_keys(&limiter, Top::of(top)?);
    let tracked = limiter.keys_tracked();
    Ok(json(StatusCode::OK, &serde_json::json!({ "name": name, "tracked": tracked, "keys": keys })))
}

#[derive(Serialize)]
struct WaiterState {
    position: u32,
    /// `null` for one that came before there was an admin listener.
    request_id: Option<String>,
    route: Option<String>,
    key: String,
    priority: &'static str,
    cost: u32,
    waited_seconds: f64,
    /// `null` until it is known how fast the queue moves.
    estimated_seconds: Option<f64>,
}

/// `GET /api/v1/limits/{name}/queue?top=20`: those who wait, in the order in which they would go if nobody else came.
pub(super) async fn queue(
    State(context): State<Context>,
    Path(name): Path<String>,
    top: Result<Query<Top>, QueryRejection>,
) -> Result<Response, Problem> {
    let limiter = find(&context, &name)?;
    let top = Top::of(top)?;
    let line = limiter.line(top);
    let known = context.server.proxy().registry().waiting(line.iter().map(|waiter| waiter.tag));
    let waiting: Vec<_> = line.into_iter().map(|waiter| WaiterState::new(known.get(&waiter.tag), waiter)).collect();
    let length = limiter.queue_len();
    Ok(json(StatusCode::OK, &serde_json::json!({ "name": name, "length": length, "waiting": waiting })))
}

impl WaiterState {
    fn new(known: Option<&LiveView>, waiter: Waiter) -> Self {
        let Waiter { position, key, level, seats, waited, wait, tag: _ } = waiter;
        WaiterState {
            position,
            request_id: known.map(|request| shown(&request.request_id)),
            route: known.and_then(|request| request.route.as_deref()).map(str::to_owned),
            key,
            priority: level.as_str(),
            cost: seats,
            waited_seconds: waited.as_secs_f64(),
            estimated_seconds: wait.map(|wait| wait.as_secs_f64()),
        }
    }
}

/// The keys of a limit with the most to do.
pub(super) fn top_keys(limiter: &Limiter, top: usize) -> Vec<KeyState> {
    let keys = limiter.keys(top).into_iter();
    keys.map(|(key, waiting, in_flight)| KeyState { key, waiting, in_flight }).collect()
}

/// `GET /api/v1/limits/{name}/history`: the last five minutes, a sample a second and the oldest first.
pub(super) async fn history(State(context): State<Context>, Path(name): Path<String>) -> Result<Response, Problem> {
    let limiter = find(&context, &name)?;
    // One that has just come has no samples yet.
    let columns = context.board.columns(limiter.name()).unwrap_or_default();
    Ok(json(StatusCode::OK, &serde_json::json!({ "name": name, "interval_seconds": 1, "samples": columns })))
}

/// A limit that finds itself takes note at once: the answer says what holds now.
fn heed(proxy: &Shared, name: &str) {
    if let Some(adaptive) = proxy.adaptive().iter().find(|adaptive| adaptive.limiter().name() == name) {
        adaptive.heed();
    }
}

fn state(context: &Context, limiter: &Limiter) -> Response {
    json(StatusCode::OK, &LimitStatus::new(limiter, context, &context.server.proxy()))
}

pub(super) fn find(context: &Context, name: &str) -> Result<Limiter, Problem> {
    context.limiter(name).ok_or_else(|| {
        let proxy = context.server.proxy();
        let names: Vec<_> = proxy.limiters().iter().map(Limiter::name).collect();
        Problem::new(StatusCode::NOT_FOUND, unknown(name, &names))
    })
}

/// How many names an answer lists.
const LISTED: usize = 10;

/// What is said about a limit that there is not.
fn unknown(name: &str, names: &[&str]) -> String {
    let similar = names.iter().map(|known| (strsim::jaro_winkler(name, known), known));
    let closest =
        similar.filter(|(similarity, _)| *similarity > 0.8).max_by(|(one, _), (other, _)| one.total_cmp(other));
    let instead = match (closest, names) {
        (Some((_, closest)), _) => format!("Did you mean `{closest}`?"),
        (None, []) => "There are none.".to_owned(),
        (None, names) if names.len() <= LISTED => format!("There are: {}.", names.join(", ")),
        (None, _) => format!("There are {}, and the status lists them.", names.len()),
    };
    format!("There is no limit `{name}`. {instead}")
}

/// What of a limit can be changed, for the log.
fn knobs(limiter: &Limiter) -> String {
    let timeout = duration::show(limiter.queue_timeout());
    let limit = match limiter.limit() {
        LIMIT_MAX => "none".to_owned(),
        limit => limit.to_string(),
    };
    let mut text = format!("limit {limit}, queue {}, queue timeout {timeout}", limiter.queue());
    let Overrides { keys, freeze, .. } = limiter.overrides();
    let per_key = limiter.rules().and_then(|rules| rules.per_key).map(|per_key| format!(", per key {per_key}"));
    text.extend(per_key);
    text.extend(keys.iter().map(|(key, per_key)| format!(", key {key} {per_key}")));
    if freeze == Some(true) && limiter.settings().limit_max.is_some() {
        text += ", frozen";
    }
    text + if limiter.is_dry_run() { ", dry run" } else { "" }
}

fn log(limiter: &Limiter, before: &str, by: By, until: &str) {
    let name = limiter.name();
    tracing::info!(limit = %name, %by, before, after = knobs(limiter), until, "a limit has been changed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_limit_is_answered_with_what_was_probably_meant() {
        assert_eq!(unknown("apii", &["api", "reports"]), "There is no limit `apii`. Did you mean `api`?");
        assert_eq!(unknown("x", &["api", "reports"]), "There is no limit `x`. There are: api, reports.");
        assert_eq!(unknown("x", &[]), "There is no limit `x`. There are none.");
        assert!(unknown("x", &["long_name"; 11]).ends_with("There are 11, and the status lists them."));
    }
}
