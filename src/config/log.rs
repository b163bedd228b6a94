//! `[log]`.

use config::{Value, ValueKind};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use tracing_subscriber::EnvFilter;

use super::section::{Section, closest};
use super::value::{Taken, as_text, choice, integer, is_outside_files, list, wrong, wrong_with_help};
use crate::access_log::{AccessLog, Lines, LogFormat};

/// What is logged, where and how.
#[derive(Debug)]
pub(super) struct Log {
    pub level: Option<String>,
    pub access: AccessLog,
    pub format: LogFormat,
    pub lines: Lines,
}

/// Reads the keys of the logs.
pub(super) fn read(mut section: Section<'_>) -> Log {
    let default = Lines::default();
    let log = Log {
        level: section.take("level", directives),
        access: section.take("access", access).unwrap_or_default(),
        format: section.take("format", choice(&FORMATS)).unwrap_or_default(),
        lines: Lines {
            reject_burst: section.take_or("reject_burst", integer(0..=REJECT_BURST_MAX), default.reject_burst),
            headers: section.take_or("headers", list(field), default.headers),
        },
    };
    section.finish(&[]);
    log
}

const FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];

/// More lines a second than any log takes.
const REJECT_BURST_MAX: u32 = 1_000_000;

/// Whoever reads a log must not be able to do what its clients can.
const CREDENTIALS: [HeaderName; 5] =
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE, HeaderName::from_static("x-api-key")];

fn field(value: &Value) -> Taken<HeaderName> {
    const EXPECTED: &str = "must be the name of a header, such as \"user-agent\", or a list of them";
    let Some(name) = as_text(value).and_then(|text| text.parse().ok()) else { return wrong(EXPECTED) };
    if CREDENTIALS.contains(&name) {
        let message = format!("names \"{name}\", which holds credentials");
        return wrong_with_help(message, "they are never logged; leave it out");
    }
    Ok(name)
}

fn access(value: &Value) -> Taken<AccessLog> {
    const EXPECTED: &str = "must be true, false, or the path of a file in quotes";
    let outside = value.origin().is_some_and(is_outside_files);
    match (&value.kind, as_text(value)) {
        (ValueKind::Boolean(true), _) => Ok(AccessLog::Stdout),
        (ValueKind::Boolean(false), _) => Ok(AccessLog::Off),
        (_, Some("true")) if outside => Ok(AccessLog::Stdout),
        (_, Some("false")) if outside => Ok(AccessLog::Off),
        (_, Some(word @ ("true" | "false"))) => wrong_with_help(EXPECTED, format!("write it without quotes: {word}")),
        // Nobody calls a file so, and a log that nobody finds is worse than a mistake.
        (_, Some("on" | "stdout" | "-")) => wrong_with_help(EXPECTED, "true writes to the standard output"),
        (_, Some("off" | "none")) => wrong_with_help(EXPECTED, "false writes nothing"),
        (_, None | Some("")) => wrong(EXPECTED),
        (_, Some(path)) => Ok(AccessLog::File(path.into())),
    }
}

fn directives(value: &Value) -> Taken<String> {
    const EXPECTED: &str = "must be \"error\", \"warn\", \"info\", \"debug\" or \"trace\", or directives";
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let Some(text) = as_text(value) else { return wrong(EXPECTED) };
    // A filter takes a bare word that is no level for the name of a module, so a slip would log everything.
    let no_directive = text.split(',').find(|part| !part.contains('=') && !LEVELS.contains(&part.trim()));
    if let Some(word) = no_directive {
        return match closest(word, LEVELS) {
            Some(meant) => wrong_with_help(EXPECTED, format!("did you mean \"{meant}\"?")),
            None => wrong_with_help(EXPECTED, "directives are written \"info,sluicegate=debug\""),
        };
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => wrong_with_help(EXPECTED, error.to_string()),
    }
}
