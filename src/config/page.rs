//! The reference page of all keys.

use std::fmt::Write;

use super::keys::{Default, Key, Kind, TABLES};

/// The page, in Markdown.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for table in &TABLES {
        let _ = write!(page, "\n## `[{}]`\n\n{}\n\n", table.header(), table.about);
        page.push_str("| key | value | default | |\n| --- | --- | --- | --- |\n");
        for key in table.keys() {
            row(&mut page, "", key);
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Configuration reference

Every key, with what it takes and what holds without it. `sluicegate check` says what is wrong with a file, `sluicegate
config show --origins` what is in force and where it was written, `sluicegate config schema` is this page for editors,
and `sluicegate config init --template sidecar|llm|db|egress|tenants` writes a file to begin with.

Files are TOML; several (`-c` again and again, or `SLUICEGATE_CONFIG=a.toml,b.toml`) are merged key by key, later ones
winning. Without any, `/etc/sluicegate/sluicegate.toml` is read if it is there. Every key has a variable, too:
`SLUICEGATE__ROUTES__API__LIMIT=50`, with commas between the items of a list; variables win over files, and flags over
variables. NAME is of your choice: a letter from a to z, then letters, digits and single underscores.

Durations are written `250ms`, `10s`, `1m30s` or `1h`; sizes `512B`, `64KiB`, `1MiB` or `1GiB`, or as a number of bytes.
";

fn row(page: &mut String, prefix: &str, key: &Key) {
    let default = match key.default {
        Default::Required => "required".to_owned(),
        Default::Nothing => "none".to_owned(),
        Default::Is(value) => code(value),
        Default::Says(text) => escaped(text),
    };
    let name = format!("{prefix}{}", key.name);
    let _ = writeln!(page, "| `{name}` | {} | {default} | {} |", value(&key.kind), escaped(key.about));
    nested(page, &name, &key.kind);
}

/// The keys of tables inside a value, each in a row of its own.
fn nested(page: &mut String, name: &str, kind: &Kind) {
    match kind {
        Kind::Table(keys) => keys.iter().for_each(|key| row(page, &format!("{name}."), key)),
        Kind::Map(_, kind) => nested(page, &format!("{name}.VALUE"), kind),
        Kind::Either(kinds) => {
            let start = page.len();
            for kind in kinds.iter() {
                let mut rows = String::new();
                nested(&mut rows, name, kind);
                // What is the same in several of them is said once.
                for row in rows.lines().filter(|row| !row.is_empty()) {
                    if !page[start..].lines().any(|before| before == row) {
                        page.push_str(row);
                        page.push('\n');
                    }
                }
            }
        }
        Kind::List(kind) => nested(page, name, kind),
        _ => {}
    }
}

fn value(kind: &Kind) -> String {
    match kind {
        Kind::Boolean => "`true`, `false`".to_owned(),
        Kind::Integer(least, most) => format!("{least} to {most}"),
        Kind::Duration { zero: true } => "duration".to_owned(),
        Kind::Duration { zero: false } => "duration above zero".to_owned(),
        Kind::Size(0) => "size".to_owned(),
        Kind::Size(least) => format!("size from {}", super::units::show_size(*least)),
        Kind::Share => "0 to 1".to_owned(),
        Kind::Words(words) => words.iter().map(|word| code(&format!("\"{word}\""))).collect::<Vec<_>>().join(", "),
        Kind::Text(examples) => format!("text: {}", examples.iter().map(|it| code(it)).collect::<Vec<_>>().join(", ")),
        Kind::Secret => "secret text".to_owned(),
        Kind::File => "path of a file".to_owned(),
        Kind::NameOf(table) => format!("name of one of `[{table}.NAME]`"),
        Kind::List(item) => format!("{}; or a list", value(item)),
        Kind::Either(kinds) => kinds.iter().map(value).collect::<Vec<_>>().join(", or "),
        Kind::Table(keys) => {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            format!("table of {}", names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", "))
        }
        Kind::Map(names, item) => {
            let names: Vec<String> = names.iter().map(|name| code(name)).collect();
            format!("names such as {}, each with {}", names.join(" and "), value(item))
        }
    }
}

fn code(text: &str) -> String {
    format!("`{}`", escaped(text))
}

/// A bar ends a cell, even inside code.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
