//! `check`: is the configuration right?

use std::io::Write;

use super::{Ending, misused, print_warnings};
use crate::config::{self, Loaded, Settings, Sources};

/// Loads everything. What is wrong goes to the standard error stream, one line about what is right to the standard
/// output. With `strict`, warnings are mistakes.
pub(super) fn check(sources: Result<Sources, config::Error>, strict: bool) -> Ending {
    match sources.and_then(|sources| config::load(&sources)) {
        Ok(Loaded { settings, warnings }) => {
            print_warnings(&warnings);
            if strict && !warnings.is_empty() {
                return Ending::Misused;
            }
            match writeln!(std::io::stdout(), "{}", summary(&settings, warnings.len())) {
                Ok(()) => Ending::Done,
                Err(_) => Ending::Failed,
            }
        }
        Err(error) => misused(&error),
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

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
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
