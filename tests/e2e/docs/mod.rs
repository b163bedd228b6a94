//! What the documents say is so: every configuration in them is checked, and every command run, by the binary.
//!
//! A fenced block is one of
//! - `toml`: a configuration, which `check --strict` takes. One without upstreams or routes gets some. `<!-- after: FILE -->`
//!   before it says which file goes before it; `<!-- warns -->` that it is warned of; `<!-- feature: otel -->` that other builds
//!   refuse it.
//! - `sh`: commands; `console`: commands after `$ `, each with what it prints. `<!-- scene: … -->` before it says in
//!   front of what ([`scene`]); `<!-- exit: N -->` that its commands end so.
//! - `promql`: a query of metrics that there are, which promtool takes where it is installed.
//! - `json`, which is parsed, and `text`, which is neither a command nor a configuration.
//! - anything else only with `<!-- from: FILE -->`, in which it stands word for word, and which has tests of its own.

mod blocks;
mod commands;
mod scene;
mod shown;

use std::collections::BTreeSet;
use std::path::Path;

use blocks::{Block, pages};
use commands::run_block;
use scene::Scene;

use crate::support::admin::command;
use crate::support::tools::{has, output_of};

/// What only a step of CI can run: how the command begins or, without a blank at the end, all of it; where it runs, and as
/// what. Nothing is the command as it stands.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("cargo run --release --example ten_tasks", ".ci/run", "cargo run --release --locked --example ten_tasks"),
    ("cargo test", ".ci/run", "cargo test --locked"),
    (".ci/release", ".ci/run", ".ci/release --snapshot"),
    ("python3 benches/instructions.py ", ".ci/run", ""),
    ("docker build -t sluicegate .", "tests/image.sh", "docker build"),
    ("docker run ", "tests/image.sh", "docker run"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test]
async fn every_configuration_in_the_documents_is_right() {
    let mut count = 0;
    for block in all_blocks().into_iter().filter(|block| block.language == "toml") {
        let scratch = scene::Scratch::new(None);
        let file = scratch.write("block.toml", &completed(&block));
        let mut files = Vec::new();
        if let Some(after) = block.note("after") {
            files.extend(["-c".to_owned(), scratch.write("after.toml", &read(after))]);
        }
        files.extend(["-c".to_owned(), file]);
        let strict = if block.note("warns").is_some() { "--format=text" } else { "--strict" };
        let mut args = vec!["check", strict];
        args.extend(files.iter().map(String::as_str));
        let checked = command(&args, &[]).await;
        if block.note("feature") == Some("otel") && !cfg!(feature = "otel") {
            assert!(checked.stderr.contains("build with --features otel"), "{}: {}", block.place(), checked.stderr);
            continue;
        }
        assert_eq!(checked.code, Some(0), "{}:\n{}\n{}", block.place(), block.text, checked.stderr);
        assert_eq!(block.note("warns").is_some(), !checked.stderr.is_empty(), "{}: {}", block.place(), checked.stderr);
        count += 1;
    }
    assert!(count >= 5, "only {count} configurations were found");
}

#[tokio::test]
async fn every_command_in_the_documents_does_what_they_show() {
    let (mut count, mut wrong) = (0, Vec::new());
    let mut above = None;
    for block in all_blocks() {
        match block.language.as_str() {
            "toml" => above = Some(completed(&block)),
            "sh" | "console" => {
                wrong.extend(run_block(&block, above.as_deref()).await);
                count += 1;
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count >= 5, "only {count} blocks of commands were found");
}

#[tokio::test]
async fn every_query_in_the_documents_asks_for_metrics_that_there_are() {
    let scene = Scene::set("; serve 1 /orders", None).await;
    let exported = scene.gate.ask_admin("GET /metrics", "").await.body.text();
    for block in all_blocks().into_iter().filter(|block| block.language == "promql") {
        let names = block.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<_> = names.filter(|name| name.starts_with("sluicegate_")).collect();
        assert!(!names.is_empty(), "{}: a query of nothing of ours", block.place());
        for name in names {
            let known =
                exported.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
            assert!(known, "{}: there is no {name}", block.place());
        }
        if has("promtool") {
            let query: Vec<_> = block.text.lines().filter(|line| !line.starts_with('#')).collect();
            let rule =
                serde_json::json!({"groups": [{"name": "it", "rules": [{"record": "it", "expr": query.join(" ")}]}]});
            let file = scene.scratch.write("rule.yml", &rule.to_string());
            let said = output_of("promtool", &["check", "rules", &file]).await;
            assert!(said.contains("SUCCESS"), "{}: {said}", block.place());
        }
    }
}

#[test]
fn no_block_of_the_documents_is_passed_over() {
    for block in all_blocks() {
        let place = block.place();
        if let Some(file) = block.note("from") {
            assert!(read(file).contains(&block.text), "{place}: this does not stand in {file} word for word");
            continue;
        }
        match block.language.as_str() {
            "toml" | "sh" | "console" | "promql" => {}
            "json" => drop(
                serde_json::from_str::<serde_json::Value>(&block.text)
                    .unwrap_or_else(|error| panic!("{place}: {error}")),
            ),
            "text" => {
                let is_command = |line: &str| line.starts_with("$ ") || line.starts_with("sluicegate ");
                assert!(!block.text.lines().any(is_command), "{place}: a command in a block of text is not run");
            }
            other => panic!("{place}: a block of {other:?} is run by nobody; say which file it is from"),
        }
    }
}

/// Those in the middle of a sentence: that there are such commands, and such flags.
#[tokio::test]
async fn every_command_that_is_mentioned_exists() {
    let mut mentioned = BTreeSet::new();
    for page in pages() {
        let commands =
            page.inline_code().into_iter().filter_map(|code| code.strip_prefix("sluicegate ").map(str::to_owned));
        mentioned.extend(commands.map(|rest| (rest, page.path.clone())));
    }
    assert!(mentioned.len() >= 10, "{mentioned:?}");
    for (rest, page) in mentioned {
        let words: Vec<_> = rest.split_whitespace().collect();
        let is_name = |word: &&&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'|');
        let path: Vec<_> =
            words.iter().take_while(is_name).take(2).map(|word| word.split('|').next().expect("a word")).collect();
        let help = command(&[&path[..], &["--help"]].concat(), &[]).await;
        assert_eq!(help.code, Some(0), "{page}: `sluicegate {rest}`: {}", help.stderr);
        for flag in words.iter().filter(|word| word.starts_with('-')) {
            let flag = flag.split(['=', '|']).next().expect("a flag");
            assert!(help.stdout.contains(flag), "{page}: `sluicegate {rest}` has no {flag}:\n{}", help.stdout);
        }
    }
}

#[test]
fn every_file_that_is_mentioned_exists() {
    const FOLDERS: [&str; 9] =
        [".ci/", "benches/", "config/", "deploy/", "docs/", "examples/", "fuzz/", "src/", "tests/"];
    for page in pages() {
        for code in page.inline_code() {
            if let Some((_, rest)) = code.split_once("--example ") {
                let example = rest.split_whitespace().next().unwrap_or_default();
                let is_there =
                    ["", ".rs", "/main.rs"].iter().any(|end| root().join(format!("examples/{example}{end}")).exists());
                assert!(is_there, "{}: there is no example {example}", page.path);
            }
            let path = code.split_whitespace().find(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)));
            let Some(path) = path.filter(|path| !path.contains(['*', '{'])) else { continue };
            // Within the sources, `config/keys` is theirs.
            let is_there = root().join(path).exists() || root().join("src").join(path).exists();
            assert!(is_there, "{}: there is no {path}", page.path);
        }
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    for page in pages() {
        for (line, target) in page.links() {
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = Path::new(&page.path).parent().expect("a file has a folder");
            let file = if path.is_empty() { root().join(&page.path) } else { root().join(folder).join(path) };
            assert!(file.exists(), "{}:{line}: there is no {target}", page.path);
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&file).expect("a text");
                let known: Vec<_> = text.lines().filter(|line| line.starts_with('#')).map(anchor_of).collect();
                assert!(
                    known.iter().any(|known| known == anchor),
                    "{}:{line}: {target} is none of {known:?}",
                    page.path
                );
            }
        }
    }
}

/// How a heading is linked to.
fn anchor_of(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn all_blocks() -> Vec<Block> {
    pages().iter().flat_map(|page| page.blocks()).collect()
}

/// A configuration with what a fragment takes for granted: an upstream, and a route with a limit.
fn completed(block: &Block) -> String {
    let mut text = block.text.clone();
    if block.note("after").is_some() {
        return text;
    }
    if !text.contains("[upstreams.") {
        text += "\n[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n";
    }
    if !text.contains("[routes.") {
        text += "\n[routes.api]\nlimit = 20\n";
    }
    text
}
