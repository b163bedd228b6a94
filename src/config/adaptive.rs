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
const EXAMPLE: &str = "write { adaptive = \"knee\", min = 1, max = 500 }";

/// Reads the table. All that is wrong with it is said.
pub(super) fn bounds(table: &Map<String, Value>) -> Taken<Bounds> {
    let mut wrongs = Vec::new();
    for key in table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        let help = match closest(key, KEYS) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys of an adaptive limit are {}", KEYS.join(", ")),
        };
        wrongs.push(at(table, key, format!("has no key `{key}`"), help));
    }
    let algorithm = taken(table, "adaptive", choice(&[("knee", ())]), true, &mut wrongs);
    let min = taken(table, "min", permits, true, &mut wrongs);
    let max = taken(table, "max", permits, true, &mut wrongs);
    let initial = taken(table, "initial", permits, false, &mut wrongs);
    if let (Some(min), Some(max)) = (min, max) {
        if max < min {
            let message = format!("has a `max` of {max}, which is below its `min` of {min}");
            wrongs.push(at(table, "max", message, format!("write max = {min} or more, or lower `min`")));
        } else if let Some(initial) = initial.filter(|initial| !(min..=max).contains(initial)) {
            let message = format!("begins at {initial}, which is not between its `min` and `max`");
            wrongs.push(at(table, "initial", message, format!("write a number from {min} to {max}, or leave it out")));
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
    required: bool,
    wrongs: &mut Vec<Wrong>,
) -> Option<T> {
    let Some(value) = table.get(key) else {
        if required {
            wrongs.push(Wrong { place: None, message: format!("has no `{key}`"), help: Some(EXAMPLE.to_owned()) });
        }
        return None;
    };
    let of_key = |wrong: Wrong| Wrong {
        place: wrong.place.or_else(|| value.origin().map(str::to_owned)),
        message: format!("has a `{key}` that {}", wrong.message),
        help: wrong.help.or_else(|| Some(EXAMPLE.to_owned())),
    };
    read(value).map_err(|found| wrongs.extend(found.into_iter().map(of_key))).ok()
}

fn at(table: &Map<String, Value>, key: &str, message: String, help: String) -> Wrong {
    let place = table.get(key).and_then(|value| value.origin().map(str::to_owned));
    Wrong { place, message, help: Some(help) }
}
