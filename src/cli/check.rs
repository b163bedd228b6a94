//! `check`: is the configuration right?

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Ending, count, misused, print, print_error, print_warnings};
use crate::config::{self, Findings, Place, Problem, Settings, Sources};

/// How the findings are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people: problems on the standard error, one line about what is right on the standard output.
    #[default]
    Text,
    /// For programs: one object on the standard output.
    Json,
}

/// Loads everything and says all that was found. With `strict`, warnings are mistakes.
pub(super) fn check(sources: Result<Sources, config::Error>, strict: bool, format: Format) -> Ending {
    let findings = match sources {
        Ok(sources) => config::check(&sources),
        Err(config::Error(errors)) => Findings { settings: None, errors, warnings: Vec::new() },
    };
    let ending = match &findings {
        Findings { settings: None, .. } => Ending::Misused,
        Findings { warnings, .. } if strict && !warnings.is_empty() => Ending::Misused,
        _ => Ending::Done,
    };
    let said = match format {
        Format::Text => as_text(findings, ending),
        Format::Json => print(&format!("{:#}\n", as_json(&findings, ending))),
    };
    if said.is_ok() { ending } else { Ending::Failed }
}

fn as_text(findings: Findings, ending: Ending) -> std::io::Result<()> {
    let Findings { settings, errors, warnings } = findings;
    let Some(settings) = settings else {
        misused(&config::Error(errors));
        if !warnings.is_empty() {
            print_error("");
            print_warnings(&warnings);
        }
        return Ok(());
    };
    print_warnings(&warnings);
    if ending == Ending::Misused {
        print_error(format_args!("error: {}: with --strict, warnings are errors", count(warnings.len(), "warning")));
        return Ok(());
    }
    print(&format!("{}\n", summary(&settings, warnings.len())))
}

fn as_json(findings: &Findings, ending: Ending) -> Value {
    let Findings { settings, errors, warnings } = findings;
    let severities = [("error", errors), ("warning", warnings)];
    let problems = severities.into_iter().flat_map(|(severity, problems)| {
        problems.iter().map(move |problem| {
            let mut object = problem_as_json(problem);
            object["severity"] = severity.into();
            object
        })
    });
    json!({
        "ok": ending == Ending::Done,
        "errors": errors.len(),
        "warnings": warnings.len(),
        "routes": settings.as_ref().map(|settings| settings.plan.routes.len()),
        "upstreams": settings.as_ref().map(|settings| settings.plan.upstreams.len()),
        "problems": problems.collect::<Vec<_>>(),
    })
}

/// A problem as one object. What does not apply is null.
pub(super) fn problem_as_json(problem: &Problem) -> Value {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "place": place_as_json(&problem.place),
        "also": problem.also.as_deref().map(place_as_json),
        "key": text(&problem.key),
        "message": problem.message,
        "help": problem.help,
    })
}

fn place_as_json(place: &str) -> Value {
    match Place::new(place) {
        Place::File { name, position: Some((line, column)) } => json!({ "file": name, "line": line, "column": column }),
        Place::File { name, position: None } => json!({ "file": name }),
        Place::Variable(name) => json!({ "variable": name }),
        Place::Flag(name) => json!({ "flag": name }),
        Place::CommandLine => json!({ "flag": null }),
    }
}

fn summary(settings: &Settings, warnings: usize) -> String {
    let listen: Vec<String> = settings.server.listen.iter().map(ToString::to_string).collect();
    let mut parts = vec![
        count(settings.plan.routes.len(), "route"),
        count(settings.plan.upstreams.len(), "upstream"),
        format!("listening on {}", listen.join(" and ")),
    ];
    if warnings > 0 {
        parts.push(count(warnings, "warning"));
    }
    format!("ok: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, Sources};

    #[test]
    fn the_summary_counts() {
        let flags = Flags {
            upstream: Some("http://127.0.0.1:3000".into()),
            limit: Some("5".into()),
            listen: vec!["127.0.0.1:80".into(), "[::1]:80".into()],
            ..Flags::default()
        };
        let loaded = config::load(&Sources { flags, ..Sources::default() }).unwrap();
        let expected = "ok: 1 route, 1 upstream, listening on 127.0.0.1:80 and [::1]:80";
        assert_eq!(summary(&loaded.settings, 0), expected);
        assert_eq!(summary(&loaded.settings, 2), format!("{expected}, 2 warnings"));
    }
}
