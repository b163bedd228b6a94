//! `{ adaptive = "knee", min, max, initial? }`: a limit that finds itself, or the shadow of one that is fixed.

use std::num::NonZeroU32;

use config::{Map, Value};

use super::section::closest;
use super::value::{Taken, Wrong, choice, integer, wrong_with_help};
use crate::admission::{AdaptiveSettings, INITIAL, LIMIT_MAX};

/// The bounds of a limit that finds itself, and where it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    min: NonZeroU32,
    pub(super) max: NonZeroU32,
    initial: Option<NonZeroU32>,
}

impl Bounds {
    /// Where it begins.
    pub(super) fn initial(&self) -> NonZeroU32 {
        self.initial.unwrap_or(INITIAL).clamp(self.min, self.max)
    }

    /// As a limit that is in force, with a queue that follows it or not.
    pub(super) fn in_force(self, queue_follows: bool) -> AdaptiveSettings {
        let Bounds { min, max, initial } = self;
        AdaptiveSettings { min, max, initial, shadow: false, queue_follows }
    }

    /// As a shadow.
    pub(super) fn shadow(self) -> AdaptiveSettings {
        AdaptiveSettings { shadow: true, ..self.in_force(false) }
    }
}

const KEYS: [&str; 4] = ["adaptive", "min", "max", "initial"];
const REQUIRED: [&str; 3] = ["adaptive", "min", "max"];
const EXAMPLE: &str = "write { adaptive = \"knee\", min = 1, max = 500 }";

/// Reads the table. All that is wrong with it is said.
pub(super) fn bounds(table: &Map<String, Value>) -> Taken<Bounds> {
    let mut wrongs = Vec::new();
    for key in table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        let help = match closest(key, KEYS) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys of an adaptive limit are {}", KEYS.join(", ")),
        };
        wrongs.push(at(key, None, "is not a known key".to_owned(), help));
    }
    let algorithm = taken(table, "adaptive", choice(&[("knee", ())]), &mut wrongs);
    let min = taken(table, "min", permits, &mut wrongs);
    let max = taken(table, "max", permits, &mut wrongs);
    let initial = taken(table, "initial", permits, &mut wrongs);
    let misspelt =
        |key: &&str| table.keys().any(|other| !KEYS.contains(&&**other) && closest(other, KEYS) == Some(key));
    for key in REQUIRED.into_iter().filter(|key| !table.contains_key(*key) && !misspelt(key)) {
        wrongs.push(at(key, None, "is missing".to_owned(), EXAMPLE.to_owned()));
    }
    if let (Some(min), Some(max)) = (min, max) {
        if max < min {
            let help = format!("write max = {min} or more, or lower `min`");
            wrongs.push(at("max", table.get("max"), format!("is below `min`, which is {min}"), help));
        } else if let Some(initial) = initial.filter(|initial| !(min..=max).contains(initial)) {
            let message = format!("is {initial}, which is not between `min` and `max`");
            let help = format!("write a number from {min} to {max}, or leave it out");
            wrongs.push(at("initial", table.get("initial"), message, help));
        }
    }
    match (algorithm, min, max) {
        (Some(()), Some(min), Some(max)) if wrongs.is_empty() => Ok(Bounds { min, max, initial }),
        _ => Err(wrongs),
    }
}

/// The value of a shadow.
pub(super) fn shadow(value: &Value) -> Taken<Bounds> {
    match &value.kind {
        config::ValueKind::Table(table) => bounds(table),
        _ => wrong_with_help("must be an adaptive limit in braces", EXAMPLE),
    }
}

fn permits(value: &Value) -> Taken<NonZeroU32> {
    let number: u32 = integer(1..=LIMIT_MAX)(value)?;
    Ok(NonZeroU32::new(number).expect("one at least"))
}

fn taken<T>(
    table: &Map<String, Value>,
    key: &str,
    read: impl Fn(&Value) -> Taken<T>,
    wrongs: &mut Vec<Wrong>,
) -> Option<T> {
    let value = table.get(key)?;
    let of_key = |wrong: Wrong| at(key, Some(value), wrong.message, wrong.help.unwrap_or_else(|| EXAMPLE.to_owned()));
    read(value).map_err(|found| wrongs.extend(found.into_iter().map(of_key))).ok()
}

/// What is wrong with a key, or with the value that is written for it.
fn at(key: &str, value: Option<&Value>, message: String, help: String) -> Wrong {
    let place = value.and_then(|value| value.origin().map(str::to_owned));
    Wrong { place, key: Some(key.to_owned()), message, help: Some(help) }
}
