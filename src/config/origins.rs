//! Where everything was written.

use std::collections::HashMap;
use std::ops::Range;

use super::excerpt::Excerpt;
use super::secrets::tokens;

/// The texts of the files, and the places of values and keys.
#[derive(Debug, Default)]
pub(super) struct Origins {
    files: Vec<File>,
    /// `file:line:column` to the bytes that are meant.
    spans: HashMap<String, (usize, Range<usize>)>,
    /// Dotted path of a key to its place.
    keys: HashMap<String, String>,
}

#[derive(Debug)]
struct File {
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    /// What is not shown.
    secrets: Vec<Range<usize>>,
}

impl Origins {
    /// Adds a file, and says how [`place`](Self::place) knows it.
    pub(super) fn add_file(&mut self, name: String, text: String) -> usize {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let secrets = tokens(&text);
        self.files.push(File { name, text, lines, secrets });
        self.files.len() - 1
    }

    /// The name of the first file.
    pub(super) fn first_file(&self) -> Option<&str> {
        self.files.first().map(|file| file.name.as_str())
    }

    /// The `file:line:column` of some bytes of a file; its line can be shown from now on.
    pub(super) fn place(&mut self, file: usize, span: Range<usize>) -> String {
        let (line, column) = self.files[file].position(span.start);
        let place = format!("{}:{line}:{column}", self.files[file].name);
        self.spans.insert(place.clone(), (file, span));
        place
    }

    /// Notes where a key was written. For a table the first place stands, for a value the last, which is in force.
    pub(super) fn note_key(&mut self, path: String, place: &str, is_table: bool) {
        if is_table {
            self.keys.entry(path).or_insert_with(|| place.to_owned());
        } else {
            self.keys.insert(path, place.to_owned());
        }
    }

    /// Notes a key that a variable or flag sets, and the tables around it.
    pub(super) fn note_path(&mut self, path: &[&str], place: &str) {
        for end in 1..=path.len() {
            self.note_key(path[..end].join("."), place, end < path.len());
        }
    }

    /// Where a key was written.
    pub(super) fn key(&self, path: &str) -> Option<&str> {
        self.keys.get(path).map(String::as_str)
    }

    /// The places of all keys, by their dotted paths.
    pub(super) fn into_keys(self) -> HashMap<String, String> {
        self.keys
    }

    /// Where a key stands among all that is in the files: the number of its file, and of its byte in it.
    pub(super) fn position(&self, path: &str) -> Option<(usize, usize)> {
        let (file, span) = self.spans.get(self.key(path)?)?;
        Some((*file, span.start))
    }

    /// The line of a place, if it is in a file.
    pub(super) fn excerpt(&self, place: &str) -> Option<Excerpt> {
        let (file, span) = self.spans.get(place)?;
        let file = &self.files[*file];
        let (line, column) = file.position(span.start);
        let start = file.lines[line - 1];
        let text = file.text[start..].lines().next().unwrap_or_default();
        // What goes on in the next line is marked to the end of this one.
        let end = span.end.min(start + text.len());
        let width = file.text.get(span.start..end).map_or(0, |text| text.chars().count()).max(1);
        let is_secret = |at: usize| file.secrets.iter().any(|secret| secret.contains(&(start + at)));
        let shown = text.char_indices().map(|(at, character)| if is_secret(at) { '*' } else { character });
        Some(Excerpt { line, column, width, text: shown.collect() })
    }
}

impl File {
    /// Line and column of a byte, both from 1. A column is a character, as editors count.
    fn position(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        let column = self.text.get(start..at).map_or(1, |text| text.chars().count() + 1);
        (line, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let mut origins = Origins::default();
        let file = origins.add_file("a.toml".into(), "x = 1\r\nä = \"ö\"\r\n".into());
        assert_eq!(origins.place(file, 0..1), "a.toml:1:1");
        assert_eq!(origins.place(file, 12..16), "a.toml:2:5");
        let excerpt = origins.excerpt("a.toml:2:5").unwrap();
        assert_eq!(excerpt, Excerpt { line: 2, column: 5, width: 3, text: "ä = \"ö\"".into() });
        assert_eq!(origins.place(file, 18..18), "a.toml:3:1");
        assert_eq!(origins.excerpt("a.toml:3:1").unwrap().width, 1);
        assert_eq!(origins.excerpt("elsewhere"), None);
    }
}
