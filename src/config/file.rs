//! A TOML file becomes a layer whose values know their lines.

use std::path::Path;

use config::{Map, Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::layer::Layer;
use super::report::{Report, problem};

/// Reads a file. If it cannot be read, or is not TOML, that is reported and there is no layer.
pub(super) fn read(path: &Path, report: &mut Report) -> Option<Layer> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(name, text, report),
        Err(error) => {
            report.error(problem(&name, "", format!("the configuration file cannot be read: {error}")));
            None
        }
    }
}

fn parse(name: String, text: String, report: &mut Report) -> Option<Layer> {
    let file = report.origins.add_file(name, text.clone());
    let (document, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        let place = report.origins.place(file, error.span().unwrap_or(0..0));
        report.error(problem(&place, "", format!("this is not TOML: {}", error.message())));
    }
    let mut walk = Walk { file, report };
    let table = walk.table(document.get_ref(), "");
    errors.is_empty().then_some(Layer(table))
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
