//! Layers of values, and how they become one tree.

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

/// One source of values, as a tree of tables.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(pub Map<String, Value>);

/// All layers put their tree under this name. The library takes the names at the top of a source for path expressions
/// (`a.b`, `a[0]`), but not those below.
const ROOT: &str = "root";

impl Layer {
    /// Puts a value at a path, which is not empty.
    pub(super) fn set(&mut self, path: &[&str], value: Value) {
        let (last, tables) = path.split_last().expect("a path has at least one name");
        let mut table = &mut self.0;
        for name in tables {
            let entry = table.entry((*name).to_owned()).or_default();
            if !matches!(entry.kind, ValueKind::Table(_)) {
                entry.kind = ValueKind::Table(Map::new());
            }
            let ValueKind::Table(inner) = &mut entry.kind else { unreachable!("it was made a table above") };
            table = inner;
        }
        table.insert((*last).to_owned(), value);
    }

    /// The names in one of the tables at the top.
    pub(super) fn names(&self, table: &str) -> impl Iterator<Item = &str> {
        let inner = match self.0.get(table).map(|value| &value.kind) {
            Some(ValueKind::Table(inner)) => Some(inner),
            _ => None,
        };
        inner.into_iter().flat_map(|inner| inner.keys().map(String::as_str))
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(Map::from([(ROOT.to_owned(), Value::new(None, self.0.clone()))]))
    }
}

/// Merges layers table by table, later ones over earlier ones.
pub(super) fn merge(layers: Vec<Layer>) -> Map<String, Value> {
    let builder = layers.into_iter().fold(Config::builder(), |builder, layer| builder.add_source(layer));
    let merged = builder.build().expect("a layer that is in memory can be collected");
    match merged.cache.kind {
        ValueKind::Table(mut tree) => match tree.remove(ROOT).map(|value| value.kind) {
            Some(ValueKind::Table(tree)) => tree,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(values: &[(&[&str], &str)]) -> Layer {
        let mut layer = Layer::default();
        for (path, value) in values {
            layer.set(path, Value::new(Some(&format!("{value}'s place")), *value));
        }
        layer
    }

    fn text_at<'a>(tree: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
        let (first, rest) = path.split_first()?;
        match (&tree.get(*first)?.kind, rest) {
            (_, []) => tree.get(*first),
            (ValueKind::Table(inner), rest) => text_at(inner, rest),
            _ => None,
        }
    }

    #[test]
    fn later_layers_win_key_by_key_and_keep_their_places() {
        let weak = layer(&[(&["a", "x"], "one"), (&["a", "y"], "two")]);
        let strong = layer(&[(&["a", "x"], "three"), (&["b"], "four")]);
        let tree = merge(vec![weak, strong]);
        let origin = |path: &[&str]| text_at(&tree, path).and_then(Value::origin).map(str::to_owned);
        assert_eq!(origin(&["a", "x"]).as_deref(), Some("three's place"));
        assert_eq!(origin(&["a", "y"]).as_deref(), Some("two's place"));
        assert_eq!(origin(&["b"]).as_deref(), Some("four's place"));
    }

    #[test]
    fn names_at_the_top_are_no_path_expressions() {
        let tree = merge(vec![layer(&[(&["a.b"], "one"), (&["c[3]"], "two")])]);
        let mut names: Vec<&String> = tree.keys().collect();
        names.sort();
        assert_eq!(names, ["a.b", "c[3]"]);
    }

    #[test]
    fn nothing_merges_to_nothing() {
        assert!(merge(Vec::new()).is_empty());
        assert!(merge(vec![Layer::default()]).is_empty());
    }
}
