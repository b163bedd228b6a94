//! Problems as they are found.

use std::cell::RefCell;
use std::collections::HashMap;

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
}

/// A problem about to be reported.
pub(super) fn problem(place: &str, key: impl Into<String>, message: impl Into<String>) -> Problem {
    let (place, key, message) = (place.to_owned(), key.into(), message.into());
    Problem { place, also: None, key, message, help: None, excerpts: [None, None] }
}

impl Problem {
    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
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
        Error(self.errors.into_inner())
    }

    /// Everything, warnings beside errors.
    pub(super) fn into_findings(self, settings: Option<Settings>) -> Findings {
        let settings = settings.filter(|_| self.errors() == 0);
        Findings { settings, errors: self.errors.into_inner(), warnings: self.warnings.into_inner() }
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
