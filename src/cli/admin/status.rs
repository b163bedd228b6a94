//! `status`: tables of the limits and of the upstreams' endpoints.

use serde_json::Value;

use super::limit::{changes, shown_limit};
use super::table::{fits, fitted, room, wrapped};
use super::{Reach, member};

/// What is asked for.
pub(super) const PATH: &str = "/api/v1/status";
const TITLES: [&str; 7] = ["LIMIT", "IN FLIGHT", "QUEUE", "OLDEST", "ADMITTED", "REJECTED", "OVERRIDE"];
const UPSTREAM_TITLES: [&str; 5] = ["UPSTREAM", "ENDPOINT", "IN FLIGHT", "ERRORS", "STATE"];

/// What there is to see, as tables or as it came.
pub(super) fn show(reach: &Reach, json: bool) -> Result<String, String> {
    let status = reach.client()?.ask_json("GET", PATH, None)?;
    match json {
        true => serde_json::to_string_pretty(&status).map(|text| text + "\n").map_err(|error| error.to_string()),
        false => describe(&status, None, room()),
    }
}

/// Both tables, in so much room. With the status `before`, what was admitted and rejected is per second since then.
pub(super) fn describe(status: &Value, before: Option<&Value>, room: Option<usize>) -> Result<String, String> {
    let limits = list(status, "/limits")?;
    let since = before.and_then(|before| Since::try_new(status, before));
    let mut titles = TITLES.map(str::to_owned).to_vec();
    if since.is_some() {
        (titles[4], titles[5]) = ("ADMITTED/S".to_owned(), "REJECTED/S".to_owned());
    }
    let mut rows = vec![titles];
    for limit in limits {
        rows.push(row(limit, since.as_ref())?);
    }
    // Sentences would be cut off in a column: they go below.
    let below = !fits(&rows, room);
    if below {
        rows.iter_mut().for_each(|row| drop(row.pop()));
    }
    let mut text = match limits {
        [] => "no limits\n".to_owned(),
        _ => fitted(&rows, room),
    };
    let overridden: String = limits.iter().filter(|_| below).filter_map(|limit| overridden(limit, room)).collect();
    let dry_run: String = limits.iter().filter_map(|limit| dry_run(limit, since.as_ref(), room)).collect();
    if !overridden.is_empty() || !dry_run.is_empty() {
        text = format!("{text}\n{overridden}{dry_run}");
    }
    let endpoints = endpoints(status)?;
    if endpoints.len() > 1 {
        text = format!("{text}\n{}", fitted(&endpoints, room));
    }
    let adaptive: String = limits.iter().filter_map(|limit| adaptive(limit, room)).collect();
    if !adaptive.is_empty() {
        text = format!("{text}\n{adaptive}");
    }
    let only_count: Vec<&str> =
        limits.iter().filter(|limit| limit["dry_run"] == true).filter_map(|limit| limit["name"].as_str()).collect();
    if !only_count.is_empty() {
        text.insert_str(0, &format!("dry run, nothing waits or is rejected: {}\n", only_count.join(", ")));
    }
    if member(status, "/draining")? == true {
        text.insert_str(0, "draining\n");
    }
    Ok(text)
}

/// What has been counted from one status to the next, of the same process.
struct Since<'a> {
    before: &'a [Value],
    seconds: f64,
}

impl<'a> Since<'a> {
    /// `None` if nothing can be said, since the process is another or no time has gone by.
    fn try_new(status: &Value, before: &'a Value) -> Option<Self> {
        let uptime = |status: &Value| status["uptime_seconds"].as_f64();
        let seconds = uptime(status)? - uptime(before)?;
        let before = list(before, "/limits").ok()?;
        (seconds > 0.0).then_some(Since { before, seconds })
    }

    /// A count of the limit, per second; a new limit has counted from zero.
    fn rate(&self, limit: &Value, count: impl Fn(&Value) -> u64) -> String {
        let before = self.before.iter().find(|before| before["name"] == limit["name"]).map_or(0, &count);
        let rate = count(limit).saturating_sub(before) as f64 / self.seconds;
        if rate > 0.0 && rate < 9.95 { format!("{rate:.1}") } else { format!("{rate:.0}") }
    }
}

fn row(limit: &Value, since: Option<&Since<'_>>) -> Result<Vec<String>, String> {
    let number = |path: &str| Ok::<_, String>(member(limit, path)?.as_u64().unwrap_or(0));
    let oldest = member(limit, "/oldest_seconds")?.as_f64();
    let admitted = |limit: &Value| limit["admitted"].as_u64().unwrap_or(0);
    let rejected = |limit: &Value| {
        limit["rejected"].as_object().into_iter().flat_map(|reasons| reasons.values()).filter_map(Value::as_u64).sum()
    };
    member(limit, "/admitted").and(member(limit, "/rejected"))?;
    let count = |count: &dyn Fn(&Value) -> u64| match since {
        Some(since) => since.rate(limit, count),
        None => count(limit).to_string(),
    };
    Ok(vec![
        member(limit, "/name")?.as_str().unwrap_or_default().to_owned(),
        format!("{}/{}", number("/in_flight")?, shown_limit(member(limit, "/limit")?)),
        format!("{}/{}", number("/queue_length")?, number("/queue")?),
        oldest.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}s")),
        count(&admitted),
        count(&rejected),
        member(limit, "/override").map(|_| changes(limit))?,
    ])
}

/// What is other than configured, in lines of its own.
fn overridden(limit: &Value, room: Option<usize>) -> Option<String> {
    let changes = Some(changes(limit)).filter(|changes| !changes.is_empty())?;
    Some(wrapped(&format!("{}: overridden: {changes}", limit["name"].as_str()?), room))
}

/// What a limit that only counts would have done.
fn dry_run(limit: &Value, since: Option<&Since<'_>>, room: Option<usize>) -> Option<String> {
    let name = limit["name"].as_str().filter(|_| limit["dry_run"] == true)?;
    let count = |member: &str| {
        let count = |limit: &Value| limit[member].as_u64().unwrap_or(0);
        since.map_or_else(|| count(limit).to_string(), |since| since.rate(limit, count) + "/s")
    };
    let (queued, rejected) = (count("dry_run_queued"), count("dry_run_rejected"));
    Some(wrapped(&format!("{name}: dry run: {queued} would have waited, {rejected} been rejected"), room))
}

/// What a limit that finds itself has found, and why.
fn adaptive(limit: &Value, room: Option<usize>) -> Option<String> {
    let found = limit.get("adaptive").filter(|adaptive| !adaptive.is_null())?;
    let name = limit["name"].as_str()?;
    let what = if found["shadow"] == true { "its shadow" } else { "adaptive" };
    let baseline = match found["baseline_seconds"].as_f64() {
        Some(seconds) => format!("{:.1} ms where there are few", seconds * 1e3),
        None => "too few answers yet to say how long requests take".to_owned(),
    };
    let (number, min, max) = (&found["limit"], &found["min"], &found["max"]);
    let reason = found["reason"].as_str().unwrap_or_default();
    let ago = found["decided_seconds_ago"].as_f64().unwrap_or_default();
    let said = format!("{name}: {what} is {number} of {min} to {max}: {reason}, {ago:.0}s ago; {baseline}");
    Some(wrapped(&said, room))
}

fn endpoints(status: &Value) -> Result<Vec<Vec<String>>, String> {
    let mut rows = vec![UPSTREAM_TITLES.map(str::to_owned).to_vec()];
    for upstream in list(status, "/upstreams")? {
        for endpoint in list(upstream, "/endpoints")? {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let mut state = text(member(endpoint, "/state")?);
            if let Some(left) = endpoint["paused_for_seconds"].as_f64().filter(|_| state == "paused") {
                state = format!("{state} for {}s", left.ceil());
            }
            let in_flight = member(endpoint, "/in_flight")?.as_u64().unwrap_or(0);
            let slots = endpoint["slots"].as_u64().map(|slots| format!("/{slots}")).unwrap_or_default();
            rows.push(vec![
                text(member(upstream, "/name")?),
                text(member(endpoint, "/endpoint")?),
                format!("{in_flight}{slots}"),
                member(endpoint, "/errors")?.as_u64().unwrap_or(0).to_string(),
                state,
            ]);
        }
    }
    Ok(rows)
}

fn list<'a>(value: &'a Value, path: &str) -> Result<&'a [Value], String> {
    Ok(member(value, path)?.as_array().map_or(&[], Vec::as_slice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status() -> Value {
        json!({"draining": true, "uptime_seconds": 10.0, "limits": [
            {"name": "api", "in_flight": 3, "limit": 8, "queue_length": 2, "queue": 100, "oldest_seconds": 0.44,
             "admitted": 12345, "rejected": {"queue_full": 7, "queue_timeout": 1}, "dry_run": false,
             "override": {"limit": 8, "until": "2026-03-01T12:00:00Z", "by": "127.0.0.1"}},
            {"name": "reports", "in_flight": 0, "limit": 2, "queue_length": 0, "queue": 16, "oldest_seconds": null,
             "admitted": 0, "rejected": {}, "override": null, "dry_run": true, "dry_run_queued": 40,
             "dry_run_rejected": 12},
        ], "upstreams": [{"name": "app", "endpoints": [
            {"endpoint": "10.0.0.1:3000", "state": "up", "in_flight": 3, "slots": 4, "errors": 0},
            {"endpoint": "10.0.0.2:3000", "state": "ejected", "in_flight": 0, "slots": null, "errors": 12},
            {"endpoint": "10.0.0.3:3000", "state": "paused", "in_flight": 0, "slots": null, "errors": 0,
             "paused_for_seconds": 2.1},
        ]}]})
    }

    #[test]
    fn each_limit_and_each_endpoint_is_a_row() {
        assert_eq!(
            describe(&status(), None, None).unwrap(),
            "draining\n\
             dry run, nothing waits or is rejected: reports\n\
             LIMIT    IN FLIGHT  QUEUE  OLDEST  ADMITTED  REJECTED  OVERRIDE\n\
             api            3/8  2/100    0.4s     12345         8  limit 8 until 2026-03-01T12:00:00Z by 127.0.0.1\n\
             reports        0/2   0/16       -         0         0\n\
             \n\
             reports: dry run: 40 would have waited, 12 been rejected\n\
             \n\
             UPSTREAM       ENDPOINT  IN FLIGHT  ERRORS  STATE\n\
             app       10.0.0.1:3000        3/4       0  up\n\
             app       10.0.0.2:3000          0      12  ejected\n\
             app       10.0.0.3:3000          0       0  paused for 3s\n"
        );
        let nothing = json!({"draining": false, "limits": [], "upstreams": []});
        assert_eq!(describe(&nothing, None, None).unwrap(), "no limits\n");
    }

    #[test]
    fn on_a_narrow_terminal_the_long_texts_are_below_and_whole() {
        let mut status = status();
        status["limits"][1]["adaptive"] = json!({
            "shadow": false, "limit": 2, "min": 1, "max": 500, "reason": "gathering", "decided_seconds_ago": 61.2,
            "baseline_seconds": null,
        });
        let shown = describe(&status, None, Some(80)).unwrap();
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(!shown.contains("OVERRIDE"), "{shown}");
        assert!(shown.contains("api: overridden: limit 8 until 2026-03-01T12:00:00Z by 127.0.0.1\n"), "{shown}");
        let adaptive = "reports: adaptive is 2 of 1 to 500: gathering, 61s ago; too few answers yet to\n    say how";
        assert!(shown.contains(adaptive), "{shown}");
        assert_eq!(describe(&status, None, Some(200)).unwrap(), describe(&status, None, None).unwrap());
    }

    #[test]
    fn from_one_status_to_the_next_counts_are_rates() {
        let (before, mut after) = (status(), status());
        after["uptime_seconds"] = 12.0.into();
        after["limits"][0]["admitted"] = 12365.into();
        after["limits"][0]["rejected"]["queue_full"] = 8.into();
        after["limits"][1]["dry_run_queued"] = 60.into();
        after["limits"][1]["dry_run_rejected"] = 15.into();
        let shown = describe(&after, Some(&before), None).unwrap();
        let rows: Vec<&str> = shown.lines().skip(2).collect();
        assert_eq!(rows[0], "LIMIT    IN FLIGHT  QUEUE  OLDEST  ADMITTED/S  REJECTED/S  OVERRIDE");
        assert_eq!(
            rows[1],
            "api            3/8  2/100    0.4s          10         0.5  limit 8 until 2026-03-01T12:00:00Z by 127.0.0.1"
        );
        assert_eq!(rows[4], "reports: dry run: 10/s would have waited, 1.5/s been rejected");
        // Another process has counted for itself.
        let restarted = json!({"draining": false, "uptime_seconds": 0.5, "limits": [], "upstreams": []});
        assert_eq!(describe(&restarted, Some(&before), None).unwrap(), "no limits\n");
        assert!(describe(&before, Some(&after), None).unwrap().contains("ADMITTED  REJECTED"));
    }
}
