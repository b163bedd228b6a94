//! What can be said about a line that is no TOML.

use std::ops::Range;

use super::problem::Problem;
use super::report::problem;
use super::secrets::tokens;

/// A mistake that the parser has found.
pub(super) struct Mistake<'a> {
    /// The file without what may be a secret; its bytes are where they were.
    pub text: &'a str,
    /// The byte that it begins at.
    pub at: usize,
    /// What the parser says.
    pub message: &'a str,
}

impl Mistake<'_> {
    pub(super) fn problem(&self, place: &str) -> Problem {
        let message = format!("is not TOML: {}", self.message);
        match key(self.text, self.at) {
            Some(key) => problem(place, key, message),
            None => problem(place, "", format!("this {message}")),
        }
        .help(self.help())
    }

    /// What stands there already, where a key or a table is there twice.
    pub(super) fn first(&self) -> Option<Range<usize>> {
        let twice = key(self.text, self.at).filter(|_| self.is_twice())?;
        let before = &self.text[..line_start(self.text, self.at)];
        let mut start = 0;
        before.split_inclusive('\n').find_map(|line| {
            let at = start;
            start += line.len();
            let is_it = key(self.text, at)? == twice && !line.trim_start().starts_with('#');
            let written = line.split('=').next().unwrap_or(line).trim();
            let at = at + line.find(written)?;
            (is_it && !written.is_empty()).then(|| at..at + written.len())
        })
    }

    fn is_twice(&self) -> bool {
        self.message.contains("duplicate")
    }

    fn help(&self) -> &'static str {
        let line = line(self.text, self.at);
        if self.is_twice() {
            "remove one of the two"
        } else if line.contains(':') && !line.contains('=') {
            "this is how YAML is written: in TOML it is key = value, below the [name] of its table"
        } else {
            "texts are in quotes, lists in [ ], each key on a line of its own, and each table below its [name]"
        }
    }
}

/// A file with spaces for what may be a secret: a line of one that goes over several would pass for a key.
pub(super) fn without_tokens(text: &str) -> String {
    let secrets = tokens(text);
    let mut masked = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        match character {
            '\n' => masked.push('\n'),
            _ if secrets.iter().any(|secret| secret.contains(&at)) => {
                masked.extend(std::iter::repeat_n(' ', character.len_utf8()));
            }
            _ => masked.push(character),
        }
    }
    masked
}

/// Where the line of a byte begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

fn line(text: &str, at: usize) -> &str {
    text[line_start(text, at)..].lines().next().unwrap_or_default()
}

/// The key that the line of a byte is about: what it begins with, in the table whose header is the last one above.
fn key(text: &str, at: usize) -> Option<String> {
    let line = line(text, at);
    if let Some(table) = header(line) {
        return Some(table);
    }
    let key = plain(line.trim_start());
    let above = text[..line_start(text, at)].lines().rev().find_map(header);
    match (above, key.is_empty()) {
        (above, true) => above,
        (None, false) => Some(key),
        (Some(table), false) => Some(format!("{table}.{key}")),
    }
}

fn header(line: &str) -> Option<String> {
    let name = line.trim_start().strip_prefix('[')?.trim_start_matches('[');
    Some(plain(name)).filter(|name| !name.is_empty())
}

/// The key at the start of a text, without its quotes.
fn plain(text: &str) -> String {
    let key = text.chars().take_while(|c| c.is_ascii_alphanumeric() || "_-.\"'".contains(*c));
    key.filter(|c| !"\"'".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_toml_has_a_key_all_the_same() {
        let text = "a: 1\n[routes.api]\nlimit 5\n= 3\n  \"x-y\" : 1\n[upstreams.a\n";
        let keys: Vec<_> = text.match_indices('\n').map(|(at, _)| key(text, at).unwrap()).collect();
        assert_eq!(keys, ["a", "routes.api", "routes.api.limit", "routes.api", "routes.api.x-y", "upstreams.a"]);
        assert_eq!(key("= 1", 0), None);
    }

    #[test]
    fn a_line_of_a_secret_is_no_key() {
        let text = without_tokens("[admin]\ntoken = \"\"\"\nsäcret-1\n[secret-2]\n\"\"\"\nx = \n");
        assert_eq!(text.len(), "[admin]\ntoken = \"\"\"\nsäcret-1\n[secret-2]\n\"\"\"\nx = \n".len());
        let keys: Vec<_> = text.match_indices('\n').filter_map(|(at, _)| key(&text, at)).collect();
        assert_eq!(keys, ["admin", "admin.token", "admin", "admin", "admin", "admin.x"]);
    }

    #[test]
    fn what_is_there_twice_is_found_where_it_is_first() {
        let text = "[a]\n# x = 0\n x = 1\n[b]\nx = 1\n[a]\nx = 2\n";
        let first = |at| Mistake { text, at, message: "duplicate key" }.first().map(|range| &text[range]);
        assert_eq!(first(text.rfind("[a]").unwrap()), Some("[a]"));
        assert_eq!(first(text.rfind("x = 2").unwrap()), Some("x"));
        assert_eq!(first(text.find("[b]").unwrap()), None);
    }
}
