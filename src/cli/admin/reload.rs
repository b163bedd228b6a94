//! `reload`: another configuration for the running process.

use serde_json::Value;

use super::{Reach, member, print_error};
use crate::cli::count;

/// Has it loaded again, or only tried. What is wrong with it is the error.
pub(super) fn reload(reach: &Reach, dry_run: bool) -> Result<String, String> {
    let path = if dry_run { "/api/v1/reload?dry_run" } else { "/api/v1/reload" };
    let answer = reach.client()?.ask_json("POST", path, None)?;
    let texts = member(&answer, "/warnings")?.as_array().into_iter().flatten();
    for warning in texts.filter_map(Value::as_str) {
        print_error(format_args!("warning: {warning}\n"));
    }
    let number = |path: &str| Ok::<_, String>(member(&answer, path)?.as_u64().unwrap_or_default() as usize);
    let (routes, limits) = (count(number("/routes")?, "route"), count(number("/limits")?, "limit"));
    let done = if dry_run { "ok, and not in force" } else { "in force" };
    Ok(format!("{done}: {routes}, {limits}\n{}", changes(&answer)?))
}

/// A line for each kind of thing of which something is different.
fn changes(answer: &Value) -> Result<String, String> {
    let mut text = String::new();
    for kind in ["limits", "routes", "upstreams", "listeners", "settings"] {
        let difference = member(answer, &format!("/changes/{kind}"))?;
        let words = [("new", "added"), ("changed", "changed"), ("gone", "removed")];
        let parts = words.map(|(word, names)| {
            let names: Vec<&str> =
                difference[names].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let more = names.len().saturating_sub(SHOWN);
            let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
            (!names.is_empty()).then(|| format!("{word} {}{and_more}", names[..names.len() - more].join(", ")))
        });
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            text += &format!("{kind}: {}\n", parts.join("; "));
        }
    }
    Ok(if text.is_empty() { "nothing is different\n".to_owned() } else { text })
}

/// Names of one kind. The answer has them all.
const SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_different_is_a_line_for_each_kind() {
        let nothing = json!({"added": [], "changed": [], "removed": []});
        let many: Vec<String> = (0..12).map(|n| format!("r{n}")).collect();
        let mut answer = json!({"changes": {
            "limits": {"added": ["b"], "changed": ["a", "c"], "removed": ["d"]},
            "routes": {"added": many, "changed": [], "removed": []},
            "upstreams": nothing, "listeners": nothing, "settings": nothing,
        }});
        assert_eq!(
            changes(&answer).unwrap(),
            "limits: new b; changed a, c; gone d\nroutes: new r0, r1, r2, r3, r4, r5, r6, r7, r8, r9 and 2 more\n"
        );
        (answer["changes"]["limits"], answer["changes"]["routes"]) = (nothing.clone(), nothing);
        assert_eq!(changes(&answer).unwrap(), "nothing is different\n");
    }
}
