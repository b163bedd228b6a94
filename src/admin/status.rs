//! What there is to see: the state of the whole and of each limit, as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::adaptive::AdaptiveState;
use super::context::Context;
use super::overrides::Override;
use super::timestamp::rfc3339;
use super::upstreams::{self, UpstreamStatus};
use crate::admission::{LIMIT_MAX, Limiter, Reason};
use crate::duration;
use crate::proxy::Shared;

/// The state of the whole, with its limits.
#[derive(Debug, Serialize)]
struct Status {
    #[serde(flatten)]
    overall: Overall,
    limits: Vec<LimitStatus>,
    upstreams: Vec<UpstreamStatus>,
}

/// The state of the whole.
#[derive(Debug, Serialize)]
pub(super) struct Overall {
    pub(super) version: &'static str,
    pub(super) draining: bool,
    pub(super) uptime_seconds: f64,
    pub(super) connections: usize,
}

/// The state of a limit.
#[derive(Debug, Serialize)]
pub(super) struct LimitStatus {
    pub(super) name: String,
    pub(super) in_flight: u32,
    pub(super) limit: u32,
    pub(super) queue_length: u32,
    pub(super) queue: u32,
    queue_timeout: String,
    /// `null` for no cap, and without `key`.
    per_key: Option<u32>,
    /// How long the one who is next has waited.
    pub(super) oldest_seconds: Option<f64>,
    admitted: u64,
    queued: u64,
    pub(super) rejected: BTreeMap<&'static str, u64>,
    /// Whether it only counts.
    pub(super) dry_run: bool,
    /// Those who would have had to wait while it only counted.
    pub(super) dry_run_queued: u64,
    /// Those who would have been rejected.
    pub(super) dry_run_rejected: u64,
    configured: Configured,
    /// `null` for one that is fixed and has no shadow.
    pub(super) adaptive: Option<AdaptiveState>,
    pub(super) r#override: Option<OverrideStatus>,
}

/// What a limit goes back to.
#[derive(Debug, Serialize)]
struct Configured {
    limit: u32,
    queue: u32,
    queue_timeout: String,
    per_key: Option<u32>,
    dry_run: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct OverrideStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_key: Option<NonZeroU32>,
    /// The caps of single keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    keys: BTreeMap<String, NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    freeze: Option<bool>,
    /// `null` for no end.
    pub(super) until: Option<String>,
    pub(super) by: String,
}

impl Overall {
    pub(super) fn new(context: &Context) -> Self {
        Overall {
            version: env!("CARGO_PKG_VERSION"),
            draining: context.server.is_draining(),
            uptime_seconds: context.started.elapsed().as_secs_f64(),
            connections: context.server.connections(),
        }
    }
}

impl LimitStatus {
    pub(super) fn new(limiter: &Limiter, context: &Context, proxy: &Shared) -> Self {
        let over = context.overrides.of(limiter.name());
        let adaptive = proxy.adaptive().iter().find(|each| each.limiter().name() == limiter.name());
        let settings = limiter.settings();
        let counts = limiter.counts();
        LimitStatus {
            name: settings.name.clone(),
            in_flight: limiter.in_flight(),
            limit: limiter.limit(),
            queue_length: limiter.queue_len(),
            queue: limiter.queue(),
            queue_timeout: duration::show(limiter.queue_timeout()),
            per_key: limiter.rules().and_then(|rules| rules.per_key).map(NonZeroU32::get),
            oldest_seconds: limiter.oldest_wait().map(|wait| wait.as_micros() as f64 / 1e6),
            admitted: counts.admitted,
            queued: counts.queued,
            rejected: counts.rejected.map(|(reason, count): (Reason, u64)| (reason.as_str(), count)).into(),
            dry_run: limiter.is_dry_run(),
            dry_run_queued: counts.dry_run_queued,
            dry_run_rejected: counts.dry_run_rejected,
            configured: Configured {
                limit: settings.limit.get(),
                queue: settings.queue,
                queue_timeout: duration::show(settings.queue_timeout),
                per_key: settings.rules.as_ref().and_then(|rules| rules.per_key).map(NonZeroU32::get),
                dry_run: settings.dry_run,
            },
            adaptive: adaptive.map(|adaptive| adaptive.status().into()),
            r#override: over.map(OverrideStatus::from),
        }
    }
}

impl From<Override> for OverrideStatus {
    fn from(Override { values, until, by }: Override) -> Self {
        OverrideStatus {
            limit: values.limit.map(Into::into),
            queue: values.queue,
            queue_timeout: values.queue_timeout.map(duration::show),
            per_key: values.per_key,
            keys: values.keys,
            dry_run: values.dry_run,
            freeze: values.freeze,
            until: until.map(rfc3339),
            by: by.to_string(),
        }
    }
}

/// What is other than configured.
impl fmt::Display for OverrideStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut changes = Vec::new();
        changes.extend(self.limit.map(|limit| match limit {
            LIMIT_MAX => "no limit".to_owned(),
            limit => format!("limit {limit}"),
        }));
        changes.extend(self.queue.map(|queue| format!("queue {queue}")));
        changes.extend(self.queue_timeout.as_ref().map(|timeout| format!("queue timeout {timeout}")));
        changes.extend(self.per_key.map(|per_key| format!("per key {per_key}")));
        changes.extend(self.keys.iter().map(|(key, per_key)| format!("key {key} {per_key}")));
        changes.extend(self.dry_run.map(|dry_run| if dry_run { "dry run" } else { "no dry run" }.to_owned()));
        changes.extend(self.freeze.filter(|freeze| *freeze).map(|_| "frozen".to_owned()));
        f.write_str(&changes.join(", "))
    }
}

/// `GET /api/v1/status`.
pub(super) async fn show(State(context): State<Context>) -> Response {
    let (limits, upstreams) = (all(&context), upstreams::all(&context));
    let status = Status { overall: Overall::new(&context), limits, upstreams };
    json(StatusCode::OK, &status)
}

/// The limits, in the order of the plan.
pub(super) fn all(context: &Context) -> Vec<LimitStatus> {
    let proxy = context.server.proxy();
    let limiters = proxy.limiters().iter();
    limiters.map(|limiter| LimitStatus::new(limiter, context, &proxy)).collect()
}

/// An answer in JSON, with a line end for those who read it in a terminal.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut body = serde_json::to_vec(value).expect("what is shown always serializes");
    body.push(b'\n');
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
