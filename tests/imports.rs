//! The import table: a request moves one way, and nothing calls back up.
//!
//! Reads the sources as text, without their tests. It sees `crate::name` and `crate::{…}` wherever they stand, and names
//! of dependencies followed by `::` in the folders that must stay pure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What each module may import of ours. `telemetry` may be used anywhere but in the pure folders.
const TABLE: &[(&str, &[&str])] = &[
    ("limit", &[]),
    ("queue", &[]),
    ("route", &["telemetry"]),
    ("socket", &[]),
    ("files", &[]),
    ("tls", &["files", "socket"]),
    ("timer", &[]),
    ("moment", &[]),
    ("duration", &[]),
    ("digits", &[]),
    ("eights", &[]),
    ("histogram", &[]),
    ("telemetry", &["digits"]),
    ("admission", &["queue", "limit", "histogram", "telemetry"]),
    ("upstream", &["socket", "tls", "files", "timer", "moment", "digits", "telemetry"]),
    (
        "proxy",
        &[
            "route",
            "admission",
            "upstream",
            "access_log",
            "histogram",
            "tls",
            "timer",
            "moment",
            "digits",
            "eights",
            "telemetry",
        ],
    ),
    ("server", &["proxy", "access_log", "socket", "tls", "files", "timer", "moment", "eights", "telemetry"]),
    ("admin", &["admission", "proxy", "server", "files", "duration", "histogram"]),
    ("access_log", &["digits", "eights", "telemetry"]),
    ("traces", &["access_log", "upstream", "telemetry"]),
    (
        "config",
        &[
            "route",
            "admission",
            "upstream",
            "proxy",
            "server",
            "admin",
            "access_log",
            "traces",
            "tls",
            "duration",
            "telemetry",
        ],
    ),
];

/// These see everything.
const TOP: &[&str] = &["cli", "lib", "main"];

/// Which dependencies the pure folders may name. thiserror only writes what we would write by hand.
const PURE: &[(&str, &[&str])] = &[("limit", &[]), ("queue", &[]), ("route", &["http", "thiserror"])];

#[test]
fn nothing_imports_what_the_table_does_not_allow() {
    let mut wrong = Vec::new();
    for (file, module) in sources() {
        if TOP.contains(&module.as_str()) {
            continue;
        }
        let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: the module `{module}` is not in the table", file.display()));
            continue;
        };
        for used in crate_uses(&code(&file)) {
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: `{module}` may not use `crate::{used}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_pure_folders_name_no_dependency() {
    let dependencies = dependencies();
    assert!(dependencies.contains("tokio") && dependencies.contains("http_body"), "{dependencies:?}");
    let mut wrong = Vec::new();
    for (file, module) in sources() {
        let Some((_, allowed)) = PURE.iter().find(|(name, _)| *name == module) else { continue };
        let code = code(&file);
        for dependency in &dependencies {
            if !allowed.contains(&dependency.as_str()) && names(&code, dependency) {
                wrong.push(format!("{}: `{module}` may not use `{dependency}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn uses_are_found_where_they_stand() {
    let code = "use crate::{route::Table, admission::{Permit, Waiter}, upstream as up};\n\
                fn f() -> crate::proxy::Reply { crate::queue::new(::tokio::spawn) }";
    let found: Vec<_> = crate_uses(code).into_iter().collect();
    assert_eq!(found, ["admission", "proxy", "queue", "route", "upstream"]);
    assert!(names(code, "tokio") && !names(code, "oki") && !names(code, "http") && !names(code, "queue_x"));
}

/// Each source file with the module at the crate's root that it belongs to.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("the sources can be read") {
            let path = entry.expect("the sources can be read").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let first = path.strip_prefix(&root).expect("below the root").components().next();
                let first = first.expect("a name").as_os_str().to_string_lossy().into_owned();
                files.push((path, first.trim_end_matches(".rs").to_owned()));
            }
        }
    }
    files.retain(|(path, _)| !path.iter().any(|part| part == "tests" || part == "tests.rs"));
    files.sort();
    files
}

/// A file without its comments, up to its tests.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("the sources can be read");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// The names that follow `crate::`, those inside braces included.
fn crate_uses(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `::crate` does not exist, but `mycrate::` may.
        if code[..at].ends_with(is_word) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(outermost(list)),
            None => found.extend(first_word(rest)),
        }
    }
    found
}

/// The first words of a brace list's members, not those of lists inside it.
fn outermost(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut member = String::new();
    let mut found = Vec::new();
    for character in list.chars() {
        match character {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => found.extend(first_word(&std::mem::take(&mut member))),
            _ if depth == 0 => member.push(character),
            _ => {}
        }
    }
    found.extend(first_word(&member));
    found
}

/// A module's name; types and functions at the crate's root would begin otherwise or are none of ours.
fn first_word(text: &str) -> Option<String> {
    let word: String = text.trim_start().chars().take_while(|&c| is_word(c)).collect();
    (!word.is_empty()).then_some(word)
}

/// Whether `name::` stands in the code as a path of its own.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = &code[..at];
        !before.ends_with(is_word) && (!before.ends_with("::") || !before.trim_end_matches("::").ends_with(is_word))
    })
}

/// The dependencies as they are named in code.
fn dependencies() -> BTreeSet<String> {
    let manifest = include_str!("../Cargo.toml");
    let tables =
        manifest.split("\n[").filter(|table| table.split(']').next().is_some_and(|n| n.ends_with("dependencies")));
    let lines = tables.flat_map(|table| table.lines().skip(1));
    lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim().replace('-', "_")).collect()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
