//! Which shared limits there are, in the one order in which every route acquires them.

use config::Value;

use super::report::{Report, problem};
use super::section::{Section, closest};
use super::value::{Taken, list, text};

/// The names of the shared limits. What follows knows a limit by its place among them.
#[derive(Debug)]
pub(super) struct SharedLimits(Vec<String>);

impl SharedLimits {
    /// Puts the tables of limits into the order of the files, and those that only variables define behind them, in the
    /// order of their names. A table that stands in several files has its place in the first.
    pub(super) fn sort(tables: &mut [(String, Section<'_>)], report: &Report) -> Self {
        // The tables come in the order of their names, which this sort keeps where there is no other.
        tables.sort_by_key(|(_, section)| {
            let position = report.origins.position(section.path());
            (position.is_none(), position)
        });
        SharedLimits(tables.iter().map(|(name, _)| name.clone()).collect())
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }

    /// Takes the names of `limits` out of a section, and says which limits they are, in the order in which they are
    /// acquired. `None` if there is no list, or a wrong one, which has been reported.
    pub(super) fn take(&self, section: &mut Section<'_>, report: &Report) -> Option<Vec<usize>> {
        let named = section.take("limits", list(named))?;
        let mut indexes = Vec::with_capacity(named.len());
        let errors_before = report.errors();
        for Named { name, place } in named {
            let error = |message| {
                let place = place.clone().unwrap_or_else(|| section.place());
                problem(&place, format!("{}.limits", section.path()), message)
            };
            match self.0.iter().position(|known| *known == name) {
                Some(index) if indexes.contains(&index) => {
                    report.error(error(format!("names a limit twice: \"{name}\"")).help("remove one of the two"));
                }
                Some(index) => indexes.push(index),
                None => {
                    let error = error(format!("names a limit that is not there: \"{name}\""));
                    report.error(error.help(self.instead(&name)));
                }
            }
        }
        indexes.sort_unstable();
        (report.errors() == errors_before).then_some(indexes)
    }

    fn instead(&self, name: &str) -> String {
        match closest(name, self.0.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None if self.0.is_empty() => "define it as [limits.NAME] with limit = 20".to_owned(),
            None => format!("the shared limits are {}", self.0.join(", ")),
        }
    }
}

/// A name, and where it was written.
struct Named {
    name: String,
    place: Option<String>,
}

fn named(value: &Value) -> Taken<Named> {
    Ok(Named { name: text(value)?, place: value.origin().map(str::to_owned) })
}
