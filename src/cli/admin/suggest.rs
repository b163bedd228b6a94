//! `suggest`: which number a limit could have.

use serde_json::Value;

use super::limit::shown_limit;
use super::table::{fits, fitted, room, table, wrapped};
use super::{Reach, member};

/// The suggestions, as a table or as they came.
pub(super) fn suggest(reach: &Reach, json: bool) -> Result<String, String> {
    let answer = reach.client()?.ask_json("GET", "/api/v1/suggest", None)?;
    match json {
        true => serde_json::to_string_pretty(&answer).map(|text| text + "\n").map_err(|error| error.to_string()),
        false => describe(&answer, room()),
    }
}

fn describe(answer: &Value, room: Option<usize>) -> Result<String, String> {
    let mut rows = vec![["LIMIT", "IN FORCE", "SUGGESTED", "BECAUSE"].map(str::to_owned).to_vec()];
    for suggestion in member(answer, "/suggestions")?.as_array().into_iter().flatten() {
        let text = |path: &str| Ok::<_, String>(member(suggestion, path)?.as_str().unwrap_or_default().to_owned());
        let suggested = member(suggestion, "/suggested")?.as_u64();
        rows.push(vec![
            text("/limit")?,
            shown_limit(member(suggestion, "/in_force")?),
            suggested.map_or_else(|| "-".to_owned(), |limit| limit.to_string()),
            text("/because")?,
        ]);
    }
    if rows.len() == 1 {
        return Ok("no limits\n".to_owned());
    }
    if fits(&rows, room) {
        return Ok(table(&rows));
    }
    // The reasons are sentences: in a column they would be cut off, so they go below.
    let reasons: Vec<_> = rows.iter_mut().filter_map(Vec::pop).collect();
    let names = rows.iter().zip(&reasons).skip(1);
    let below: String = names.map(|(row, reason)| wrapped(&format!("{}: {reason}", row[0]), room)).collect();
    Ok(format!("{}\n{below}", fitted(&rows, room)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_limit_is_a_row() {
        let answer = json!({"suggestions": [
            {"limit": "api", "in_force": 50, "suggested": 24, "because": "16 at a time"},
            {"limit": "reports", "in_force": 16777215, "suggested": null, "because": "not enough data yet"},
        ]});
        assert_eq!(
            describe(&answer, None).unwrap(),
            "LIMIT    IN FORCE  SUGGESTED  BECAUSE\n\
             api            50         24  16 at a time\n\
             reports      none          -  not enough data yet\n"
        );
        assert_eq!(describe(&json!({"suggestions": []}), None).unwrap(), "no limits\n");
        assert!(describe(&json!({}), None).is_err());
        assert_eq!(
            describe(&answer, Some(40)).unwrap(),
            "LIMIT    IN FORCE  SUGGESTED\n\
             api            50  24\n\
             reports      none  -\n\
             \n\
             api: 16 at a time\n\
             reports: not enough data yet\n"
        );
    }
}
