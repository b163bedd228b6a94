//! The keys of a limit, and `[limits.NAME]`.

use std::num::NonZeroU32;
use std::time::Duration;

use config::{Value, ValueKind};
use http::StatusCode;

use super::adaptive::{self, Bounds};
use super::fairness::Fairness;
use super::report::{Report, problem};
use super::section::{Section, closest};
use super::server::{TIMEOUT, TIMEOUT_OR_ZERO};
use super::value::{
    Taken, as_integer, as_text, boolean, choice, duration, integer, not_an_integer, size, wrong_with_help,
};
use crate::admission::{AdaptiveSettings, Hold, LIMIT_MAX, Order, Settings};
use crate::proxy::KeyRules;

/// Keys of limits that a later version will have.
pub(super) const NOT_YET: &[&str] = &["fleet"];

/// So many bytes are certainly not meant to wait in memory.
const QUEUE_BYTES_MAX: u64 = 1 << 40;

/// From here on a wait without a sign of life is worth a warning.
pub(super) const LONG_WAIT: Duration = Duration::from_secs(60);

/// The value of `limit`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    Permits(Permits),
    None,
}

/// How many permits there are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Permits {
    Number(NonZeroU32),
    /// As many as the upstream's endpoints have slots.
    Slots,
    /// As many as it finds.
    Adaptive(Bounds),
}

/// What a table says about a limit beside the number of its permits. What it does not say is `None`.
#[derive(Debug)]
pub(super) struct Keys {
    queue: Option<u32>,
    queue_timeout: Option<Duration>,
    queue_bytes: Option<u64>,
    reject_status: Option<StatusCode>,
    order: Option<Order>,
    hold: Option<Hold>,
    dry_run: Option<bool>,
    shadow: Option<Bounds>,
    fairness: Fairness,
}

/// A limit.
#[derive(Debug, Clone)]
pub(super) struct Limited {
    pub(super) settings: Settings,
    /// How it tells whose a request is.
    pub(super) keys: Option<KeyRules>,
    /// Whether its permits are slots, and then whether its queue goes by them.
    pub(super) slots: Option<QueueFollows>,
    /// Whether it finds itself, or has a shadow.
    pub(super) adaptive: Option<AdaptiveSettings>,
}

/// Whether as many may wait as belongs to the number of permits: nobody has said how many.
pub(super) type QueueFollows = bool;

/// Reads the keys of a shared limit. `None` if it has no number of permits that could be used.
pub(super) fn read(name: &str, mut section: Section<'_>, defaults: &Keys, report: &Report) -> Option<Limited> {
    // The defaults' `limit` is that of routes: how many a limit of many routes admits is for its own table to say.
    let permits = section.require("limit", permits, "write limit = 20: how many requests of all its routes together");
    let keys = Keys::take(&mut section, report);
    let settings = permits.map(|permits| keys.settings(name, permits, defaults, &section, report));
    section.finish(NOT_YET);
    settings
}

impl Keys {
    const OWN_NAMES: [&str; 8] =
        ["queue", "queue_timeout", "queue_bytes", "reject_status", "order", "hold", "dry_run", "shadow"];

    /// All of them.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        Self::OWN_NAMES.into_iter().chain(Fairness::NAMES)
    }

    /// Takes the keys out of a section.
    pub(super) fn take(section: &mut Section<'_>, report: &Report) -> Self {
        let keys = Keys {
            queue: section.take("queue", integer(0..=LIMIT_MAX)),
            queue_timeout: section.take("queue_timeout", queue_timeout),
            queue_bytes: section.take("queue_bytes", size(0..=QUEUE_BYTES_MAX)),
            reject_status: section.take("reject_status", reject_status),
            order: section.take("order", choice(&ORDER)),
            hold: section.take("hold", choice(&HOLD)),
            dry_run: section.take("dry_run", boolean),
            shadow: section.take("shadow", adaptive::shadow),
            fairness: Fairness::take(section),
        };
        if keys.hold == Some(Hold::Head) {
            let message = "gives the permit back with the head of the answer: the limit does not hold for its body";
            let help = "it is right where the work is done when the head is sent";
            report.warning(section.problem("hold", message).help(help));
        }
        keys
    }

    /// The limit of these keys, where they come before the defaults.
    pub(super) fn settings(
        &self,
        name: &str,
        permits: Permits,
        defaults: &Keys,
        section: &Section<'_>,
        report: &Report,
    ) -> Limited {
        let slots = matches!(permits, Permits::Slots);
        let follows = self.queue.or(defaults.queue).is_none();
        let adaptive = self.adaptive(permits, follows, defaults, section, report);
        let limit_max = match permits {
            Permits::Adaptive(bounds) => Some(bounds.max),
            Permits::Number(_) | Permits::Slots => None,
        };
        let permits = match permits {
            Permits::Number(permits) => permits,
            Permits::Adaptive(bounds) => bounds.initial(),
            // Until it is known which upstream's.
            Permits::Slots => NonZeroU32::new(LIMIT_MAX).expect("a large number"),
        };
        let default = Settings::new(name, permits);
        let (how, rules) = self.fairness.over(&defaults.fairness, section, report).unzip();
        let settings = Settings {
            limit_max,
            queue: self.queue.or(defaults.queue).unwrap_or(default.queue),
            queue_timeout: self.queue_timeout.or(defaults.queue_timeout).unwrap_or(default.queue_timeout),
            queue_bytes: self.queue_bytes.or(defaults.queue_bytes).unwrap_or(default.queue_bytes),
            reject_status: self.reject_status.or(defaults.reject_status).unwrap_or(default.reject_status),
            order: self.order.or(defaults.order).unwrap_or(default.order),
            hold: self.hold.or(defaults.hold).unwrap_or(default.hold),
            dry_run: self.dry_run.or(defaults.dry_run).unwrap_or(default.dry_run),
            rules,
            ..default
        };
        warn_of_long_queue(&settings, section, report);
        Limited { settings, keys: how, slots: slots.then_some(follows), adaptive }
    }

    /// Whether the limit of these keys finds itself, or has a shadow. One that the defaults have is for those that are
    /// fixed.
    fn adaptive(
        &self,
        permits: Permits,
        queue_follows: bool,
        defaults: &Keys,
        section: &Section<'_>,
        report: &Report,
    ) -> Option<AdaptiveSettings> {
        let wrong = |message: &str, help: &str| {
            if self.shadow.is_some() {
                let limit = report.place_of_overridable(section.path(), "limit");
                report.error(section.problem("shadow", message).also(&limit).help(help));
            }
        };
        match permits {
            Permits::Number(_) => return self.shadow.or(defaults.shadow).map(Bounds::shadow),
            Permits::Adaptive(bounds) => {
                wrong("is for a fixed limit, and this one is adaptive itself", "remove one of the two");
                return Some(bounds.in_force(queue_follows));
            }
            Permits::Slots => wrong("is for a fixed limit, and this one is \"slots\"", "remove it, or write a number"),
        }
        None
    }
}

const ANY_NUMBER: &str = "write limit = 20: how many requests may be in flight";
const ANY_NUMBER_OR_NONE: &str =
    "write limit = 20: how many requests may be in flight; limit = \"none\" is a route without a limit";

const ORDER: [(&str, Order); 3] =
    [("fifo", Order::Fifo), ("lifo", Order::Lifo), ("adaptive_lifo", Order::AdaptiveLifo)];

const HOLD: [(&str, Hold); 2] = [("response", Hold::Response), ("head", Hold::Head)];

/// A number of permits, or none for a route.
pub(super) fn limit(value: &Value) -> Taken<Limit> {
    match as_text(value) {
        Some("none") => Ok(Limit::None),
        _ => number(value, ", \"slots\" or \"none\"").map(Limit::Permits),
    }
}

/// A number of permits.
fn permits(value: &Value) -> Taken<Permits> {
    match as_text(value) {
        Some("none") => {
            let help = "a route that takes no permit says limit = \"none\" itself";
            wrong_with_help(format!("must be a whole number from 1 to {LIMIT_MAX}"), help)
        }
        _ => number(value, " or \"slots\""),
    }
}

/// A number of permits; `or` names what else the key takes.
fn number(value: &Value, or: &str) -> Taken<Permits> {
    match (&value.kind, as_text(value)) {
        (_, Some("slots")) => return Ok(Permits::Slots),
        (ValueKind::Table(table), _) => return adaptive::bounds(table).map(Permits::Adaptive),
        _ => {}
    }
    let permits = as_integer(value).and_then(|permits| u32::try_from(permits).ok());
    match permits.filter(|permits| *permits <= LIMIT_MAX).and_then(NonZeroU32::new) {
        Some(permits) => Ok(Permits::Number(permits)),
        None => {
            let message = format!("must be a whole number from 1 to {LIMIT_MAX}{or}");
            let none = ["none", "unlimited", "off", "infinite", "no"];
            match as_text(value)
                .filter(|_| or.contains("none"))
                .and_then(|text| closest(text, ["slots"].into_iter().chain(none)))
            {
                Some("slots") => wrong_with_help(message, "did you mean \"slots\"?"),
                Some(_) => wrong_with_help(message, "did you mean \"none\"?"),
                None => not_an_integer(value, message).map_err(|mut wrongs| {
                    let help = if or.contains("none") { ANY_NUMBER_OR_NONE } else { ANY_NUMBER };
                    for wrong in &mut wrongs {
                        wrong.help.get_or_insert_with(|| help.to_owned());
                    }
                    wrongs
                }),
            }
        }
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
    let most = settings.limit_max.unwrap_or(settings.limit);
    let (queue, limit) = (u64::from(settings.queue), u64::from(most.get()));
    if queue > 50 * limit {
        let permits = if limit == 1 { "permit" } else { "permits" };
        let message = format!("lets {queue} requests wait for {limit} {permits}, more than 50 for each");
        let place = |key| report.place_of_overridable(section.path(), key);
        let problem = problem(&place("queue"), format!("{}.queue", section.path()), message).also(&place("limit"));
        report.warning(problem.help("the last in line will hardly be served before queue_timeout"));
    }
}
