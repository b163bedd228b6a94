//! A TOML file becomes a layer whose values know their lines.

use std::path::Path;

use config::{Map, Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::layer::Layer;
use super::not_toml::{Mistake, line_start, without_tokens};
use super::report::{Report, problem};

/// Reads a file. If it cannot be read, or is not TOML, that is reported and there is no layer.
pub(super) fn read(path: &Path, report: &mut Report) -> Option<Layer> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(name, text, report),
        Err(error) => {
            let problem = problem(&name, "", format!("the configuration file cannot be read: {error}"));
            report.error(problem.help("is that the right path, and may this user read it?"));
            None
        }
    }
}

fn parse(name: String, text: String, report: &mut Report) -> Option<Layer> {
    let file = report.origins.add_file(name, text.clone());
    let (document, errors) = DeTable::parse_recoverable(&text);
    let table = Walk { file, report }.table(document.get_ref(), "");
    let mut errors: Vec<_> = errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    let is_toml = errors.is_empty();
    // One mistake leads to another in the same line.
    errors.sort_by_key(|(span, _)| span.start);
    errors.dedup_by_key(|(span, _)| line_start(&text, span.start));
    let text = if is_toml { String::new() } else { without_tokens(&text) };
    for (span, message) in errors {
        let mistake = Mistake { text: &text, at: span.start, message };
        let problem = mistake.problem(&report.origins.place(file, span));
        let first = mistake.first().map(|first| report.origins.place(file, first));
        report.error(first.into_iter().fold(problem, |problem, first| problem.also(&first)));
    }
    is_toml.then_some(Layer(table))
}

struct Walk<'a> {
    file: usize,
    report: &'a mut Report,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Map<String, Value> {
        let mut map = Map::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let place = self.report.origins.place(self.file, key.span());
            self.report.origins.note_key(path.clone(), &place, value.get_ref().is_table());
            let kind = self.kind(value.get_ref(), &path);
            let origin = self.report.origins.place(self.file, value.span());
            map.insert(name.to_owned(), Value::new(Some(&origin), kind));
        }
        map
    }

    fn kind(&mut self, value: &DeValue<'_>, path: &str) -> ValueKind {
        match value {
            DeValue::String(text) => ValueKind::String(text.clone().into_owned()),
            DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(integer) => ValueKind::I128(integer),
                // Beyond what any key takes; its reader says what it does take.
                Err(_) => ValueKind::Nil,
            },
            DeValue::Float(float) => float.as_str().parse().map_or(ValueKind::Nil, ValueKind::Float),
            DeValue::Boolean(boolean) => ValueKind::Boolean(*boolean),
            // No key takes one, and as a text it might pass for a name.
            DeValue::Datetime(_) => ValueKind::Nil,
            DeValue::Array(array) => {
                let mut values = Vec::with_capacity(array.len());
                for value in array.iter() {
                    let kind = self.kind(value.get_ref(), path);
                    let origin = self.report.origins.place(self.file, value.span());
                    values.push(Value::new(Some(&origin), kind));
                }
                ValueKind::Array(values)
            }
            DeValue::Table(table) => ValueKind::Table(self.table(table, path)),
        }
    }
}
