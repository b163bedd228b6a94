//! What a change of a limit asks for, checked before anything is touched.

use std::num::NonZeroU32;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::members::Members;
use super::overrides::Values;
use super::problem::Problem;
use crate::admission::{LIMIT_MAX, Settings};
use crate::duration;

/// A change of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) values: Values,
    /// `None` for no end.
    pub(super) lasts: Option<Duration>,
    /// Whose `per_key` is meant. Once read, it is among the values.
    key: Option<String>,
}

const MEMBERS: [&str; 8] = ["limit", "queue", "queue_timeout", "per_key", "key", "dry_run", "freeze", "for"];
const DEFAULT_TIME: Duration = Duration::from_secs(60 * 60);
/// Whatever is to hold longer belongs into the configuration. Also, all clocks can be moved so far.
const LONGEST_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Patch {
    /// Reads a request's body. What is wrong with it is said at once, all of it.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let members: Members = serde_json::from_slice(body).map_err(|error| {
            let detail = match error.is_data() {
                true => "The body must be a JSON object.".to_owned(),
                false => format!("The body is not JSON: {error}."),
            };
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })?;
        let mut patch = Patch { values: Values::default(), lasts: Some(DEFAULT_TIME), key: None };
        let mut mistakes: Vec<String> =
            members.0.iter().filter_map(|(name, value)| patch.take(name, value).err()).collect();
        // One of them is a mistake, and nobody knows which.
        mistakes.extend(members.doubled().map(|name| format!("`{name}` is there more than once.")));
        match patch.key.take().map(|key| (key, patch.values.per_key.take())) {
            Some((key, Some(per_key))) => drop(patch.values.keys.insert(key, per_key)),
            Some((_, None)) if !members.0.iter().any(|(name, _)| name == "per_key") => {
                mistakes.push("`key` says whose `per_key` is meant, so it needs `per_key` beside it.".to_owned());
            }
            _ => {}
        }
        if mistakes.is_empty() && patch.values == Values::default() {
            let message =
                "At least one of `limit`, `queue`, `queue_timeout`, `per_key`, `dry_run` and `freeze` is needed.";
            mistakes.push(message.to_owned());
        }
        refuse(&mistakes).map(|()| patch)
    }

    /// Looks at whether there is something to change in a limit, by its configuration and the number that it has been set to.
    pub(super) fn check(
        &self,
        limit: &Settings,
        set_to: Option<NonZeroU32>,
        may_show: impl Fn(&str) -> bool,
    ) -> Result<(), Problem> {
        let Values { per_key, keys, freeze, .. } = &self.values;
        let mut mistakes = Vec::new();
        // A limit that is not fixed and has no largest number has slots.
        if freeze.is_some() && limit.limit_max.is_none() {
            mistakes.push(format!(
                "Only an adaptive limit can be frozen, and `{}` is none: set its number instead.",
                limit.name
            ));
        } else if *freeze == Some(true) && self.values.limit.is_some() {
            mistakes.push("Either `limit` or `freeze`: a number that is set does not move.".to_owned());
        } else if *freeze == Some(true)
            && let Some(set_to) = set_to
        {
            mistakes.push(format!(
                "`{}` is set to {set_to}, and does not move: reset it first, to freeze what it finds itself, or set a number.",
                limit.name
            ));
        }
        if limit.rules.is_none() && (per_key.is_some() || !keys.is_empty()) {
            mistakes.push(format!(
                "`per_key` is for limits that tell requests apart, and `{}` has no `key` in the configuration.",
                limit.name
            ));
        } else if keys.keys().any(|key| key != "_" && !may_show(key)) {
            // It is not repeated here: it may be one.
            let message = "The keys of `NAME` are secrets, or addresses: `key` must be one as it is shown everywhere, a \
                           secret as `sha256:` and eight digits.";
            mistakes.push(message.replace("NAME", &limit.name));
        }
        refuse(&mistakes)
    }

    fn take(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "limit" => self.values.limit = Some(limit(value)?),
            "queue" => self.values.queue = Some(queue(value)?),
            "queue_timeout" => self.values.queue_timeout = Some(time(name, value)?),
            "per_key" => self.values.per_key = Some(at_least_one(name, value)?),
            "key" => self.key = Some(key(value)?),
            "dry_run" => {
                let dry_run =
                    value.as_bool().ok_or_else(|| format!("`dry_run` must be true or false, not {value}."))?;
                self.values.dry_run = Some(dry_run);
            }
            "freeze" => {
                let freeze = value.as_bool().ok_or_else(|| format!("`freeze` must be true or false, not {value}."))?;
                self.values.freeze = Some(freeze);
            }
            "for" if value == "forever" => self.lasts = None,
            "for" => self.lasts = Some(time(name, value).map_err(|mistake| mistake + " Or say \"forever\".")?),
            name => return Err(format!("There is no member `{name}`; known are {}.", MEMBERS.join(", "))),
        }
        Ok(())
    }
}

/// All mistakes in one answer, if there are any.
fn refuse(mistakes: &[String]) -> Result<(), Problem> {
    match mistakes {
        [] => Ok(()),
        mistakes => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, mistakes.join(" "))),
    }
}

fn limit(value: &Value) -> Result<NonZeroU32, String> {
    match value.as_str() {
        Some("none") => Ok(NonZeroU32::new(LIMIT_MAX).expect("not zero")),
        _ => at_least_one("limit", value).map_err(|mistake| mistake + " Or say \"none\"."),
    }
}

fn at_least_one(name: &str, value: &Value) -> Result<NonZeroU32, String> {
    number(value)
        .and_then(NonZeroU32::new)
        .ok_or_else(|| format!("`{name}` must be a whole number from 1 to {LIMIT_MAX}, not {value}."))
}

fn key(value: &Value) -> Result<String, String> {
    let key = value.as_str().filter(|key| !key.is_empty());
    key.map(str::to_owned).ok_or_else(|| "`key` must be a text: a key as it is shown, or \"_\".".to_owned())
}

fn queue(value: &Value) -> Result<u32, String> {
    number(value).ok_or_else(|| format!("`queue` must be a whole number from 0 to {LIMIT_MAX}, not {value}."))
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= LIMIT_MAX)
}

fn time(name: &str, value: &Value) -> Result<Duration, String> {
    let time = value.as_str().and_then(duration::parse);
    time.filter(|time| !time.is_zero() && *time <= LONGEST_TIME)
        .ok_or_else(|| format!("`{name}` must be a duration from \"1ms\" to \"8760h\", not {value}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::{Key, Rules};

    fn mistake(body: &str) -> (u16, String) {
        let problem = Patch::read(body.as_bytes()).expect_err(body);
        (problem.status.as_u16(), problem.detail)
    }

    #[test]
    fn any_subset_will_do() {
        let patch = Patch::read(br#"{"limit":40,"queue":0,"queue_timeout":"1m30s","for":"10m"}"#).unwrap();
        assert_eq!(patch.values.limit, NonZeroU32::new(40));
        assert_eq!(patch.values.queue, Some(0));
        assert_eq!(patch.values.queue_timeout, Some(Duration::from_secs(90)));
        assert_eq!(patch.lasts, Some(Duration::from_secs(600)));
        let patch = Patch::read(br#"{"queue":5}"#).unwrap();
        assert_eq!(patch.values, Values { queue: Some(5), ..Values::default() });
        assert_eq!(patch.lasts, Some(DEFAULT_TIME));
        assert_eq!(Patch::read(br#"{"queue":5,"for":"forever"}"#).unwrap().lasts, None);
        let largest = Patch::read(br#"{"limit":16777215}"#).unwrap();
        assert_eq!(largest.values.limit.map(NonZeroU32::get), Some(LIMIT_MAX));
    }

    #[test]
    fn a_cap_is_that_of_all_keys_or_of_the_one_that_is_named() {
        let values = |body: &str| Patch::read(body.as_bytes()).unwrap().values;
        let two = NonZeroU32::new(2);
        assert_eq!(values(r#"{"per_key":2}"#), Values { per_key: two, ..Values::default() });
        let keys = [("acme".to_owned(), two.unwrap())].into();
        assert_eq!(values(r#"{"key":"acme","per_key":2}"#), Values { keys, ..Values::default() });
        assert_eq!(values(r#"{"limit":"none"}"#).limit.map(NonZeroU32::get), Some(LIMIT_MAX));
        assert_eq!(values(r#"{"dry_run":false}"#).dry_run, Some(false));
    }

    #[test]
    fn a_cap_needs_keys_to_count_by_and_no_secret_is_repeated() {
        let refused = |body: &str, settings: &Settings, secret: bool| {
            let may_show = |key: &str| !secret || Key::is_shown_secret(key);
            let checked = Patch::read(body.as_bytes()).unwrap().check(settings, None, may_show);
            checked.err().map(|problem| problem.detail)
        };
        let mut settings = Settings::new("api", NonZeroU32::MIN);
        for body in [r#"{"per_key":2}"#, r#"{"key":"acme","per_key":2}"#] {
            let detail = refused(body, &settings, false).unwrap();
            assert!(detail.contains("`api` has no `key`"), "{detail}");
        }
        settings.rules = Some(Rules::default());
        assert_eq!(refused(r#"{"key":"acme","per_key":2}"#, &settings, false), None);
        let detail = refused(r#"{"key":"hunter2","per_key":2}"#, &settings, true).unwrap();
        assert!(detail.contains("sha256:") && !detail.contains("hunter2"), "{detail}");
        for key in ["sha256:e3b98a4d", "_"] {
            assert_eq!(refused(&format!(r#"{{"key":"{key}","per_key":2}}"#), &settings, true), None, "{key}");
        }
    }

    #[test]
    fn only_an_adaptive_limit_can_be_frozen() {
        let patch = Patch::read(br#"{"freeze":true}"#).unwrap();
        assert_eq!(patch.values, Values { freeze: Some(true), ..Values::default() });
        let mut settings = Settings::new("api", NonZeroU32::MIN);
        let detail = patch.check(&settings, None, |_| true).unwrap_err().detail;
        assert!(detail.contains("`api` is none"), "{detail}");
        settings.limit_max = NonZeroU32::new(500);
        assert!(patch.check(&settings, None, |_| true).is_ok());
        let detail = patch.check(&settings, NonZeroU32::new(40), |_| true).unwrap_err().detail;
        assert!(detail.contains("`api` is set to 40") && detail.contains("reset it first"), "{detail}");
        let both = Patch::read(br#"{"limit":40,"freeze":true}"#).unwrap();
        let detail = both.check(&settings, None, |_| true).unwrap_err().detail;
        assert!(detail.contains("Either `limit` or `freeze`"), "{detail}");
        let moves = Patch::read(br#"{"freeze":false}"#).unwrap();
        assert!(moves.check(&settings, NonZeroU32::new(40), |_| true).is_ok());
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for body in ["", "{", "limit=5", "[]", "5", "null"] {
            assert_eq!(mistake(body).0, 400, "{body}");
        }
    }

    #[test]
    fn wrong_values_are_refused() {
        for body in [
            r#"{}"#,
            r#"{"for":"1h"}"#,
            r#"{"limit":0}"#,
            r#"{"limit":-1}"#,
            r#"{"limit":16777216}"#,
            r#"{"limit":4294967297}"#,
            r#"{"limit":1.5}"#,
            r#"{"limit":"5"}"#,
            r#"{"limit":null}"#,
            r#"{"queue":-1}"#,
            r#"{"queue":99999999}"#,
            r#"{"queue_timeout":5}"#,
            r#"{"queue_timeout":"0s"}"#,
            r#"{"queue_timeout":"soon"}"#,
            r#"{"limit":"nobody"}"#,
            r#"{"per_key":0}"#,
            r#"{"per_key":"none"}"#,
            r#"{"key":"acme"}"#,
            r#"{"key":"acme","limit":5}"#,
            r#"{"key":"","per_key":5}"#,
            r#"{"key":5,"per_key":5}"#,
            r#"{"dry_run":"yes"}"#,
            r#"{"freeze":1}"#,
            r#"{"limit":5,"for":"0s"}"#,
            r#"{"limit":5,"for":"never"}"#,
            r#"{"limit":5,"for":"9000h"}"#,
            r#"{"limit":5,"for":60}"#,
            r#"{"limit":5,"forr":"1h"}"#,
            r#"{"limit":5,"limit":6}"#,
            r#"{"limit":5,"limit":5}"#,
        ] {
            assert_eq!(mistake(body).0, 422, "{body}");
        }
    }

    #[test]
    fn what_is_there_more_than_once_is_named_once() {
        let (status, detail) = mistake(r#"{"limit":5,"queue":1,"limit":6,"limit":7}"#);
        assert_eq!((status, detail.as_str()), (422, "`limit` is there more than once."));
    }

    #[test]
    fn every_mistake_is_named() {
        let (_, detail) = mistake(r#"{"limit":0,"lmit":5,"for":"x"}"#);
        for part in ["`limit` must be a whole number from 1 to 16777215, not 0", "`lmit`", "`for`", "forever"] {
            assert!(detail.contains(part), "{part} in {detail}");
        }
    }
}
