//! `[log]`.

use config::{Value, ValueKind};
use tracing_subscriber::EnvFilter;

use super::section::{Section, closest};
use super::value::{Taken, as_text, choice, is_outside_files, wrong, wrong_with_help};
use crate::access_log::{AccessLog, LogFormat};

const NOT_YET: &[&str] = &["reject_burst", "headers"];

/// What is logged, where and how.
#[derive(Debug)]
pub(super) struct Log {
    pub level: Option<String>,
    pub access: AccessLog,
    pub format: LogFormat,
}

/// Reads the keys of the logs.
pub(super) fn read(mut section: Section<'_>) -> Log {
    let log = Log {
        level: section.take("level", directives),
        access: section.take("access", access).unwrap_or_default(),
        format: section.take("format", choice(&FORMATS)).unwrap_or_default(),
    };
    section.finish(NOT_YET);
    log
}

const FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];

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
