//! What a change of a limit asks for, checked before anything is touched.

use std::num::NonZeroU32;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::overrides::Values;
use super::problem::Problem;
use crate::admission::LIMIT_MAX;
use crate::duration;

/// A change of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) values: Values,
    /// `None` for no end.
    pub(super) lasts: Option<Duration>,
}

const MEMBERS: [&str; 4] = ["limit", "queue", "queue_timeout", "for"];
const DEFAULT_TIME: Duration = Duration::from_secs(60 * 60);
/// Whatever is to hold longer belongs into the configuration. Also, all clocks can be moved so far.
const LONGEST_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Patch {
    /// Reads a request's body. What is wrong with it is said at once, all of it.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let members = match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(Problem::new(StatusCode::BAD_REQUEST, "The body must be a JSON object.")),
            Err(error) => {
                return Err(Problem::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {error}.")));
            }
        };
        let mut patch = Patch { values: Values::default(), lasts: Some(DEFAULT_TIME) };
        let mut mistakes: Vec<String> =
            members.iter().filter_map(|(name, value)| patch.take(name, value).err()).collect();
        if mistakes.is_empty() && patch.values == Values::default() {
            mistakes.push("At least one of `limit`, `queue` and `queue_timeout` is needed.".to_owned());
        }
        match mistakes.is_empty() {
            true => Ok(patch),
            false => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, mistakes.join(" "))),
        }
    }

    fn take(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "limit" => self.values.limit = Some(limit(value)?),
            "queue" => self.values.queue = Some(queue(value)?),
            "queue_timeout" => self.values.queue_timeout = Some(time(name, value)?),
            "for" if value == "forever" => self.lasts = None,
            "for" => self.lasts = Some(time(name, value).map_err(|mistake| mistake + " Or say \"forever\".")?),
            name => return Err(format!("There is no member `{name}`; known are {}.", MEMBERS.join(", "))),
        }
        Ok(())
    }
}

fn limit(value: &Value) -> Result<NonZeroU32, String> {
    number(value)
        .and_then(NonZeroU32::new)
        .ok_or_else(|| format!("`limit` must be a whole number from 1 to {LIMIT_MAX}, not {value}."))
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
            r#"{"limit":5,"for":"0s"}"#,
            r#"{"limit":5,"for":"never"}"#,
            r#"{"limit":5,"for":"9000h"}"#,
            r#"{"limit":5,"for":60}"#,
            r#"{"limit":5,"forr":"1h"}"#,
        ] {
            assert_eq!(mistake(body).0, 422, "{body}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let (_, detail) = mistake(r#"{"limit":0,"lmit":5,"for":"x"}"#);
        for part in ["`limit` must be a whole number from 1 to 16777215, not 0", "`lmit`", "`for`", "forever"] {
            assert!(detail.contains(part), "{part} in {detail}");
        }
    }
}
