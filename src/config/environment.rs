//! Variables become a layer whose values stay texts: only the reader of a key knows its type.

use std::ffi::OsString;
use std::path::PathBuf;

use config::Value;

use super::flags::{SHORT_FORMS, Short};
use super::layer::Layer;
use super::origins::Origins;
use super::problem::Error;
use super::report::{Report, problem};

/// What the variables say.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// `SLUICEGATE__SERVER__LISTEN` and the like.
    pub layer: Layer,
    /// `SLUICEGATE_LISTEN` and the like.
    pub shorts: Vec<Short>,
    /// The files of `SLUICEGATE_CONFIG`.
    pub files: Vec<PathBuf>,
    /// The paths in the layer, and the places of the variables that set them.
    paths: Vec<(Vec<String>, String)>,
}

/// What the places of variables begin with.
pub(super) const PLACE: &str = "environment variable ";

/// The variables that are ours. Names and values that are not UTF-8 are problems.
pub(super) fn decode(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>, Error> {
    let report = Report::default();
    let mut decoded = Vec::new();
    for (name, value) in variables.filter(|(name, _)| name.as_encoded_bytes().starts_with(b"SLUICEGATE_")) {
        let place = format!("{PLACE}{}", name.display());
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => decoded.push((name, value)),
            (Err(_), _) => report.error(problem(&place, "", "the name of a variable is not UTF-8")),
            (_, Err(_)) => report.error(problem(&place, "", "the value of a variable is not UTF-8")),
        }
    }
    if report.errors() > 0 { Err(report.into_error()) } else { Ok(decoded) }
}

/// Sorts the variables into what they stand for.
pub(super) fn read(variables: &[(String, String)], report: &Report) -> Environment {
    let mut environment = Environment::default();
    // In the order of their names, so that a run does not depend on the order of the environment.
    let mut variables: Vec<&(String, String)> = variables.iter().collect();
    variables.sort();
    for (name, value) in variables {
        let place = format!("{PLACE}{name}");
        let Some(rest) = name.strip_prefix("SLUICEGATE_") else { continue };
        if let Some(path) = rest.strip_prefix('_') {
            environment.set(path, place, value, report);
        } else if rest == "CONFIG" {
            let files = value.split(',').map(str::trim).filter(|file| !file.is_empty());
            environment.files.extend(files.map(PathBuf::from));
        } else if let Some(form) = SHORT_FORMS.iter().find(|form| form.variable == Some(rest)) {
            environment.shorts.push(Short::new(form, &place, value.as_str()));
        } else if !ELSEWHERE.contains(&rest) && !is_from_kubernetes(rest) {
            report.warning(unknown(rest, &place));
        }
    }
    environment
}

impl Environment {
    /// Notes where the keys of the layer were written. To be called when the files have been read, over which variables
    /// win.
    pub(super) fn note_paths(&self, origins: &mut Origins) {
        for (path, place) in &self.paths {
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            origins.note_path(&names, place);
        }
    }

    /// Puts the value of a long form where its name says.
    fn set(&mut self, path: &str, place: String, value: &str, report: &Report) {
        let path = path.to_ascii_lowercase();
        let mut names: Vec<&str> = path.split("__").collect();
        if names.iter().any(|name| name.is_empty()) {
            report.error(
                problem(&place, "", "there is a name missing between the double underscores of this variable")
                    .help("write it as SLUICEGATE__ROUTES__API__LIMIT"),
            );
            return;
        }
        // No variable can hold a hyphen, and hardly a header does without one.
        let header;
        if let Some([table, name]) = names.last_chunk()
            && HEADERS.contains(table)
        {
            header = name.replace('_', "-");
            *names.last_mut().expect("it has two") = &header;
        }
        self.layer.set(&names, Value::new(Some(&place), value));
        self.paths.push((names.into_iter().map(str::to_owned).collect(), place));
    }
}

/// Tables whose keys are names of headers.
const HEADERS: [&str; 4] = ["header", "set_headers", "set_response_headers", "secret_headers"];

fn unknown(rest: &str, place: &str) -> super::Problem {
    let warning = problem(place, "", "this variable is not known, and does nothing");
    let candidates = SHORT_FORMS.iter().filter_map(|form| form.variable).chain(["CONFIG", "DRY_RUN"]);
    match super::section::closest(rest, candidates) {
        Some(meant) => warning.help(format!("did you mean SLUICEGATE_{meant}?")),
        None => warning.help("every key has a variable of the form SLUICEGATE__SERVER__LISTEN"),
    }
}

/// Variables that set no key: those of the commands that call the admin listener, which may share an environment with
/// what they call, and the one that `dry_run` reads.
const ELSEWHERE: [&str; 3] = ["ADMIN_TOKEN", "ADMIN_TOKEN_FILE", "DRY_RUN"];

/// Kubernetes sets such variables in each container for each service of the namespace, and one of the services is
/// likely to be called sluicegate.
fn is_from_kubernetes(rest: &str) -> bool {
    let rest = format!("_{rest}");
    let numbered = rest.match_indices("_PORT_").any(|(at, port)| {
        let after = &rest[at + port.len()..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && after[digits..].starts_with('_')
    });
    numbered
        || rest.ends_with("_PORT")
        || rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_kubernetes_are_known_as_such() {
        for name in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_8080_TCP",
            "PORT_8080_TCP_ADDR",
            "ADMIN_SERVICE_HOST",
            "ADMIN_PORT_9901_TCP_PROTO",
        ] {
            assert!(is_from_kubernetes(name), "{name}");
        }
        for name in ["PORTS", "PORT_", "PORT_80", "PORT_X_TCP", "SERVICE_HOSTS", "LIMITS", "REPORT"] {
            assert!(!is_from_kubernetes(name), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_utf8_is_a_problem_if_it_is_ours() {
        use std::os::unix::ffi::OsStringExt;
        let broken = || OsString::from_vec(vec![0xff]);
        let decode = |name: &str| super::decode(std::iter::once((OsString::from(name), broken())));
        assert_eq!(decode("PATH"), Ok(vec![]));
        let Error(problems) = decode("SLUICEGATE_LIMIT").unwrap_err();
        assert_eq!(problems[0].place, "environment variable SLUICEGATE_LIMIT");
    }
}
