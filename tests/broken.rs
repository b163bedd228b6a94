//! Configurations that are broken in one way each, and what is said about them.
//!
//! `tests/broken/*.txt` hold both. A case is a name after `###`, a command line after `$` (variables first), files (what
//! stands above the first `@ NAME` is `sluicegate.toml`), and after `~~~` the exit code and what the program must write.
//! `UPDATE_EXPECTED=1 cargo test --test broken` writes down what it says now.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

struct Case {
    name: String,
    /// What stands before `~~~`.
    given: String,
    /// What stands behind it.
    expected: String,
}

impl Case {
    fn read(text: &str) -> Self {
        let (name, rest) = text.split_once('\n').expect("a name, and then the case");
        let (given, expected) = rest.split_once("~~~").unwrap_or((rest, ""));
        Case { name: name.trim().to_owned(), given: given.to_owned(), expected: expected.trim().to_owned() }
    }

    fn command_line(&self) -> &str {
        let line = self.given.lines().find_map(|line| line.strip_prefix("$ "));
        line.unwrap_or("sluicegate check -c sluicegate.toml")
    }

    /// Whether what it says can be had as JSON. What is no command line is refused before that.
    fn has_json(&self) -> bool {
        let words: Vec<&str> = self.command_line().split_whitespace().collect();
        (words.contains(&"check") || words.contains(&"-t")) && !self.expected.contains("try '--help'")
    }

    /// Runs it in a folder of its own.
    fn run(&self, more: &[&str]) -> Output {
        // The tests of this file run beside each other.
        let form = if more.is_empty() { "broken-text" } else { "broken-json" };
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(form).join(self.name.replace([' ', '/'], "-"));
        std::fs::create_dir_all(&folder).expect("cargo's folder for tests can be written");
        let mut file = (String::from("sluicegate.toml"), String::new());
        for line in self.given.lines().filter(|line| !line.starts_with("$ ")) {
            if let Some(name) = line.strip_prefix("@ ") {
                write(&folder, &file);
                file = (name.to_owned(), String::new());
            } else {
                file.1 += line;
                file.1.push('\n');
            }
        }
        write(&folder, &file);
        let mut words = self.command_line().split_whitespace();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        command.env_clear().current_dir(&folder);
        for word in words.by_ref().take_while(|word| *word != "sluicegate") {
            let (name, value) = word.split_once('=').expect("variables, and then the program");
            command.env(name, value);
        }
        command.args(words).args(more).output().expect("the program can be started")
    }

    fn findings(&self) -> Vec<Value> {
        let output = self.run(&["--format", "json"]);
        let findings: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{}: {error} in {output:?}", self.name));
        findings["problems"].as_array().expect("a list").clone()
    }
}

fn write(folder: &Path, (name, text): &(String, String)) {
    std::fs::write(folder.join(name), text).expect("cargo's folder for tests can be written");
}

fn corpus() -> Vec<(PathBuf, Vec<Case>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a text");
        let cases = text.split("\n### ").map(|case| Case::read(case.trim_start_matches("### "))).collect();
        (path, cases)
    };
    files.into_iter().map(read).collect()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the program writes UTF-8");
    let code = output.status.code().expect("it ends by itself");
    let lines = text(&output.stderr) + &text(&output.stdout);
    let lines: Vec<&str> = lines.lines().map(str::trim_end).collect();
    format!("{code}\n{}", lines.join("\n").trim_end())
}

#[test]
fn what_is_said_about_broken_configurations_is_as_written_down() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    for (path, mut cases) in corpus() {
        for case in &mut cases {
            let said = said(&case.run(&[]));
            if said != case.expected && !update {
                wrong.push(format!("{}\nexpected: {}\nsaid: {said}\n", case.name, case.expected));
            }
            case.expected = said;
        }
        if update {
            let cases = cases.iter().map(|case| format!("### {}\n{}~~~ {}\n", case.name, case.given, case.expected));
            std::fs::write(path, cases.collect::<Vec<_>>().join("\n")).expect("the corpus can be written");
        }
    }
    assert!(wrong.is_empty(), "{}\n(UPDATE_EXPECTED=1 writes it down)", wrong.join("\n"));
}

#[test]
fn each_problem_names_its_place_and_key_and_nine_of_ten_say_what_to_do() {
    let (mut cases_seen, mut problems, mut without_help) = (0, 0, Vec::new());
    let mut nameless = Vec::new();
    for case in corpus().into_iter().flat_map(|(_, cases)| cases) {
        cases_seen += 1;
        if !case.has_json() {
            // The flag is what it is about, and names itself.
            let names_flag = case.expected.contains("'-") || case.expected.contains("'chekc'");
            if !names_flag {
                nameless.push(case.name);
            }
            continue;
        }
        for problem in case.findings() {
            problems += 1;
            let place = &problem["place"];
            let in_file = place["file"].is_string();
            // A file that can't be read has no lines, nor has a table that a file lacks.
            let has_line = place["line"].is_u64();
            // Variables and flags are keys by other names.
            let outside = place["variable"].is_string() || place.get("flag").is_some();
            let is_missing = problem["message"].to_string().contains("is missing");
            let is_unread = problem["message"].to_string().contains("cannot be read");
            let is_named = outside || in_file && (is_unread || problem["key"].is_string() && (has_line || is_missing));
            if !is_named {
                nameless.push(format!("{}: {problem}", case.name));
            }
            if problem["help"].is_null() {
                without_help.push(case.name.clone());
            }
        }
    }
    assert!(cases_seen >= 80, "only {cases_seen} broken configurations");
    assert!(nameless.is_empty(), "{nameless:#?}");
    assert!(without_help.len() * 10 <= problems, "{} of {problems}: {without_help:#?}", without_help.len());
}
