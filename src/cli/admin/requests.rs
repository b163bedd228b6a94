//! `ps`, `cancel` and `why`: single requests.

use form_urlencoded::byte_serialize;
use serde_json::{Value, json};

use super::table::{fits, fitted, room};
use super::{Reach, member};
use crate::access_log::SHORT_ID;

const TITLES: [&str; 7] = ["REQUEST", "AGE", "PHASE", "LIMIT", "ROUTE", "KEY", "ENDPOINT"];

/// Who runs and who waits, the oldest that runs and the next in line first; at one limit, or at each of them.
pub(super) fn list(reach: &Reach, limit: Option<&str>, waiting: bool, as_json: bool) -> Result<String, String> {
    let client = reach.client()?;
    let names = match limit {
        Some(name) => vec![name.to_owned()],
        None => {
            let limits = client.ask_json("GET", "/api/v1/limits", None)?;
            let limits = member(&limits, "/limits")?.as_array().cloned().unwrap_or_default();
            limits.iter().map(|limit| Ok(text(member(limit, "/name")?))).collect::<Result<_, String>>()?
        }
    };
    let mut requests = Vec::new();
    for name in &names {
        let path = format!("/api/v1/limits/{}", encoded(name));
        if !waiting {
            let running = client.ask_json("GET", &format!("{path}/inflight?top=1000"), None)?;
            requests.extend(at_limit(name, member(&running, "/requests")?));
        }
        let queue = client.ask_json("GET", &format!("{path}/queue?top=1000"), None)?;
        requests.extend(at_limit(name, member(&queue, "/waiting")?));
    }
    if as_json {
        return pretty(&json!({ "requests": requests }));
    }
    Ok(describe(&requests, room()))
}

/// The requests of an answer, each with the limit that it was asked about.
fn at_limit<'a>(name: &'a str, requests: &'a Value) -> impl Iterator<Item = Value> + 'a {
    requests.as_array().into_iter().flatten().cloned().map(move |mut request| {
        request["limit"] = name.into();
        if request.get("phase").is_none() {
            request["phase"] = "queued".into();
            request["age_seconds"] = request["waited_seconds"].clone();
        }
        request
    })
}

fn describe(requests: &[Value], room: Option<usize>) -> String {
    if requests.is_empty() {
        return "no requests\n".to_owned();
    }
    let mut rows = vec![TITLES.map(str::to_owned).to_vec()];
    rows.extend(requests.iter().map(|request| {
        let age = request["age_seconds"].as_f64().map_or_else(|| "-".to_owned(), |age| format!("{age:.1}s"));
        let columns = ["phase", "limit", "route", "key", "endpoint"].map(|name| text(&request[name]));
        [vec![text(&request["request_id"]), age], columns.to_vec()].concat()
    }));
    fitted(&without_the_obvious(rows, room), room)
}

/// Where there is too little room, without columns that say nothing: keys where there are none, and limits that are the
/// routes' own.
fn without_the_obvious(mut rows: Vec<Vec<String>>, room: Option<usize>) -> Vec<Vec<String>> {
    const LIMIT: usize = 3;
    const ROUTE: usize = 4;
    const KEY: usize = 5;
    let mut drop_column = |column: usize, is_obvious: fn(&[String]) -> bool| {
        if !fits(&rows, room) && rows.iter().skip(1).all(|row| is_obvious(row)) {
            rows.iter_mut().for_each(|row| drop(row.remove(column)));
        }
    };
    // From the last, so that the others stay where they are.
    drop_column(KEY, |row| matches!(row[KEY].as_str(), "_" | "-"));
    drop_column(LIMIT, |row| row[LIMIT] == row[ROUTE]);
    rows
}

/// Ends the requests of an id.
pub(super) fn cancel(reach: &Reach, id: &str) -> Result<String, String> {
    let path = format!("/api/v1/requests/{}/cancel", encoded(id));
    let answer = reach.client()?.ask_json("POST", &path, None)?;
    let ended = member(&answer, "/cancelled")?.as_array().cloned().unwrap_or_default();
    let phases: Vec<_> = ended.iter().map(|request| text(&request["phase"])).collect();
    Ok(format!("{id}: cancelled ({})\n", phases.join(", ")))
}

/// Why the requests of an id were turned away, the last one first. The beginning of an id will do, as lines for people have
/// it, where it is that of one only.
pub(super) fn why(reach: &Reach, id: &str, as_json: bool) -> Result<String, String> {
    const LAST: &str = "/api/v1/rejections?last=1000";
    let client = reach.client()?;
    let ask = |path: &str| Ok::<_, String>(member(&client.ask_json("GET", path, None)?, "/rejections")?.clone());
    let list = |rejections: Value| rejections.as_array().cloned().unwrap_or_default();
    let mut rejections = list(ask(&format!("{LAST}&request_id={}", encoded(id)))?);
    if rejections.is_empty() && id.len() >= SHORT_ID {
        rejections = list(ask(LAST)?);
        rejections.retain(|rejection| text(&rejection["request_id"]).starts_with(id));
        if let Some(other) = rejections.iter().find(|other| other["request_id"] != rejections[0]["request_id"]) {
            let (one, other) = (text(&rejections[0]["request_id"]), text(&other["request_id"]));
            return Err(format!("{id} is the beginning of more than one: {one}, {other}"));
        }
    }
    if rejections.is_empty() {
        return Err(format!(
            "{id} is not among the last thousand requests that a route took and that were turned away or failed"
        ));
    }
    if as_json {
        return pretty(&json!({ "rejections": rejections }));
    }
    Ok(rejections.iter().map(explain).collect())
}

fn explain(rejection: &Value) -> String {
    let [at, route, reason, why] = ["at", "route", "reason", "why"].map(|name| text(&rejection[name]));
    let limit = rejection["limit"].as_str().map_or_else(String::new, |limit| format!(", limit {limit}"));
    format!("{at} {} {reason} (route {route}{limit})\n  {why}\n", rejection["status"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

/// As a path and a query take it: ids are what clients send.
fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

fn pretty(value: &Value) -> Result<String, String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_a_row() {
        let running = json!([{"request_id": "a-1", "age_seconds": 12.34, "phase": "upstream", "route": "api",
                              "key": "sha256:01234567", "endpoint": "127.0.0.1:3000"}]);
        let waiting = json!([{"request_id": "b", "waited_seconds": 0.5, "position": 1, "route": "api", "key": "_"}]);
        let requests: Vec<_> = at_limit("api", &running).chain(at_limit("api", &waiting)).collect();
        assert_eq!(
            describe(&requests, None),
            "REQUEST    AGE     PHASE  LIMIT  ROUTE              KEY  ENDPOINT\n\
             a-1      12.3s  upstream    api    api  sha256:01234567  127.0.0.1:3000\n\
             b         0.5s    queued    api    api                _  -\n"
        );
        assert_eq!(describe(&[], None), "no requests\n");
    }

    #[test]
    fn on_a_narrow_terminal_columns_that_say_nothing_are_left_out() {
        let of = |key: &str| {
            let id = "3f2a9c1b7d5e4f60a1b2c3d4e5f60718";
            let running = json!([{"request_id": id, "age_seconds": 12.34, "phase": "upstream", "route": "reports",
                                  "key": key, "endpoint": "127.0.0.1:3000"}]);
            at_limit("reports", &running).collect::<Vec<_>>()
        };
        let shown = describe(&of("_"), Some(80));
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(shown.contains("REQUEST") && shown.contains("reports  127.0.0.1:3000"), "{shown}");
        assert!(!shown.contains("LIMIT") && !shown.contains("KEY"), "{shown}");
        let shown = describe(&of("acme"), Some(80));
        assert!(shown.contains("acme") && !shown.contains("LIMIT"), "{shown}");
        assert!(describe(&of("_"), Some(200)).contains("LIMIT"));
    }

    #[test]
    fn why_is_a_line_and_a_sentence() {
        let rejection = json!({"at": "2026-03-01T12:00:00.000Z", "status": 503, "reason": "queue_full", "route": "api",
                               "limit": "all", "why": "As many as may are waiting."});
        assert_eq!(
            explain(&rejection),
            "2026-03-01T12:00:00.000Z 503 queue_full (route api, limit all)\n  As many as may are waiting.\n"
        );
    }
}
