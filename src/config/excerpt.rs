//! A line of a file with a marker under the part that matters.

use std::fmt;

/// The line, and which characters of it are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// Line number, from 1.
    pub line: usize,
    /// Column of the first character that is meant, from 1.
    pub column: usize,
    /// How many characters are meant.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl Excerpt {
    /// How wide the line number is.
    pub(super) fn gutter(&self) -> usize {
        self.line.to_string().len()
    }

    /// The excerpt to the right of a gutter that all excerpts of a problem share.
    pub(super) fn with_gutter(&self, gutter: usize) -> impl fmt::Display {
        let Excerpt { line, column, width, text } = self;
        // A tab would put the marker in the wrong place.
        let text = without_secrets(text).replace('\t', " ");
        format!("{line:gutter$} | {text}\n{:gutter$} | {:before$}{:^<width$}", "", "", "", before = column - 1)
    }
}

/// Hides what stands between `://` and `@`, where people put passwords, one star for each character.
pub(super) fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(['/', '"', '\'', ' ', ',']).unwrap_or(after.len());
        let secret = after[..end].rfind('@').unwrap_or(0);
        shown.extend(after[..secret].chars().map(|_| '*'));
        rest = &after[secret..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_under_what_is_meant() {
        let excerpt = Excerpt { line: 14, column: 9, width: 6, text: "limit = \"many\"".into() };
        assert_eq!(excerpt.with_gutter(2).to_string(), "14 | limit = \"many\"\n   |         ^^^^^^");
    }

    #[test]
    fn passwords_are_not_shown() {
        for (text, shown) in [
            ("url = \"http://me:secret@host/a@b\"", "url = \"http://*********@host/a@b\""),
            ("http://a@b@c", "http://***@c"),
            ("http://host, x@y", "http://host, x@y"),
            ("no url@all", "no url@all"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }
}
