//! `limit set`, `limit reset` and `limit flush`.

use clap::Subcommand;
use serde_json::{Map, Value};

use super::{Reach, member, segment};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LimitCommand {
    /// Change a limit for a while, in place of an earlier change.
    Set {
        /// The limit's name; an inline limit has its route's name.
        name: String,
        /// How many requests may be in flight.
        #[arg(value_name = "N")]
        limit: u32,
        /// How many requests may wait.
        #[arg(long, value_name = "N")]
        queue: Option<u32>,
        /// How long a request may wait, such as 10s.
        #[arg(long, value_name = "DURATION")]
        queue_timeout: Option<String>,
        /// How long this is to hold, such as 10m, or "forever": until the process ends.
        #[arg(long = "for", value_name = "DURATION", default_value = "1h")]
        lasts: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Turn away all requests that wait now.
    Flush {
        /// The limit's name.
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Set a limit back to its configuration.
    Reset {
        /// The limit's name.
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Does it, and says what holds now.
pub(super) fn run(command: &LimitCommand) -> Result<String, String> {
    let state = match command {
        LimitCommand::Set { name, limit, queue, queue_timeout, lasts, reach } => {
            let mut patch = Map::new();
            patch.insert("limit".to_owned(), (*limit).into());
            patch.insert("for".to_owned(), lasts.as_str().into());
            patch.extend(queue.map(|queue| ("queue".to_owned(), queue.into())));
            patch.extend(queue_timeout.as_deref().map(|timeout| ("queue_timeout".to_owned(), timeout.into())));
            reach.client()?.ask_json("PATCH", &path(name), Some(&Value::Object(patch)))?
        }
        LimitCommand::Flush { name, reach } => {
            let flushed = reach.client()?.ask_json("POST", &format!("{}/flush", path(name)), None)?;
            return Ok(format!("{name}: {} requests turned away\n", member(&flushed, "/flushed")?));
        }
        LimitCommand::Reset { name, reach } => reach.client()?.ask_json("DELETE", &path(name), None)?,
    };
    describe(&state)
}

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
    let (name, limit) = (text("/name")?, text("/limit")?);
    let (queue, queue_timeout) = (text("/queue")?, text("/queue_timeout")?);
    Ok(format!("{name}: limit {limit}, queue {queue}, queue timeout {queue_timeout}{until}\n"))
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
    }
}
