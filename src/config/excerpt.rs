//! A line of a file with a marker under the part that matters.

use std::fmt;

use super::secrets::without_secrets;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_under_what_is_meant() {
        let excerpt = Excerpt { line: 14, column: 9, width: 6, text: "limit = \"many\"".into() };
        assert_eq!(excerpt.with_gutter(2).to_string(), "14 | limit = \"many\"\n   |         ^^^^^^");
    }
}
