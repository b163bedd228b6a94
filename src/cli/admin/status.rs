//! `status`: a table of the limits.

use serde_json::Value;

use super::table::table;
use super::{Reach, member};

const TITLES: [&str; 7] = ["LIMIT", "IN FLIGHT", "QUEUE", "OLDEST", "ADMITTED", "REJECTED", "OVERRIDE UNTIL"];

/// What there is to see, as a table or as it came.
pub(super) fn show(reach: &Reach, json: bool) -> Result<String, String> {
    let client = reach.client()?;
    let status = client.ask_json("GET", "/api/v1/status", None)?;
    match json {
        true => serde_json::to_string_pretty(&status).map(|text| text + "\n").map_err(|error| error.to_string()),
        false => describe(&status),
    }
}

fn describe(status: &Value) -> Result<String, String> {
    let limits = member(status, "/limits")?.as_array().map_or(&[][..], Vec::as_slice);
    let mut rows = vec![TITLES.map(str::to_owned).to_vec()];
    for limit in limits {
        rows.push(row(limit)?);
    }
    let mut text = match limits {
        [] => "no limits\n".to_owned(),
        _ => table(&rows),
    };
    if member(status, "/draining")? == true {
        text.insert_str(0, "draining\n");
    }
    Ok(text)
}

fn row(limit: &Value) -> Result<Vec<String>, String> {
    let number = |path: &str| Ok::<_, String>(member(limit, path)?.as_u64().unwrap_or(0));
    let oldest = member(limit, "/oldest_seconds")?.as_f64();
    let rejected = member(limit, "/rejected")?.as_object();
    let rejected: u64 = rejected.into_iter().flat_map(|reasons| reasons.values()).filter_map(Value::as_u64).sum();
    let until = match (member(limit, "/override")?, limit.pointer("/override/until").and_then(Value::as_str)) {
        (Value::Null, _) => String::new(),
        (_, Some(until)) => until.to_owned(),
        (_, None) => "forever".to_owned(),
    };
    Ok(vec![
        member(limit, "/name")?.as_str().unwrap_or_default().to_owned(),
        format!("{}/{}", number("/in_flight")?, number("/limit")?),
        format!("{}/{}", number("/queue_length")?, number("/queue")?),
        oldest.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}s")),
        number("/admitted")?.to_string(),
        rejected.to_string(),
        until,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_limit_is_a_row() {
        let status = json!({"draining": true, "limits": [
            {"name": "api", "in_flight": 3, "limit": 8, "queue_length": 2, "queue": 100, "oldest_seconds": 0.44,
             "admitted": 12345, "rejected": {"queue_full": 7, "queue_timeout": 1},
             "override": {"limit": 8, "until": "2026-03-01T12:00:00Z", "by": "127.0.0.1"}},
            {"name": "reports", "in_flight": 0, "limit": 2, "queue_length": 0, "queue": 16, "oldest_seconds": null,
             "admitted": 0, "rejected": {}, "override": null},
        ]});
        assert_eq!(
            describe(&status).unwrap(),
            "draining\n\
             LIMIT    IN FLIGHT  QUEUE  OLDEST  ADMITTED  REJECTED  OVERRIDE UNTIL\n\
             api            3/8  2/100    0.4s     12345         8  2026-03-01T12:00:00Z\n\
             reports        0/2   0/16       -         0         0\n"
        );
        assert_eq!(describe(&json!({"draining": false, "limits": []})).unwrap(), "no limits\n");
    }
}
