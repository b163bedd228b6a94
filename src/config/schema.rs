//! The JSON schema of the configuration, for editors and for those who write it by program.

use serde_json::{Map, Value, json};

use super::keys::{Default, Key, Kind, TABLES};

/// The schema of a configuration file.
pub fn schema() -> Value {
    let tables = TABLES.iter().map(|table| {
        let mut schema = keys(table.keys());
        if table.named {
            schema = json!({
                "type": "object",
                "propertyNames": { "pattern": NAME },
                "additionalProperties": schema,
            });
        }
        schema["description"] = table.about.into();
        (table.name.to_owned(), schema)
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sluicegate",
        "type": "object",
        "properties": tables.collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

/// What a name of the operator's choice looks like.
const NAME: &str = "^[a-z][a-z0-9]*(_[a-z0-9]+)*$";

/// A table with these keys and no others. What is required may be in another file, so the schema requires nothing.
fn keys<'a>(keys: impl Iterator<Item = &'a Key>) -> Value {
    let properties = keys.map(|key| {
        let mut schema = kind(&key.kind);
        schema["description"] = key.about.into();
        if let Default::Is(default) = key.default {
            schema["default"] = value(default);
        }
        (key.name.to_owned(), schema)
    });
    json!({ "type": "object", "properties": properties.collect::<Map<_, _>>(), "additionalProperties": false })
}

fn kind(of: &Kind) -> Value {
    match of {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Duration { zero } => {
            let mut schema = json!({ "type": "string", "pattern": "^(?=.)([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$" });
            if !zero {
                schema["not"] = json!({ "pattern": "^(0+(h|m|s|ms))+$" });
            }
            schema
        }
        Kind::Size(least) => json!({ "anyOf": [
            { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" },
            { "type": "integer", "minimum": least },
        ] }),
        Kind::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Words(words) => json!({ "enum": words }),
        Kind::Text(examples) => {
            json!({ "type": "string", "examples": examples.iter().copied().map(value).collect::<Vec<_>>() })
        }
        Kind::Secret | Kind::File | Kind::NameOf(_) => json!({ "type": "string" }),
        Kind::List(item) => {
            let item = kind(item);
            json!({ "anyOf": [item, { "type": "array", "items": item }] })
        }
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(kind).collect::<Vec<_>>() }),
        Kind::Table(table) => keys(table.iter()),
        Kind::Map(_, item) => json!({ "type": "object", "additionalProperties": kind(item) }),
    }
}

/// A value of TOML in JSON.
fn value(toml: &str) -> Value {
    let document = toml::from_str::<Map<String, Value>>(&format!("value = {toml}"));
    document.expect("what the tables say is TOML")["value"].clone()
}
