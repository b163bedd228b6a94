//! Where something was written, for those who want it in parts.

use super::{environment, flags};

/// The parts of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In a file.
    File {
        /// Its name, as it was asked for.
        name: &'a str,
        /// Line and column, both from 1, if it is about one.
        position: Option<(usize, usize)>,
    },
    /// In an environment variable of this name.
    Variable(&'a str),
    /// In a flag of this name.
    Flag(&'a str),
    /// Nowhere, where it should have been said.
    CommandLine,
}

/// The place to blame where nothing was written anywhere.
pub(super) const COMMAND_LINE: &str = "command line";

impl<'a> Place<'a> {
    /// Takes a place apart.
    pub fn new(place: &'a str) -> Self {
        if place == COMMAND_LINE {
            return Place::CommandLine;
        }
        if let Some(name) = place.strip_prefix(environment::PLACE) {
            return Place::Variable(name);
        }
        if let Some(name) = place.strip_prefix(flags::PLACE) {
            return Place::Flag(name);
        }
        let position = || {
            let (rest, column) = place.rsplit_once(':')?;
            let (name, line) = rest.rsplit_once(':')?;
            Some((name, (line.parse().ok()?, column.parse().ok()?)))
        };
        match position() {
            Some((name, position)) => Place::File { name, position: Some(position) },
            None => Place::File { name: place, position: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_parts() {
        for (place, parts) in [
            ("a.toml:3:14", Place::File { name: "a.toml", position: Some((3, 14)) }),
            ("/x/a:b.toml:3:14", Place::File { name: "/x/a:b.toml", position: Some((3, 14)) }),
            ("a.toml", Place::File { name: "a.toml", position: None }),
            ("environment variable SLUICEGATE_LIMIT", Place::Variable("SLUICEGATE_LIMIT")),
            ("flag --limit", Place::Flag("--limit")),
            ("command line", Place::CommandLine),
        ] {
            assert_eq!(Place::new(place), parts);
        }
    }
}
