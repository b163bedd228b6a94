//! The keys of a limit that are about whose a request is: `key` and what goes with it.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use config::{Value, ValueKind};

use super::report::Report;
use super::section::{Section, closest};
use super::value::{Taken, choice, integer, list, some, text, wrong_with_help};
use crate::admission::{Key, KeyRule, LIMIT_MAX, Rules};
use crate::proxy::{KeyExpression, KeyExpressionError, KeyRules, Missing, Unknown};

/// What a table says of it. What it does not say is `None`.
#[derive(Debug)]
pub(super) struct Fairness {
    key: Option<KeyExpression>,
    per_key: Option<NonZeroU32>,
    per_key_queue: Option<u32>,
    keys: Option<Vec<(String, KeyRule)>>,
    missing: Option<Missing>,
    unknown: Option<Unknown>,
    max_keys: Option<usize>,
}

/// The bucket of all that have no key of their own.
const SHARED: &str = "_";
/// More than this is memory for nobody.
const MAX_KEYS_MAX: u32 = 10_000_000;
/// Nobody's share is a thousand times another's.
const WEIGHT_MAX: u32 = 1_000;

impl Fairness {
    /// Those that say nothing without `key`.
    pub(super) const DEPENDENT: [&str; 6] =
        ["per_key", "per_key_queue", "keys", "missing_key", "unknown_key", "max_keys"];

    pub(super) const NAMES: [&str; 7] =
        ["key", "per_key", "per_key_queue", "keys", "missing_key", "unknown_key", "max_keys"];

    /// Takes the keys out of a section.
    pub(super) fn take(section: &mut Section<'_>) -> Self {
        let key = section.take("key", expression);
        let per_key = section.take("per_key", at_least_one);
        let per_key_queue = section.take("per_key_queue", integer(0..=LIMIT_MAX));
        let keys = section.entries("keys", key_rule);
        let keys = section.was_written("keys").then_some(keys);
        Fairness {
            key,
            per_key,
            per_key_queue,
            keys,
            missing: section.take("missing_key", choice(&MISSING)),
            unknown: section.take("unknown_key", choice(&UNKNOWN)),
            max_keys: section.take("max_keys", integer(1..=MAX_KEYS_MAX)),
        }
    }

    /// What holds where these keys come before the defaults: how the key is told, and what holds for it. `None` for a
    /// limit without a key.
    pub(super) fn over(
        &self,
        defaults: &Fairness,
        section: &Section<'_>,
        report: &Report,
    ) -> Option<(KeyRules, Rules<Key>)> {
        let Some(expression) = self.key.as_ref().or(defaults.key.as_ref()) else {
            for key in Self::DEPENDENT.iter().filter(|key| section.was_written(key) && !section.was_written("key")) {
                let problem = section.problem(key, "says nothing without a `key` beside it");
                let problem = problem.lacks(format!("{}.key", section.path()));
                report
                    .error(problem.help(
                        "write key = \"header:x-tenant\", key = \"client_ip\", or what tells whose a request is",
                    ));
            }
            return None;
        };
        let per_key = self.per_key.or(defaults.per_key);
        let keys = self.keys.as_ref().or(defaults.keys.as_ref()).map_or(&[][..], Vec::as_slice);
        let named = |(name, rule): &(String, KeyRule)| (name != SHARED).then(|| (name.clone(), *rule));
        let named: HashMap<String, KeyRule> = keys.iter().filter_map(named).collect();
        if expression.is_secret()
            && let Some(plain) = named.keys().find(|name| !Key::is_shown_secret(name))
        {
            let message = format!("names \"{plain}\", but these keys are secrets");
            let help = "write sha256: and the first eight digits of the secret's SHA-256, as it is shown everywhere";
            report.error(section.problem("keys", message).help(help));
        }
        let default = Rules::<Key>::default();
        let rules = Rules {
            per_key,
            per_key_queue: self.per_key_queue.or(defaults.per_key_queue),
            keys: named.iter().map(|(name, rule)| (Key::new(name.as_str()), *rule)).collect(),
            shared: keys.iter().find(|(name, _)| name == SHARED).map_or(default.shared, |(_, rule)| *rule),
            max_keys: self.max_keys.or(defaults.max_keys).unwrap_or(default.max_keys),
            name_of: Key::name,
        };
        let how = KeyRules {
            expression: expression.clone(),
            missing: self.missing.or(defaults.missing).unwrap_or_default(),
            unknown: self.unknown.or(defaults.unknown).unwrap_or_default(),
            named: named.into_keys().collect::<HashSet<_>>(),
        };
        Some((how, rules))
    }
}

const MISSING: [(&str, Missing); 3] =
    [("shared", Missing::Shared), ("client_ip", Missing::ClientIp), ("reject", Missing::Reject)];

const UNKNOWN: [(&str, Unknown); 3] = [("own", Unknown::Own), ("shared", Unknown::Shared), ("reject", Unknown::Reject)];

/// An expression, or several whose values are combined.
fn expression(value: &Value) -> Taken<KeyExpression> {
    let texts = some(list(text))(value)?;
    KeyExpression::try_new(texts.iter().map(String::as_str)).or_else(|error| {
        const WORDS: [&str; 9] =
            ["client_ip", "client_ip/64", "header:", "bearer", "basic_user", "cookie:", "query:", "path:", "host"];
        let meant = match &error {
            KeyExpressionError::Unknown(word) => closest(word, WORDS),
            _ => None,
        };
        let help = match meant {
            Some(meant) => format!("{error}: did you mean \"{meant}\"?"),
            None if matches!(error, KeyExpressionError::Unnamed(_)) => format!("{error}: write \"header:x-tenant\""),
            None => {
                format!("{error}: there are {}, and \"bearer|client_ip\" for the first that is there", WORDS.join(", "))
            }
        };
        wrong_with_help(
            "must be a key expression such as \"client_ip\" or \"header:x-tenant\", or a list of them",
            help,
        )
    })
}

fn at_least_one(value: &Value) -> Taken<NonZeroU32> {
    let number: u32 = integer(1..=LIMIT_MAX)(value)?;
    Ok(NonZeroU32::new(number).expect("one is not zero"))
}

/// `{ per_key, weight }`.
fn key_rule(_: &str, value: &Value) -> Taken<KeyRule> {
    const EXPECTED: &str = "must be { per_key = N }, { weight = N } or both";
    let ValueKind::Table(table) = &value.kind else {
        return wrong_with_help(EXPECTED, "per_key is its cap, weight how many turns it has where others have one");
    };
    let mut rule = KeyRule::default();
    for (key, value) in table {
        let said = match key.as_str() {
            "per_key" => at_least_one(value).map(|per_key| rule.per_key = Some(per_key)),
            "weight" => integer(1..=WEIGHT_MAX)(value).map(|weight| rule.weight = NonZeroU32::new(weight)),
            _ => match closest(key, ["per_key", "weight"]) {
                Some(meant) => wrong_with_help(EXPECTED, format!("did you mean `{meant}` by `{key}`?")),
                None => wrong_with_help(EXPECTED, format!("there is no `{key}` here")),
            },
        };
        said.map_err(|mut wrongs| {
            for wrong in &mut wrongs {
                wrong.place.get_or_insert_with(|| value.origin().unwrap_or_default().to_owned());
                if wrong.message != EXPECTED {
                    wrong.message = format!("has `{key}`, which {}", wrong.message);
                }
            }
            wrongs
        })?;
    }
    Ok(rule)
}
