//! Types of values: each function says how one is read, and what is wrong with a value that is something else.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use config::{Value, ValueKind};

use super::section::closest;
use super::{environment, flags, units};

/// What is wrong with a value, or with one in a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The place, if it is not the whole value's.
    pub place: Option<String>,
    /// The key that it is about, where the value is a table.
    pub key: Option<String>,
    pub message: String,
    pub help: Option<String>,
}

/// A value, or everything that is wrong with it.
pub(super) type Taken<T> = Result<T, Vec<Wrong>>;

/// A value with one mistake.
pub(super) fn wrong<T>(message: impl Into<String>) -> Taken<T> {
    Err(vec![Wrong { place: None, key: None, message: message.into(), help: None }])
}

/// A value with one mistake, and what to do.
pub(super) fn wrong_with_help<T>(message: impl Into<String>, help: impl Into<String>) -> Taken<T> {
    Err(vec![Wrong { place: None, key: None, message: message.into(), help: Some(help.into()) }])
}

/// Whether a place is a variable or a flag, where every value is a text.
pub(super) fn is_outside_files(place: &str) -> bool {
    place.starts_with(environment::PLACE) || place.starts_with(flags::PLACE)
}

/// The value, if it is a text.
pub(super) fn as_text(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}

/// The value, if it is a whole number, or was written where every value is a text.
pub(super) fn as_integer(value: &Value) -> Option<i128> {
    match &value.kind {
        ValueKind::I128(integer) => Some(*integer),
        ValueKind::String(text) if value.origin().is_some_and(is_outside_files) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Any text.
pub(super) fn text(value: &Value) -> Taken<String> {
    as_text(value).map(str::to_owned).ok_or(()).or_else(|()| wrong("must be a text in quotes"))
}

/// A text that a type of ours reads; `expected` completes "must be".
pub(super) fn parsed<T: FromStr<Err: Display>>(expected: &'static str) -> impl Fn(&Value) -> Taken<T> {
    move |value| match as_text(value).map(str::parse) {
        Some(Ok(parsed)) => Ok(parsed),
        Some(Err(error)) => wrong_with_help(format!("must be {expected}"), error.to_string()),
        None => wrong(format!("must be {expected}")),
    }
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value) -> Taken<bool> {
    const EXPECTED: &str = "must be true or false";
    let outside = value.origin().is_some_and(is_outside_files);
    match (&value.kind, as_text(value)) {
        (ValueKind::Boolean(boolean), _) => Ok(*boolean),
        (_, Some(word @ ("true" | "false"))) if outside => Ok(word == "true"),
        (_, Some(word @ ("true" | "false"))) => wrong_with_help(EXPECTED, format!("write it without quotes: {word}")),
        (_, Some("yes" | "on" | "1")) | (ValueKind::I128(1), _) => wrong_with_help(EXPECTED, "did you mean true?"),
        (_, Some("no" | "off" | "0")) | (ValueKind::I128(0), _) => wrong_with_help(EXPECTED, "did you mean false?"),
        _ => wrong(EXPECTED),
    }
}

/// A whole number of a range.
pub(super) fn integer<T: TryFrom<i128>>(range: RangeInclusive<u32>) -> impl Fn(&Value) -> Taken<T> {
    move |value| {
        let integer = as_integer(value)
            .filter(|integer| (i128::from(*range.start())..=i128::from(*range.end())).contains(integer));
        match integer.and_then(|integer| T::try_from(integer).ok()) {
            Some(integer) => Ok(integer),
            None => not_an_integer(value, format!("must be a whole number from {} to {}", range.start(), range.end())),
        }
    }
}

/// The mistake of a value that should have been a number.
pub(super) fn not_an_integer<T>(value: &Value, message: String) -> Taken<T> {
    match as_text(value) {
        Some(text) if text.parse::<u32>().is_ok() && as_integer(value).is_none() => {
            wrong_with_help(message, format!("write it without quotes: {text}"))
        }
        _ => wrong(message),
    }
}

/// A duration of a range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Value) -> Taken<Duration> {
    move |value| {
        let number = as_integer(value).map(|integer| integer.to_string());
        match as_text(value).map(units::duration) {
            Some(Some(duration)) if range.contains(&duration) => Ok(duration),
            Some(Some(_)) => {
                let (low, high) = (units::show_duration(*range.start()), units::show_duration(*range.end()));
                wrong(format!("must be a duration from \"{low}\" to \"{high}\""))
            }
            _ => {
                let without_unit = number.or_else(|| as_text(value).map(str::to_owned));
                let meant = as_text(value).and_then(units::duration_meant);
                let help = match (without_unit.filter(|text| text.parse::<u64>().is_ok()), meant) {
                    (Some(number), _) => format!("a duration has a unit: \"{number}s\", or \"{number}ms\""),
                    (None, Some(meant)) => format!("did you mean \"{meant}\"?"),
                    (None, None) => "write whole numbers with h, m, s or ms, the largest unit first".to_owned(),
                };
                wrong_with_help("must be a duration such as \"250ms\", \"10s\" or \"1m30s\"", help)
            }
        }
    }
}

/// A number of bytes of a range.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&Value) -> Taken<u64> {
    move |value| {
        let bytes = match as_integer(value) {
            Some(integer) => u64::try_from(integer).ok(),
            None => as_text(value).and_then(units::size),
        };
        match bytes {
            Some(bytes) if range.contains(&bytes) => Ok(bytes),
            Some(_) => {
                let (low, high) = (units::show_size(*range.start()), units::show_size(*range.end()));
                wrong(format!("must be a size from {low} to {high}"))
            }
            None => {
                let help = match as_text(value).and_then(units::size_meant) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => "the units are B, KiB, MiB and GiB".to_owned(),
                };
                wrong_with_help("must be a size such as \"64KiB\" or \"1MiB\", or a number of bytes", help)
            }
        }
    }
}

/// One of some words.
pub(super) fn choice<T: Clone>(words: &[(&'static str, T)]) -> impl Fn(&Value) -> Taken<T> {
    move |value| {
        let text = as_text(value).unwrap_or_default();
        if let Some((_, chosen)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(chosen.clone());
        }
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let message = format!("must be one of {}", quoted.join(", "));
        match closest(text, words.iter().map(|(word, _)| *word)) {
            Some(meant) => wrong_with_help(message, format!("did you mean \"{meant}\"?")),
            None => wrong(message),
        }
    }
}

/// A list, or a single item for a list of one. Outside of files, a text with commas.
pub(super) fn list<T>(item: impl Fn(&Value) -> Taken<T>) -> impl Fn(&Value) -> Taken<Vec<T>> {
    move |value| {
        let place = value.origin().map(str::to_owned);
        let split: Vec<Value>;
        let values = match &value.kind {
            ValueKind::Array(values) => values,
            ValueKind::String(text) if place.as_deref().is_some_and(is_outside_files) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                split = items.map(|item| Value::new(place.as_ref(), item)).collect();
                &split
            }
            _ => return item(value).map(|item| vec![item]),
        };
        let mut items = Vec::with_capacity(values.len());
        let mut mistakes = Vec::new();
        for value in values {
            match item(value) {
                Ok(item) => items.push(item),
                Err(wrongs) => {
                    mistakes.extend(wrongs.into_iter().map(|wrong| Wrong {
                        place: wrong.place.or_else(|| value.origin().map(str::to_owned)),
                        ..wrong
                    }))
                }
            }
        }
        if mistakes.is_empty() { Ok(items) } else { Err(mistakes) }
    }
}

/// A list that is not empty.
pub(super) fn some<T>(list: impl Fn(&Value) -> Taken<Vec<T>>) -> impl Fn(&Value) -> Taken<Vec<T>> {
    move |value| match list(value)? {
        items if items.is_empty() => wrong("must not be empty"),
        items => Ok(items),
    }
}
