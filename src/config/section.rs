//! One table of the merged tree, read key by key.

use std::collections::BTreeMap;

use config::{Map, Value, ValueKind};

use super::environment;
use super::keys;
use super::problem::Problem;
use super::report::{Report, problem};
use super::secrets::without_secrets;
use super::value::{Taken, as_text, is_outside_files};

/// A table whose keys are taken one after the other. What is left at the end is not known.
#[derive(Debug)]
pub(super) struct Section<'a> {
    path: String,
    entries: BTreeMap<String, Value>,
    /// The keys that were asked for.
    known: Vec<&'static str>,
    /// Those of them that were there.
    written: Vec<&'static str>,
    /// What those of them said that are texts.
    texts: BTreeMap<&'static str, String>,
    report: &'a Report,
}

impl<'a> Section<'a> {
    /// The table around all others.
    pub(super) fn root(tree: Map<String, Value>, report: &'a Report) -> Self {
        Section::new(String::new(), tree, report)
    }

    fn new(path: String, entries: Map<String, Value>, report: &'a Report) -> Self {
        Section {
            path,
            entries: entries.into_iter().collect(),
            known: Vec::new(),
            written: Vec::new(),
            texts: BTreeMap::new(),
            report,
        }
    }

    /// Its dotted path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The value of a key, if it is there and right. What is wrong with it has been reported.
    pub(super) fn take<T>(&mut self, key: &'static str, read: impl FnOnce(&Value) -> Taken<T>) -> Option<T> {
        let value = self.remove(key)?;
        self.read(key, &value, read)
    }

    /// The value of a key, or its default.
    pub(super) fn take_or<T>(&mut self, key: &'static str, read: impl FnOnce(&Value) -> Taken<T>, default: T) -> T {
        self.take(key, read).unwrap_or(default)
    }

    /// The value of a key that must be there.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Taken<T>,
        help: &str,
    ) -> Option<T> {
        let value = self.remove(key);
        if value.is_none() {
            self.report.error(self.problem(key, "is missing").lacks(self.path_of(key)).help(help));
        }
        self.read(key, &value?, read)
    }

    /// Whether a key that was taken was there, right or wrong.
    pub(super) fn was_written(&self, key: &str) -> bool {
        self.written.contains(&key)
    }

    /// The table of a key. One that is not there is empty.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let path = self.path_of(key);
        let entries = self.remove(key).and_then(|value| self.table(&path, value));
        Section::new(path, entries.unwrap_or_default(), self.report)
    }

    /// The tables with names of the operator's choice below a key, in the order of the names.
    pub(super) fn named_sections(&mut self, key: &'static str) -> Vec<(String, Section<'a>)> {
        let outer = self.section(key);
        let tables = outer.entries.into_iter().filter_map(|(name, value)| {
            let path = format!("{}.{name}", outer.path);
            if !is_name(&name) {
                let rule = "a letter from a to z, then letters, digits and single underscores between them";
                let help = match name_meant(&name) {
                    Some(meant) => format!("did you mean `{meant}`? A name is {rule}"),
                    None => format!("a name is {rule}"),
                };
                self.report.error(problem(&self.report.place_of(&path), &*path, "is not a valid name").help(help));
            }
            let entries = self.table(&path, value)?;
            Some((name, Section::new(path, entries, self.report)))
        });
        tables.collect()
    }

    /// The entries of a table with names of the operator's choice and values of one type.
    pub(super) fn entries<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str, &Value) -> Taken<T>,
    ) -> Vec<(String, T)> {
        let section = self.section(key);
        let entries = section.entries.iter();
        entries
            .filter_map(|(name, value)| Some((name.clone(), section.read(name, value, |v| read(name, v))?)))
            .collect()
    }

    /// Reports a key that has no business here, if it is there.
    pub(super) fn refuse(&mut self, key: &str, message: &str, help: &str) {
        if self.entries.remove(key).is_some() {
            self.report.error(self.problem(key, message).help(help));
        }
    }

    /// Reports what nobody asked for. `not_yet` are keys that a later version will have.
    pub(super) fn finish(self, not_yet: &[&str]) {
        for (key, value) in &self.entries {
            if not_yet.contains(&key.as_str()) {
                self.report.error(self.problem(key, "is not supported by this version"));
                continue;
            }
            let unknown = self.problem(key, "is not a known key");
            let place = self.report.origins.key(&self.path_of(key)).or(value.origin()).unwrap_or_default();
            let is_table = matches!(value.kind, ValueKind::Table(_));
            let elsewhere = if is_table { Vec::new() } else { keys::tables_with(key) };
            let help = match closest(key, self.known.iter().copied()) {
                _ if !elsewhere.is_empty() => {
                    if self.path.is_empty() {
                        self.report.note_above(key);
                    }
                    misplaced(key, &elsewhere, place)
                }
                Some(meant) => {
                    self.report.note_meant(self.path_of(meant));
                    format!("did you mean {}?", self.as_written(meant, place))
                }
                None => format!("the keys here are {}", self.known.join(", ")),
            };
            self.report.error(unknown.help(help));
        }
    }

    /// The text of a key that was taken, where a problem is about what it names.
    pub(super) fn said(&self, key: &str) -> Option<String> {
        self.texts.get(key).cloned()
    }

    /// A problem with the table as a whole.
    pub(super) fn problem_of_all(&self, message: impl Into<String>) -> Problem {
        problem(&self.place(), self.path.clone(), message)
    }

    /// Whether there are keys that have not been taken.
    pub(super) fn has_more(&self) -> bool {
        !self.entries.is_empty()
    }

    /// A problem with a key, at its place or, if it is missing, that of the table.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        let path = self.path_of(key);
        let place = match self.report.origins.key(&path) {
            Some(place) => place.to_owned(),
            None => self.place(),
        };
        problem(&place, path, message)
    }

    /// Where the table was written.
    pub(super) fn place(&self) -> String {
        self.report.place_of(&self.path)
    }

    fn remove(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        let value = self.entries.remove(key)?;
        self.written.push(key);
        if let Some(text) = as_text(&value) {
            self.texts.insert(key, text.to_owned());
        }
        Some(value)
    }

    fn read<T>(&self, key: &str, value: &Value, read: impl FnOnce(&Value) -> Taken<T>) -> Option<T> {
        let wrongs = match read(value) {
            Ok(taken) => return Some(taken),
            Err(wrongs) => wrongs,
        };
        let path = self.path_of(key);
        for wrong in wrongs {
            let inner = wrong.key.map(|key| format!("{path}.{key}"));
            let inner_place = inner.as_deref().and_then(|inner| self.report.origins.key(inner));
            // A table lost its origin when it was merged; its key did not.
            let key_place = self.report.origins.key(&path);
            let place = wrong.place.as_deref().or(inner_place).or(value.origin()).or(key_place).unwrap_or_default();
            let mut message = wrong.message;
            // There is no line to show, so the value is shown.
            if is_outside_files(place)
                && let ValueKind::String(text) = &value.kind
            {
                message = format!("{message}, not \"{}\"", without_secrets(text));
            }
            let mut problem = problem(place, inner.as_deref().unwrap_or(&path), message);
            problem.help = wrong.help.or_else(|| keys::help(&path));
            self.report.error(problem);
        }
        None
    }

    fn table(&self, path: &str, value: Value) -> Option<Map<String, Value>> {
        match value.kind {
            ValueKind::Table(entries) => Some(entries),
            _ => {
                let place = value.origin().unwrap_or_default();
                let help = match place.strip_prefix(environment::PLACE) {
                    Some(variable) => format!("the variable of one of its keys is called {variable}__…"),
                    None if NAMED.contains(&path) => format!("write [{path}.NAME] above the keys of each"),
                    None => format!("write [{path}] above its keys"),
                };
                self.report.error(problem(place, path, "must be a table").help(help));
                None
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A key of this table in the form that its place calls for.
    fn as_written(&self, key: &str, place: &str) -> String {
        let Some(variable) = place.strip_prefix(environment::PLACE) else { return format!("`{key}`") };
        let depth = self.path.split('.').filter(|name| !name.is_empty()).count() + 1;
        let key = key.to_ascii_uppercase();
        let names = variable.split("__").enumerate().map(|(at, name)| if at == depth { &*key } else { name });
        names.collect::<Vec<&str>>().join("__")
    }
}

/// Tables of tables with names of their own, which are easily taken for lists.
const NAMED: [&str; 3] = ["routes", "limits", "upstreams"];

/// What to do with a key that is known in these tables, but not where it was written.
fn misplaced(key: &str, tables: &[String], place: &str) -> String {
    if place.starts_with(environment::PLACE) {
        let variable =
            |table: &String| format!("SLUICEGATE__{}__{}", table.replace('.', "__"), key).to_ascii_uppercase();
        let variables: Vec<_> = tables.iter().map(variable).collect();
        return format!("it stands below a table: {}", variables.join(", "));
    }
    let headers: Vec<_> = tables.iter().map(|table| format!("[{table}]")).collect();
    format!(
        "`{key}` is a key of {}: write it below {}",
        headers.join(", "),
        match headers.len() {
            1 => "that header",
            _ => "one of these headers",
        }
    )
}

/// What was probably meant by a word that is not known.
pub(super) fn closest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let similarity = |known: &str| strsim::jaro_winkler(&word.to_ascii_lowercase(), &known.to_ascii_lowercase());
    // Below four fifths, suggestions were more often odd than right.
    known
        .into_iter()
        .map(|known| (similarity(known), known))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

/// `[a-z][a-z0-9_]*` without two underscores in a row or one at the end, so that a variable can name it.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.contains("__")
        && !name.ends_with('_')
}

/// The name that is nearest to one that is none, if there is anything left of it.
fn name_meant(name: &str) -> Option<String> {
    let words = name.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let meant = words.collect::<Vec<_>>().join("_").to_ascii_lowercase();
    Some(meant).filter(|meant| is_name(meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_variables() {
        for name in ["a", "api", "api_v2", "a1_b2"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "_a", "a_", "a__b", "A", "a-b", "a.b", "ä"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_none_has_one_that_is_near() {
        for (name, meant) in [("my-api", Some("my_api")), ("API", Some("api")), ("b_", Some("b")), ("a.b", Some("a_b"))]
        {
            assert_eq!(name_meant(name).as_deref(), meant, "{name}");
        }
        for name in ["", "1a", "-", "ä"] {
            assert_eq!(name_meant(name), None, "{name}");
        }
    }

    #[test]
    fn the_closest_word_is_suggested_if_it_is_close() {
        let known = ["queue", "queue_timeout", "queue_bytes", "limit"];
        assert_eq!(closest("limt", known), Some("limit"));
        assert_eq!(closest("queue_timout", known), Some("queue_timeout"));
        assert_eq!(closest("LIMIT", known), Some("limit"));
        assert_eq!(closest("wait", known), None);
    }
}
