//! `limit set`, `limit reset` and `limit flush`.

use clap::Subcommand;
use serde_json::{Map, Value};

use super::{Reach, member, segment};
use crate::admission::LIMIT_MAX;
use crate::cli::count;
use crate::duration;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LimitCommand {
    /// Change a limit for a while. A further change adds to the first, and sets the time of all of it anew.
    Set {
        /// The limit's name; an inline limit has its route's name.
        #[arg(value_parser = name)]
        name: String,
        /// How many requests may be in flight, or "none" for as many as come.
        #[arg(value_name = "N", value_parser = limit, allow_negative_numbers = true)]
        limit: Option<Value>,
        /// How many requests may wait.
        #[arg(long, value_name = "N", value_parser = queue, allow_negative_numbers = true)]
        queue: Option<u32>,
        /// How long a request may wait, such as 10s.
        #[arg(long, value_name = "DURATION", value_parser = time, allow_negative_numbers = true)]
        queue_timeout: Option<String>,
        /// How many of each key may be in flight, or with --key of one; for a limit with `key`.
        #[arg(long, value_name = "N", value_parser = per_key, allow_negative_numbers = true)]
        per_key: Option<u32>,
        /// Whose --per-key is meant: a key as it is shown, secrets as sha256:<8 hex>, or _ for all without one.
        #[arg(long, value_name = "VALUE", requires = "per_key")]
        key: Option<String>,
        /// Only count: nobody waits or is rejected. With --dry-run=false, the opposite.
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        dry_run: Option<bool>,
        /// Hold the number of an adaptive limit where it is; during a trial, where it was before.
        #[arg(long)]
        freeze: bool,
        /// How long this is to hold, such as 10m, or "forever": until the process ends.
        #[arg(long = "for", value_name = "DURATION", value_parser = lasts, default_value = "1h")]
        lasts: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Turn away all requests that wait now.
    Flush {
        /// The limit's name.
        #[arg(value_parser = name)]
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Set a limit back to its configuration.
    Reset {
        /// The limit's name.
        #[arg(value_parser = name)]
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Does it, and says what holds now.
pub(super) fn run(command: &LimitCommand) -> Result<String, String> {
    let state = match command {
        LimitCommand::Set { name, limit, queue, queue_timeout, per_key, key, dry_run, freeze, lasts, reach } => {
            let members = [
                ("limit", limit.clone()),
                ("queue", queue.map(Value::from)),
                ("queue_timeout", queue_timeout.as_deref().map(Value::from)),
                ("per_key", per_key.map(Value::from)),
                ("key", key.as_deref().map(Value::from)),
                ("dry_run", dry_run.map(Value::from)),
                ("freeze", freeze.then_some(Value::Bool(true))),
                ("for", Some(lasts.as_str().into())),
            ];
            let patch: Map<_, _> =
                members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            if patch.len() == 1 {
                return Err(NOTHING.to_owned());
            }
            reach.client()?.ask_json("PATCH", &path(name), Some(&Value::Object(patch)))?
        }
        LimitCommand::Flush { name, reach } => {
            let flushed = reach.client()?.ask_json("POST", &format!("{}/flush", path(name)), None)?;
            let flushed = member(&flushed, "/flushed")?.as_u64().unwrap_or_default() as usize;
            return Ok(format!("{name}: {} turned away\n", count(flushed, "request")));
        }
        LimitCommand::Reset { name, reach } => reach.client()?.ask_json("DELETE", &path(name), None)?,
    };
    describe(&state)
}

/// An empty name would be the path of the list of all limits.
fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it is the name of a limit, as `sluicegate status` lists them".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// A number, or "none".
fn limit(text: &str) -> Result<Value, String> {
    match text {
        "none" => Ok(text.into()),
        text => number(text, 1).map(Value::from).map_err(|wrong| wrong + ", or \"none\""),
    }
}

fn queue(text: &str) -> Result<u32, String> {
    number(text, 0)
}

fn per_key(text: &str) -> Result<u32, String> {
    number(text, 1)
}

fn number(text: &str, least: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (least..=LIMIT_MAX).contains(number));
    number.ok_or_else(|| format!("it is a whole number from {least} to {LIMIT_MAX}"))
}

fn time(text: &str) -> Result<String, String> {
    let time = duration::parse(text).filter(|time| !time.is_zero());
    time.map(|_| text.to_owned()).ok_or_else(|| "it is a duration such as 500ms, 10s or 1m30s".to_owned())
}

fn lasts(text: &str) -> Result<String, String> {
    match text {
        "forever" => Ok(text.to_owned()),
        text => time(text).map_err(|wrong| wrong + ", or \"forever\""),
    }
}

const NOTHING: &str =
    "there is nothing to change: give a number, --queue, --queue-timeout, --per-key, --dry-run or --freeze";

fn describe(state: &Value) -> Result<String, String> {
    let text = |path: &str| match member(state, path)? {
        Value::String(text) => Ok::<_, String>(text.clone()),
        other => Ok(other.to_string()),
    };
    let until = match (member(state, "/override")?, state.pointer("/override/until")) {
        (Value::Null, _) => ", as configured".to_owned(),
        (_, Some(Value::String(until))) => format!(" until {until}"),
        _ => " until the process ends".to_owned(),
    };
    let (name, limit) = (text("/name")?, shown_limit(member(state, "/limit")?));
    let (queue, queue_timeout) = (text("/queue")?, text("/queue_timeout")?);
    let found = &state["adaptive"];
    let is_set = state["override"]["limit"].is_number();
    // What finds itself is another number in a moment, and so is the queue that follows it.
    let limit = match found["shadow"] == false && !is_set {
        true if state["override"]["freeze"] == true => format!("frozen at {limit}, queue {queue}"),
        true if state["dry_run"] == true => format!("limit {limit}, queue {queue}"),
        true => format!("adaptive from {} to {}, now {limit}", found["min"], found["max"]),
        false => format!("limit {limit}, queue {queue}"),
    };
    let mut more = String::new();
    if let Some(per_key) = state["per_key"].as_u64() {
        more += &format!(", per key {per_key}");
    }
    for (key, per_key) in state["override"]["keys"].as_object().into_iter().flatten() {
        more += &format!(", key {key} {per_key}");
    }
    if state["dry_run"] == true {
        more += ", dry run";
    }
    Ok(format!("{name}: {limit}, queue timeout {queue_timeout}{more}{until}\n"))
}

/// A limit as people are told of it.
pub(super) fn shown_limit(limit: &Value) -> String {
    match limit.as_u64() {
        Some(limit) if limit == u64::from(LIMIT_MAX) => "none".to_owned(),
        _ => limit.to_string(),
    }
}

/// What of a limit is other than configured, until when, and by whom. Empty for nothing.
pub(super) fn changes(state: &Value) -> String {
    let over = &state["override"];
    if over.is_null() {
        return String::new();
    }
    let mut changes = Vec::new();
    changes.extend(over.get("limit").map(|limit| format!("limit {}", shown_limit(limit))));
    changes.extend(over.get("queue").map(|queue| format!("queue {queue}")));
    changes.extend(over["queue_timeout"].as_str().map(|timeout| format!("queue timeout {timeout}")));
    changes.extend(over.get("per_key").map(|per_key| format!("per key {per_key}")));
    let keys = over["keys"].as_object().into_iter().flatten();
    changes.extend(keys.map(|(key, per_key)| format!("key {key} {per_key}")));
    changes.extend(over["dry_run"].as_bool().map(|dry_run| if dry_run { "dry run" } else { "no dry run" }.to_owned()));
    changes.extend(over["freeze"].as_bool().filter(|freeze| *freeze).map(|_| "frozen".to_owned()));
    let until = over["until"].as_str().map_or_else(|| "forever".to_owned(), |until| format!("until {until}"));
    format!("{} {until} by {}", changes.join(", "), over["by"].as_str().unwrap_or("somebody"))
}

/// The path of a limit, whatever it is called.
fn path(name: &str) -> String {
    format!("/api/v1/limits/{}", segment(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(path("api_v2"), "/api/v1/limits/api_v2");
        assert_eq!(path("../a b?ä"), "/api/v1/limits/%2E%2E%2Fa%20b%3F%C3%A4");
    }

    #[test]
    fn what_holds_is_said_in_a_line() {
        let mut state = json!({"name": "api", "limit": 8, "queue": 16, "queue_timeout": "10s", "override": null});
        assert_eq!(describe(&state).unwrap(), "api: limit 8, queue 16, queue timeout 10s, as configured\n");
        state["override"] = json!({"limit": 8, "until": "2026-03-01T12:00:00Z", "by": "127.0.0.1"});
        let until = "api: limit 8, queue 16, queue timeout 10s until 2026-03-01T12:00:00Z\n";
        assert_eq!(describe(&state).unwrap(), until);
        state["override"]["until"] = Value::Null;
        assert!(describe(&state).unwrap().ends_with(" until the process ends\n"));
        assert!(describe(&json!({})).is_err());
        state["limit"] = LIMIT_MAX.into();
        state["per_key"] = 2.into();
        state["dry_run"] = true.into();
        state["override"]["keys"] = json!({"acme": 5});
        let all =
            "api: limit none, queue 16, queue timeout 10s, per key 2, key acme 5, dry run until the process ends\n";
        assert_eq!(describe(&state).unwrap(), all);
    }

    #[test]
    fn of_a_limit_that_finds_itself_it_is_said_what_it_does() {
        let mut state = json!({
            "name": "api", "limit": 20, "queue": 80, "queue_timeout": "10s", "override": null, "dry_run": false,
            "adaptive": {"shadow": false, "limit": 20, "min": 1, "max": 500},
        });
        let said = |state: &Value| describe(state).unwrap();
        assert_eq!(said(&state), "api: adaptive from 1 to 500, now 20, queue timeout 10s, as configured\n");
        state["override"] = json!({"freeze": true, "until": null, "by": "127.0.0.1"});
        assert_eq!(said(&state), "api: frozen at 20, queue 80, queue timeout 10s until the process ends\n");
        state["override"]["limit"] = 20.into();
        assert_eq!(said(&state), "api: limit 20, queue 80, queue timeout 10s until the process ends\n");
        state["override"] = Value::Null;
        state["adaptive"]["shadow"] = true.into();
        assert_eq!(said(&state), "api: limit 20, queue 80, queue timeout 10s, as configured\n");
    }

    #[test]
    fn numbers_and_times_are_judged_before_anything_is_asked() {
        assert_eq!((limit("5"), limit("none")), (Ok(5.into()), Ok("none".into())));
        assert!(["0", "-5", "x", "16777216"].iter().all(|text| limit(text).is_err_and(|wrong| wrong.contains("none"))));
        assert!(queue("0").is_ok() && per_key("0").is_err() && queue("-1").is_err());
        assert!(lasts("forever").is_ok() && lasts("10m").is_ok());
        assert!(["0s", "soon", "10"].iter().all(|text| lasts(text).is_err() && time(text).is_err()));
    }

    #[test]
    fn what_is_other_than_configured_is_said_with_who_and_until_when() {
        let mut state = json!({"override": null});
        assert_eq!(changes(&state), "");
        state["override"] = json!({
            "limit": LIMIT_MAX, "queue": 0, "queue_timeout": "5s", "per_key": 2, "keys": {"_": 1, "acme": 5},
            "dry_run": false, "until": null, "by": "127.0.0.1",
        });
        assert_eq!(
            changes(&state),
            "limit none, queue 0, queue timeout 5s, per key 2, key _ 1, key acme 5, no dry run forever by 127.0.0.1"
        );
        state["override"] = json!({"dry_run": true, "until": "2026-03-01T12:00:00Z", "by": "::1"});
        assert_eq!(changes(&state), "dry run until 2026-03-01T12:00:00Z by ::1");
    }
}
