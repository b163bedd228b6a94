//! What is written about the keys is what their readers do.

use super::super::keys::{Default as Said, Key, Kind, TABLES, Table};
use super::*;

/// A configuration in which every key has a meaning.
fn everything(more: &str, table: &str) -> Given {
    let mut text = String::new();
    for (header, keys) in [
        ("server", ""),
        ("admin", ""),
        ("log", ""),
        ("tracing", ""),
        ("response_headers", ""),
        ("upstreams.api", ""),
        ("limits.shared", "limit = 16777215\nkey = \"path:id\"\n"),
        ("defaults", ""),
        ("routes.one", "path = \"/{id}\"\n"),
    ] {
        let mut keys = keys.to_owned();
        let here = header.split('.').next() == Some(table);
        // What a test is about may be what is there already.
        let more = if here { more } else { "" };
        let new = more.split(" = ").next().unwrap_or_default();
        if header == "tracing" && !HAS_TRACING {
            continue;
        }
        keys =
            keys.lines().filter(|line| line.split(" = ").next() != Some(new)).map(|line| format!("{line}\n")).collect();
        let url = match new {
            "tls" => "\"https://127.0.0.1:3000\"",
            "health" => "\"h2c://127.0.0.1:3000\"",
            _ => "\"http://127.0.0.1:3000\"",
        };
        for (of, key, value) in [
            ("upstreams.api", "url", url),
            ("upstreams.api", "slots", "4"),
            ("tracing", "endpoint", "\"http://127.0.0.1:4318\""),
            ("routes.one", "limit", "16777215"),
            ("routes.one", "limits", "[\"shared\"]"),
            ("routes.one", "key", "\"path:id\""),
        ] {
            if of == header && key != new {
                keys += &format!("{key} = {value}\n");
            }
        }
        text += &format!("[{header}]\n{keys}{more}\n");
    }
    Given::default().file(&text)
}

/// Whether this build takes the keys of `[tracing]`.
const HAS_TRACING: bool = cfg!(feature = "otel");

/// The tables that this build takes.
fn tables() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(|table| HAS_TRACING || table.name != "tracing")
}

/// What is wrong with `key = value` in a table, and nothing else.
fn mistakes(table: &Table, key: &Key, value: &str) -> Vec<String> {
    let given = everything(&format!("{} = {value}", key.name), table.name);
    let Err(Error(problems)) = given.load() else { return Vec::new() };
    let is_about_it = |problem: &&Problem| {
        let names: Vec<&str> = problem.key.split('.').collect();
        names[0] == table.name && names.get(if table.named { 2 } else { 1 }) == Some(&key.name)
    };
    problems.iter().filter(is_about_it).map(|problem| format!("{} {}", problem.key, problem.message)).collect()
}

/// Values that a kind allows, and values that it does not.
fn samples(kind: &Kind) -> (Vec<String>, Vec<String>) {
    let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<String>>();
    match kind {
        Kind::Boolean => (owned(&["true", "false"]), owned(&["\"true\"", "1", "[]"])),
        Kind::Integer(least, most) => {
            let below = i64::from(*least) - 1;
            let refused = vec![below.to_string(), (u64::from(*most) + 1).to_string(), "1.5".into(), "[[]]".into()];
            (vec![least.to_string(), most.to_string()], refused)
        }
        Kind::Duration { zero: true } => (owned(&["\"0s\"", "\"1s\""]), owned(&["\"1\"", "1", "\"9000h\""])),
        Kind::Duration { zero: false } => (owned(&["\"1s\"", "\"1h\""]), owned(&["\"0s\"", "\"1\"", "1", "\"9000h\""])),
        Kind::Size(least) => {
            let refused = least.checked_sub(1).map_or("-1".to_owned(), |below| below.to_string());
            (vec![least.to_string(), "\"64KiB\"".into()], vec![refused, "\"64KB\"".into()])
        }
        Kind::Share => (owned(&["0", "0.25", "1"]), owned(&["-0.1", "1.5", "\"x\"", "[]"])),
        Kind::Words(words) => {
            (words.iter().map(|word| format!("\"{word}\"")).collect(), owned(&["\"no word of ours\"", "[[]]"]))
        }
        Kind::Text(examples) => (owned(examples), owned(&["\"\"", "{ x = 1 }"])),
        Kind::Secret => (owned(&["\"secret\""]), owned(&["1", "\"\""])),
        Kind::File => (Vec::new(), owned(&["1", "\"/nowhere/x\""])),
        Kind::NameOf(table) => {
            (vec![format!("\"{}\"", if *table == "limits" { "shared" } else { "api" })], owned(&["1"]))
        }
        Kind::List(item) => {
            let (mut allowed, refused) = samples(item);
            let list = allowed.first().map(|first| format!("[{first}]"));
            allowed.extend(list);
            (allowed, refused.into_iter().chain(["[1.5]".to_owned()]).collect())
        }
        Kind::Either(kinds) => {
            let all: Vec<_> = kinds.iter().map(samples).collect();
            let allowed = all.iter().flat_map(|(allowed, _)| allowed.clone()).collect();
            // What is none of one may be another.
            (allowed, owned(&["[[]]", "1.5"]))
        }
        Kind::Table(keys) => {
            // What is required beside it must be there.
            let beside = |key: &Key| {
                let others =
                    keys.iter().filter(|other| matches!(other.default, Said::Required) && other.name != key.name);
                let of = |other: &Key| match samples(&other.kind).0 {
                    // Whatever the others are, they are not above it.
                    allowed if other.name == "max" => allowed.last().cloned(),
                    allowed => allowed.first().cloned(),
                };
                others.map(|other| format!(", {} = {}", other.name, of(other).unwrap())).collect::<String>()
            };
            let inner = |key: &Key, value: &String| format!("{{ {} = {value}{} }}", key.name, beside(key));
            let each = keys.iter().map(|key| (key, samples(&key.kind)));
            let (allowed, refused): (Vec<_>, Vec<_>) = each
                .map(|(key, (allowed, refused))| {
                    let wrap = |values: Vec<String>| values.iter().map(|value| inner(key, value)).collect::<Vec<_>>();
                    (wrap(allowed), wrap(refused))
                })
                .unzip();
            let refused = refused.concat().into_iter().chain(["{ no_key_of_ours = 1 }".to_owned()]);
            (allowed.concat(), refused.collect())
        }
        Kind::Map([name, _], kind) => {
            let (allowed, refused) = samples(kind);
            let wrap = |values: Vec<String>| values.iter().map(|value| format!("{{ \"{name}\" = {value} }}")).collect();
            // A header may be empty.
            (wrap(allowed), wrap(refused.into_iter().filter(|value| value != "\"\"").collect()))
        }
    }
}

#[test]
fn the_readers_take_the_keys_of_the_tables_and_no_others() {
    for table in tables() {
        let given = everything("qqqqqq = 1", table.name);
        let problems = given.problems();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        let read = problem.split("the keys here are ").nth(1).unwrap_or_else(|| panic!("{problem}"));
        let mut read: Vec<&str> = read.trim_end_matches(')').split(", ").collect();
        let mut said: Vec<&str> = table.keys().map(|key| key.name).collect();
        read.sort_unstable();
        said.sort_unstable();
        assert_eq!(read, said, "the reader of [{}] on the left, src/config/keys on the right", table.header());
    }
}

#[test]
fn the_readers_take_what_the_kinds_allow_and_nothing_else() {
    let mut wrong = Vec::new();
    for table in tables() {
        for key in table.keys() {
            let (allowed, refused) = samples(&key.kind);
            for value in allowed {
                let mistakes = mistakes(table, key, &value);
                if !mistakes.is_empty() {
                    wrong.push(format!("[{}] {} = {value} is refused: {mistakes:?}", table.header(), key.name));
                }
            }
            for value in refused {
                if mistakes(table, key, &value).is_empty() {
                    wrong.push(format!("[{}] {} = {value} is taken", table.header(), key.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_not_written_is_what_the_tables_say() {
    let settings = |given: &Given| format!("{:#?}", given.settings());
    for table in tables() {
        let plain = settings(&everything("", ""));
        for key in table.keys() {
            let Said::Is(value) = key.default else { continue };
            let written = settings(&everything(&format!("{} = {value}", key.name), table.name));
            // A level that is not written is none, which means the same.
            if (table.name, key.name) != ("log", "level") {
                assert_eq!(plain, written, "[{}] {} = {value}", table.header(), key.name);
            }
        }
    }
}

#[test]
fn what_is_required_is_missed_and_nothing_else() {
    for table in &TABLES {
        let required: Vec<&str> =
            table.keys().filter(|key| matches!(key.default, Said::Required)).map(|key| key.name).collect();
        let expected: &[&str] = match table.name {
            "limits" => &["limit"],
            _ => &[],
        };
        assert_eq!(required, expected, "[{}]", table.header());
    }
    let problems = Given::default().file("[upstreams.a]\n[limits.b]\n[routes.c]\nlimits = \"b\"\n").problems();
    let missing: Vec<_> = problems.iter().filter(|problem| problem.contains("is missing")).collect();
    assert_eq!(missing.len(), 2, "{problems:?}");
}

#[test]
fn the_reference_page_is_made_of_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == page(), "docs/configuration.md is not up to date: UPDATE_EXPECTED=1 cargo test reference");
}

#[test]
fn the_schema_says_what_the_tables_say() {
    let schema = schema();
    for table in &TABLES {
        let schema = &schema["properties"][table.name];
        let schema = if table.named { &schema["additionalProperties"] } else { schema };
        assert_eq!(schema["additionalProperties"], false);
        for key in table.keys() {
            let schema = &schema["properties"][key.name];
            assert_eq!(schema["description"], key.about, "{}.{}", table.name, key.name);
            let (allowed, refused) = samples(&key.kind);
            for value in allowed {
                assert!(is_valid(schema, &json(&value)), "{}.{} = {value} {schema:#}", table.name, key.name);
            }
            for value in refused {
                // What is in a text, a schema does not know.
                let is_text = !value.starts_with('[') && value.contains('"');
                let is_valid = is_valid(schema, &json(&value));
                assert!(is_text || !is_valid, "{}.{} = {value} {schema:#}", table.name, key.name);
            }
        }
    }
}

#[test]
fn the_schema_takes_the_files_that_come_with_the_program() {
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let value: serde_json::Value = toml::from_str(&text).unwrap();
        assert!(is_valid(&schema(), &value), "{}", path.display());
    }
    let wrong: serde_json::Value = toml::from_str("[server]\nthreds = 1").unwrap();
    assert!(!is_valid(&schema(), &wrong));
}

#[test]
fn what_is_shown_means_the_same_when_it_is_read_again() {
    for path in examples() {
        let sources = Sources { files: vec![path.clone()], ..Sources::default() };
        let shown = load_with_default_file(&sources, Path::new("/nowhere")).unwrap().show(true);
        let again = Given::default().file(&shown);
        let before = format!("{:#?}", load(&sources).unwrap().settings);
        // What is written as the default of a level is as good as nothing.
        let after =
            format!("{:#?}", again.settings()).replace("log_level: Some(\n        \"info\",\n    )", "log_level: None");
        let before = before.replace("log_level: Some(\n        \"info\",\n    )", "log_level: None");
        assert_eq!(before, after, "{}\n{shown}", path.display());
    }
}

#[test]
fn a_list_is_shown_as_one_wherever_there_may_be_something_else() {
    let two = "\"https://a.example\", \"https://b.example\"";
    for given in [
        Given::minimal().file(&format!("[response_headers]\ncors = [{two}]\n")),
        Given::minimal().variable("SLUICEGATE__RESPONSE_HEADERS__CORS", "https://a.example,https://b.example"),
    ] {
        let shown = given.loaded().show(false);
        assert!(shown.contains(&format!("cors = [{two}]\n")), "{shown}");
    }
    let any = Given::minimal().variable("SLUICEGATE__RESPONSE_HEADERS__CORS", "*").loaded().show(false);
    assert!(any.contains("cors = \"*\"\n"), "{any}");
}

#[test]
fn each_value_is_shown_with_its_origin_and_secrets_not_at_all() {
    let given = Given::default()
        .file("[upstreams.a]\nurl = \"http://a\"\n[defaults]\nqueue = 7\n[routes.a]\nmethod = [\"GET\"]\n")
        .variable("SLUICEGATE__ROUTES__A__LIMIT", "5")
        .variable("SLUICEGATE__SERVER__LISTEN", "127.0.0.1:1, 127.0.0.1:2")
        .variable("SLUICEGATE__ADMIN__TOKEN", "very-secret")
        .flag_admin("off");
    let shown = given.loaded().show(true);
    let file = given.written[0].display().to_string();
    let shown = shown.replace(&file, "a.toml");
    for line in [
        "listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]  # environment variable SLUICEGATE__SERVER__LISTEN",
        "threads = \"auto\"  # built-in",
        "listen = \"off\"  # flag --admin",
        "token = \"***\"  # environment variable SLUICEGATE__ADMIN__TOKEN",
        "url = \"http://a\"  # a.toml:2:1",
        "limit = 5  # environment variable SLUICEGATE__ROUTES__A__LIMIT",
        "queue = 7  # a.toml:4:1",
        "method = [\"GET\"]  # a.toml:6:1",
        "upstream = \"a\"  # built-in",
        "queue_timeout = \"10s\"  # built-in",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
    }
    assert!(!shown.contains("very-secret") && !shown.contains("per_key"), "{shown}");
    let plain = given.loaded().show(false);
    assert!(plain.contains("limit = 5\nqueue = 7\n"), "{plain}");
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 5);
    files
}

fn json(toml: &str) -> serde_json::Value {
    toml::from_str::<serde_json::Value>(&format!("value = {toml}")).unwrap()["value"].clone()
}

/// As much of JSON schema as ours makes use of.
fn is_valid(schema: &serde_json::Value, value: &serde_json::Value) -> bool {
    let Some(rules) = schema.as_object() else { return schema.as_bool().expect("a schema") };
    let object = value.as_object();
    rules.iter().all(|(rule, said)| match rule.as_str() {
        "type" => match said.as_str().unwrap() {
            "object" => object.is_some(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            other => panic!("{other}"),
        },
        "enum" => said.as_array().unwrap().contains(value),
        "anyOf" => said.as_array().unwrap().iter().any(|schema| is_valid(schema, value)),
        "not" => said.get("pattern").is_some() || !is_valid(said, value),
        "minimum" => value.as_f64().is_none_or(|value| value >= said.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|value| value <= said.as_f64().unwrap()),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(said, item))),
        "properties" => object.is_none_or(|object| {
            let known = said.as_object().unwrap();
            object.iter().all(|(name, value)| known.get(name).is_none_or(|schema| is_valid(schema, value)))
        }),
        "additionalProperties" => object.is_none_or(|object| {
            let known = rules.get("properties").and_then(|known| known.as_object());
            let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
            object.iter().filter(|(name, _)| !is_known(name)).all(|(_, value)| is_valid(said, value))
        }),
        // Texts are for their readers; what a text may look like is tried there.
        "pattern" | "propertyNames" => true,
        "$schema" | "title" | "description" | "default" | "examples" => true,
        other => panic!("{other} is not known here"),
    })
}
