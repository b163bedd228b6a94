//! Problems as they are found.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::origins::Origins;
use super::place::COMMAND_LINE;
use super::problem::{Error, Problem};
use super::{Findings, Loaded, Settings, Written};

/// Collects what is wrong, so that one run says everything.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Where everything was written.
    pub origins: Origins,
    // Sections report while others of them are open, hence the cells.
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// The paths of keys that were probably meant by others, which have been reported.
    meant: RefCell<HashSet<String>>,
}

/// A problem about to be reported.
pub(super) fn problem(place: &str, key: impl Into<String>, message: impl Into<String>) -> Problem {
    let (place, key, message) = (place.to_owned(), key.into(), message.into());
    Problem { place, also: None, key, message, help: None, lacks: Vec::new(), excerpts: [None, None] }
}

impl Problem {
    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Names a key without which there is this problem.
    pub(super) fn lacks(mut self, path: impl Into<String>) -> Self {
        self.lacks.push(path.into());
        self
    }

    /// Names a second place.
    pub(super) fn also(mut self, place: &str) -> Self {
        self.also = Some(place.to_owned());
        self
    }
}

impl Report {
    pub(super) fn error(&self, problem: Problem) {
        self.errors.borrow_mut().push(self.with_excerpts(problem));
    }

    pub(super) fn warning(&self, problem: Problem) {
        self.warnings.borrow_mut().push(self.with_excerpts(problem));
    }

    /// How many errors there have been.
    pub(super) fn errors(&self) -> usize {
        self.errors.borrow().len()
    }

    /// Notes that a key was probably meant by one that has been reported.
    pub(super) fn note_meant(&self, path: String) {
        self.meant.borrow_mut().insert(path);
    }

    /// Notes that a key, which has been reported, stands above all tables and was probably meant to be in one.
    pub(super) fn note_above(&self, key: &str) {
        self.note_meant(of_any_table(key));
    }

    /// Whether a key that is not there was probably meant by another.
    pub(super) fn is_meant(&self, path: &str) -> bool {
        self.meant.borrow().contains(path)
    }

    /// The place to blame for a key: its own, else that of the innermost table around it, else the file's.
    pub(super) fn place_of(&self, path: &str) -> String {
        let around = std::iter::successors(Some(path), |path| Some(path.rsplit_once('.')?.0));
        let written = around.filter(|path| !path.is_empty()).find_map(|path| self.origins.key(path));
        written.or_else(|| self.origins.first_file()).unwrap_or(COMMAND_LINE).to_owned()
    }

    /// The place to blame for what holds for a route: that of its own key, else of the one in `[defaults]`.
    pub(super) fn place_of_overridable(&self, table: &str, key: &str) -> String {
        let own = format!("{table}.{key}");
        let default = format!("defaults.{key}");
        let written = [&own, &default].into_iter().find(|path| self.origins.key(path).is_some());
        self.place_of(written.unwrap_or(&own))
    }

    /// The errors, of which there must be some.
    pub(super) fn into_error(self) -> Error {
        let meant = self.meant.into_inner();
        Error(causes(self.errors.into_inner(), &meant))
    }

    /// Everything, warnings beside errors.
    pub(super) fn into_findings(self, settings: Option<Settings>) -> Findings {
        let settings = settings.filter(|_| self.errors() == 0);
        let errors = causes(self.errors.into_inner(), &self.meant.into_inner());
        Findings { settings, errors, warnings: self.warnings.into_inner() }
    }

    /// The settings, if there was no error; there are none only if there was one. `written` is told the places of keys.
    pub(super) fn finish(
        self,
        settings: Option<Settings>,
        written: impl FnOnce(HashMap<String, String>) -> Written,
    ) -> Result<Loaded, Error> {
        match settings {
            Some(settings) if self.errors() == 0 => {
                let written = written(self.origins.into_keys());
                Ok(Loaded { settings, warnings: self.warnings.into_inner(), written })
            }
            _ => Err(self.into_error()),
        }
    }

    fn with_excerpts(&self, mut problem: Problem) -> Problem {
        let excerpt = |place: &str| self.origins.excerpt(place);
        problem.excerpts = [excerpt(&problem.place), problem.also.as_deref().and_then(excerpt)];
        problem
    }
}

/// In place of a path. No table has this name.
fn of_any_table(key: &str) -> String {
    format!("*.{key}")
}

/// Without what is only missing because it was misspelt, or stands above the tables. What else is missing comes last: it may follow from the others.
fn causes(mut errors: Vec<Problem>, meant: &HashSet<String>) -> Vec<Problem> {
    let is_above = |path: &str| path.rsplit_once('.').is_some_and(|(_, key)| meant.contains(&of_any_table(key)));
    errors.retain(|error| !error.lacks.iter().any(|path| meant.contains(path) || is_above(path)));
    errors.sort_by_key(|error| !error.lacks.is_empty());
    errors
}
