//! The keys of a route that are about what its requests ask of their limits.

use config::Value;

use super::section::Section;
use super::value::{Taken, as_text, boolean, choice, integer, wrong, wrong_with_help};
use crate::admission::{LIMIT_MAX, Level};
use crate::proxy::{ClaimRules, Cost, Priority, TrustHeaders};

/// What a table says of it. What it does not say is `None`.
#[derive(Debug)]
pub(super) struct Claims {
    priority: Option<Priority>,
    cost: Option<Cost>,
    deadline: Option<bool>,
    trust_headers: Option<TrustHeaders>,
}

impl Claims {
    /// Takes the keys out of a section.
    pub(super) fn take(section: &mut Section<'_>) -> Self {
        Claims {
            priority: section.take("priority", choice(&PRIORITY)),
            cost: section.take("cost", cost),
            deadline: section.take("deadline", boolean),
            trust_headers: section.take("trust_headers", choice(&TRUST_HEADERS)),
        }
    }

    /// What holds where these keys come before the defaults.
    pub(super) fn over(self, defaults: &Claims) -> ClaimRules {
        let default = ClaimRules::default();
        ClaimRules {
            priority: self.priority.or(defaults.priority).unwrap_or(default.priority),
            cost: self.cost.or_else(|| defaults.cost.clone()).unwrap_or(default.cost),
            deadline: self.deadline.or(defaults.deadline).unwrap_or(default.deadline),
            trust_headers: self.trust_headers.or(defaults.trust_headers).unwrap_or(default.trust_headers),
        }
    }
}

const PRIORITY: [(&str, Priority); 6] = [
    ("critical", Priority::Level(Level::Critical)),
    ("high", Priority::Level(Level::High)),
    ("normal", Priority::Level(Level::Normal)),
    ("low", Priority::Level(Level::Low)),
    ("background", Priority::Level(Level::Background)),
    ("header", Priority::Header),
];

const TRUST_HEADERS: [(&str, TrustHeaders); 2] = [("trusted", TrustHeaders::Trusted), ("all", TrustHeaders::All)];

/// A number of permits, or `"header:NAME"`.
fn cost(value: &Value) -> Taken<Cost> {
    match as_text(value).and_then(|text| text.strip_prefix("header:")) {
        Some(name) => match name.parse() {
            Ok(name) => Ok(Cost::Header(name)),
            Err(_) => wrong_with_help(
                "must name a header after \"header:\"",
                format!("\"{name}\" is not the name of a header"),
            ),
        },
        None => match integer(1..=LIMIT_MAX)(value) {
            Ok(cost) => Ok(Cost::Fixed(cost)),
            Err(_) => wrong(format!("must be a whole number from 1 to {LIMIT_MAX}, or \"header:x-cost\"")),
        },
    }
}
