//! The keys of a route about what it changes: the path, and fields of requests and answers.

use super::fields::{self, Of};
use super::report::Report;
use super::section::Section;
use super::value::parsed;
use crate::proxy::{Fields, Rewrite};
use crate::route::PathPrefix;

/// What a table says of them.
#[derive(Debug)]
pub(super) struct Keys {
    strip_prefix: Option<PathPrefix>,
    set_headers: Fields,
    set_response_headers: Fields,
}

impl Keys {
    /// Takes the keys out of a section.
    pub(super) fn take(section: &mut Section<'_>, report: &Report) -> Self {
        Keys {
            strip_prefix: section.take("strip_prefix", parsed("the beginning of a path such as \"/v1\"")),
            set_headers: fields::take(section, "set_headers", Of::Requests, report),
            set_response_headers: fields::take(section, "set_response_headers", Of::Answers, report),
        }
    }

    /// What holds where these keys come before the defaults: tables are merged, name by name.
    pub(super) fn over(self, defaults: &Keys) -> Rewrite {
        Rewrite {
            strip_prefix: self.strip_prefix.or_else(|| defaults.strip_prefix.clone()),
            set_headers: merged(self.set_headers, &defaults.set_headers),
            set_response_headers: merged(self.set_response_headers, &defaults.set_response_headers),
        }
    }
}

fn merged(mut own: Fields, defaults: &Fields) -> Fields {
    for field in defaults {
        if own.iter().all(|(name, _)| *name != field.0) {
            own.push(field.clone());
        }
    }
    own
}
