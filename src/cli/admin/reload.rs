//! `reload`: another configuration for the running process.

use serde_json::Value;

use super::{Reach, member, print_error};

/// Has it loaded again, or only tried. What is wrong with it is the error.
pub(super) fn reload(reach: &Reach, dry_run: bool) -> Result<String, String> {
    let path = if dry_run { "/api/v1/reload?dry_run" } else { "/api/v1/reload" };
    let answer = reach.client()?.ask_json("POST", path, None)?;
    let texts = member(&answer, "/warnings")?.as_array().into_iter().flatten();
    for warning in texts.filter_map(Value::as_str) {
        print_error(format_args!("warning: {warning}\n"));
    }
    let (routes, limits) = (member(&answer, "/routes")?, member(&answer, "/limits")?);
    let done = if dry_run { "ok, and not in force" } else { "in force" };
    Ok(format!("{done}: {routes} routes, {limits} limits\n"))
}
