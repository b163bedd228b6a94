//! All that was written, kept for those who show it later.

use std::collections::HashMap;
use std::fmt;

use config::{Map, Value, ValueKind};

use super::keys::TABLES;

/// The merged tree of a configuration, and where each key of it was written. It holds secrets, and shows none.
#[derive(Clone, Default)]
pub struct Written {
    pub(super) tree: Map<String, Value>,
    /// Dotted path of a key to its place.
    pub(super) places: HashMap<String, String>,
    /// Where a dry run of all limits was asked for.
    pub(super) dry_run: Option<String>,
}

impl Written {
    /// Has a key say what it said `before`: what a reload does not change is not in force.
    pub fn keep(&mut self, table: &str, key: &str, before: &Written) {
        let path = format!("{table}.{key}");
        match before.value(table, key) {
            Some(value) => {
                let entry =
                    self.tree.entry(table.to_owned()).or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
                if let ValueKind::Table(table) = &mut entry.kind {
                    table.insert(key.to_owned(), value.clone());
                }
            }
            None => {
                if let Some(ValueKind::Table(table)) = self.tree.get_mut(table).map(|table| &mut table.kind) {
                    table.remove(key);
                }
            }
        }
        match before.places.get(&path) {
            Some(place) => self.places.insert(path, place.clone()),
            None => self.places.remove(&path),
        };
    }

    /// The keys of tables without names below them that another configuration says otherwise.
    pub fn changed(&self, next: &Written) -> Vec<String> {
        let tables = TABLES.iter().filter(|table| !table.named && table.name != "defaults");
        let keys = tables.flat_map(|table| table.keys().map(move |key| (table.name, key.name)));
        // A value is compared with its place, of which its text is free.
        let text = |value: Option<&Value>| value.map(ToString::to_string);
        let differs = |(table, key): &(&str, &str)| text(self.value(table, key)) != text(next.value(table, key));
        keys.filter(differs).map(|(table, key)| format!("{table}.{key}")).collect()
    }

    fn value(&self, table: &str, key: &str) -> Option<&Value> {
        match &self.tree.get(table)?.kind {
            ValueKind::Table(table) => table.get(key),
            _ => None,
        }
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written(..)")
    }
}
