//! What is wrong with a configuration, for the person who wrote it.

use std::fmt;

use super::excerpt::Excerpt;

/// One mistake, or one warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `file:line:column`, `environment variable NAME` or `flag --name`. Empty if it is nowhere in particular.
    pub place: String,
    /// A second place that has part in it.
    pub also: Option<String>,
    /// The key, as a dotted path. Empty if it is about no key.
    pub key: String,
    /// What is wrong with it: the sentence that `key` begins.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The keys of which any would do, by their paths: for want of those it is a problem, and need not be said where one
    /// was only misspelt.
    pub(super) lacks: Vec<String>,
    /// The lines at `place` and `also`, if those are in files.
    pub(super) excerpts: [Option<Excerpt>; 2],
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}", self.message)?,
            key => write!(f, "{key} {}", self.message)?,
        }
        let gutter = self.excerpts.iter().flatten().map(Excerpt::gutter).max().unwrap_or(2);
        let places = [Some(&self.place), self.also.as_ref()];
        for (place, excerpt) in places.into_iter().zip(&self.excerpts) {
            if let Some(place) = place.filter(|place| !place.is_empty()) {
                write!(f, "\n{:gutter$}--> {place}", "")?;
            }
            if let Some(excerpt) = excerpt {
                write!(f, "\n{}", excerpt.with_gutter(gutter))?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

/// Every mistake of a configuration; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(pub Vec<Problem>);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n\n" };
            write!(f, "{gap}error: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
