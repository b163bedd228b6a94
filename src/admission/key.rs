//! What fairness and caps count by.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Whose a request is: the value of a limit's key expression.
///
/// Two keys are the same if their values are. A secret is kept as its digest, and shown as the first digits of that.
/// Cloning one is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    value: Arc<str>,
    secret: bool,
    /// Made of the two above, and the same text as the value where it can be.
    shown: Arc<str>,
}

/// `sha256:` and eight digits of the digest.
const SHOWN: usize = 15;
/// Between the parts of a combined key: the unit separator, which no part has.
const SEPARATOR: char = '\u{1f}';

impl Key {
    /// A key that may be shown. The parts of a combined one are separated by U+001F, and shown with a plus between them.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        let value = value.into();
        let shown = match value.contains(SEPARATOR) {
            true => value.replace(SEPARATOR, " + ").into(),
            false => value.clone(),
        };
        Key { value, secret: false, shown }
    }

    /// A key of which only the beginning may be shown: `sha256:` and the whole digest in hexadecimal digits.
    pub fn secret(digest: impl Into<Arc<str>>) -> Self {
        let value = digest.into();
        let shown = value.get(..SHOWN).map_or_else(|| value.clone(), Into::into);
        Key { value, secret: true, shown }
    }

    /// Whether a text is what is shown of a secret: `sha256:` and eight digits.
    pub fn is_shown_secret(text: &str) -> bool {
        text.strip_prefix("sha256:").is_some_and(|digits| {
            digits.len() == 8 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        })
    }

    /// What the configuration calls it by, where that is not its value: of a secret, it knows only the beginning.
    pub fn name(&self) -> Option<Key> {
        (self.shown != self.value).then(|| Key::new(self.shown.clone()))
    }

    /// What may be shown of it, and what the configuration calls it by.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combined_key_is_shown_with_its_parts_apart_and_stays_distinct() {
        let combined = Key::new("a\u{1f}b");
        assert_eq!(combined.to_string(), "a + b");
        assert_ne!(combined, Key::new("a + b"));
        assert_eq!(combined, Key::new("a\u{1f}b"));
    }

    #[test]
    fn of_a_secret_the_beginning_is_shown_and_all_of_it_counts() {
        let (one, other) = (Key::secret("sha256:0123456789"), Key::secret("sha256:0123456700"));
        assert_eq!((one.shown(), other.shown()), ("sha256:01234567", "sha256:01234567"));
        assert_ne!(one, other);
        assert_eq!(Key::secret("short").shown(), "short");
    }
}
