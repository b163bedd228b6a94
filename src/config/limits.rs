//! The keys of limits, which stand on a route or in `[defaults]`.

use std::num::NonZeroU32;
use std::time::Duration;

use config::{Value, ValueKind};
use http::StatusCode;

use super::report::Report;
use super::section::Section;
use super::server::{TIMEOUT, TIMEOUT_OR_ZERO};
use super::units::show_duration;
use super::value::{
    Taken, as_integer, as_text, choice, duration, integer, not_an_integer, size, wrong, wrong_with_help,
};
use crate::admission::{LIMIT_MAX, Settings};
use crate::upstream::OnClientGone;

/// Keys of limits that a later version will have.
pub(super) const NOT_YET: &[&str] = &[
    "shadow",
    "order",
    "key",
    "per_key",
    "per_key_queue",
    "keys",
    "missing_key",
    "unknown_key",
    "max_keys",
    "hold",
    "fleet",
    "dry_run",
];

/// Keys that say nothing about a route without a limit.
const KEYS_OF_A_LIMIT: [&str; 4] = ["queue", "queue_timeout", "queue_bytes", "reject_status"];

/// So many bytes are certainly not meant to wait in memory.
const QUEUE_BYTES_MAX: u64 = 1 << 40;

/// What a route or `[defaults]` says about limits and clients that leave. What it does not say is `None`.
#[derive(Debug)]
pub(super) struct Overridable {
    limit: Option<Limit>,
    /// Whether there is a `limit`, right or wrong.
    has_limit: bool,
    queue: Option<u32>,
    queue_timeout: Option<Duration>,
    queue_bytes: Option<u64>,
    reject_status: Option<StatusCode>,
    on_client_gone: Option<OnClientGone>,
    abort_grace: Option<Duration>,
}

/// The value of `limit`.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Permits(NonZeroU32),
    None,
}

/// What a route and the defaults say together.
#[derive(Debug)]
pub(super) struct Effective {
    /// `None` for a route without a limit.
    pub limit: Option<Settings>,
    pub on_client_gone: OnClientGone,
    pub abort_grace: Duration,
}

impl Overridable {
    /// Takes the keys out of a section.
    pub(super) fn take(section: &mut Section<'_>, report: &Report) -> Self {
        let overridable = Overridable {
            limit: section.take("limit", limit),
            has_limit: section.was_written("limit"),
            queue: section.take("queue", integer(0..=LIMIT_MAX)),
            queue_timeout: section.take("queue_timeout", queue_timeout),
            queue_bytes: section.take("queue_bytes", size(0..=QUEUE_BYTES_MAX)),
            reject_status: section.take("reject_status", reject_status),
            on_client_gone: section.take("on_client_gone", choice(&ON_CLIENT_GONE)),
            abort_grace: section.take("abort_grace", duration(TIMEOUT_OR_ZERO)),
        };
        if let Some(timeout) = overridable.queue_timeout.filter(|timeout| *timeout >= LONG_WAIT) {
            let message = format!("lets clients wait for {} without a sign of life", show_duration(timeout));
            let help = "most clients and load balancers give up before that";
            report.warning(section.problem("queue_timeout", message).help(help));
        }
        overridable
    }

    /// What holds for a route, where its own keys come before the defaults. `None` if that has been reported as wrong.
    pub(super) fn over(
        self,
        defaults: &Overridable,
        name: &str,
        section: &Section<'_>,
        report: &Report,
    ) -> Option<Effective> {
        if !self.has_limit && !defaults.has_limit {
            let problem = section.problem("limit", "is missing: a route has a limit of its own or from [defaults]");
            report.error(problem.help(
                "write limit = 20, or limit = \"none\" for a route without one (--limit N does it for routes.default)",
            ));
        }
        let limit = if self.has_limit { self.limit } else { defaults.limit };
        let limit = match limit? {
            Limit::Permits(permits) => Some(permits),
            Limit::None => None,
        };
        let settings = limit.map(|limit| {
            let default = Settings::new(name, limit);
            Settings {
                queue: self.queue.or(defaults.queue).unwrap_or(default.queue),
                queue_timeout: self.queue_timeout.or(defaults.queue_timeout).unwrap_or(default.queue_timeout),
                queue_bytes: self.queue_bytes.or(defaults.queue_bytes).unwrap_or(default.queue_bytes),
                reject_status: self.reject_status.or(defaults.reject_status).unwrap_or(default.reject_status),
                ..default
            }
        });
        match &settings {
            Some(settings) => warn_of_long_queue(settings, section, report),
            None => {
                for key in KEYS_OF_A_LIMIT.iter().filter(|key| section.was_written(key)) {
                    let message = "says nothing beside limit = \"none\", which has no queue and rejects nobody";
                    report.error(section.problem(key, message).help("remove one of the two"));
                }
            }
        }
        Some(Effective {
            limit: settings,
            on_client_gone: self.on_client_gone.or(defaults.on_client_gone).unwrap_or_default(),
            abort_grace: self.abort_grace.or(defaults.abort_grace).unwrap_or(Duration::from_secs(30)),
        })
    }
}

const ON_CLIENT_GONE: [(&str, OnClientGone); 3] =
    [("abort", OnClientGone::Abort), ("reset", OnClientGone::Reset), ("finish", OnClientGone::Finish)];

/// From here on a wait without a sign of life is worth a warning.
const LONG_WAIT: Duration = Duration::from_secs(60);

fn limit(value: &Value) -> Taken<Limit> {
    match (&value.kind, as_text(value)) {
        (_, Some("none")) => return Ok(Limit::None),
        (_, Some("slots")) => return wrong("must be a number or \"none\": \"slots\" is not supported by this version"),
        (ValueKind::Table(_), _) => {
            return wrong("must be a number or \"none\": an adaptive limit is not supported by this version");
        }
        _ => {}
    }
    let permits = as_integer(value).and_then(|permits| u32::try_from(permits).ok());
    match permits.filter(|permits| *permits <= LIMIT_MAX).and_then(NonZeroU32::new) {
        Some(permits) => Ok(Limit::Permits(permits)),
        None => not_an_integer(value, format!("must be a whole number from 1 to {LIMIT_MAX}, or \"none\"")),
    }
}

fn queue_timeout(value: &Value) -> Taken<Duration> {
    match duration(TIMEOUT_OR_ZERO)(value)? {
        Duration::ZERO => wrong_with_help("must not be zero", "queue = 0 rejects at once what cannot be admitted"),
        _ => duration(TIMEOUT)(value),
    }
}

fn reject_status(value: &Value) -> Taken<StatusCode> {
    let status: u16 = integer(400..=599)(value)?;
    Ok(StatusCode::from_u16(status).expect("400 to 599 are statuses"))
}

fn warn_of_long_queue(settings: &Settings, section: &Section<'_>, report: &Report) {
    let (queue, limit) = (u64::from(settings.queue), u64::from(settings.limit.get()));
    if queue > 50 * limit {
        let message = format!("lets {queue} requests wait for {limit} permits, more than 50 for each");
        let problem = if section.was_written("queue") {
            section.problem("queue", message)
        } else {
            super::report::problem(&report.place_of("defaults.queue"), format!("{}.queue", section.path()), message)
        };
        report.warning(problem.help("the last in line will hardly be served before queue_timeout"));
    }
}
