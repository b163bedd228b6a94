//! Runs the commands of a block.

use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::scene::Scene;
use super::shown::difference;
use super::{Block, ELSEWHERE, read};
use crate::support::sluicegate::{Sluicegate, binary};
use crate::support::soon;
use crate::support::tools::has;

/// A command, and what is shown of what it prints.
struct Step {
    command: String,
    shown: String,
}

/// Runs all commands of a block, one after the other in one scene, and says what is not as it is shown.
pub async fn run_block(block: &Block, above: Option<&str>) -> Vec<String> {
    let place = block.place();
    let (mut scene, mut wrong) = (None, Vec::new());
    for step in steps(block) {
        if runs_elsewhere(&step.command, &place) {
            continue;
        }
        if step.command.starts_with("curl ") && !has("curl") {
            return wrong;
        }
        if scene.is_none() {
            scene = Some(Scene::set(block.note("scene").unwrap_or_default(), above).await);
        }
        let scene = scene.as_ref().expect("just set");
        let command = step.command.replace("cargo run --release -- ", "sluicegate ");
        let Some((program, rest)) = command.split_once(' ') else { panic!("{place}: no command of ours: {command}") };
        assert!(["sluicegate", "curl"].contains(&program), "{place}: a command that no test runs: {command}");
        if program == "sluicegate" && serves(rest) {
            serve(scene, rest).await;
            continue;
        }
        let (code, printed) = run(scene, &command).await;
        let expected = block.note("exit").map_or(0, |code| code.parse().expect("an exit code"));
        if code != Some(expected) {
            wrong.push(format!("{place}: {command}\nended with {code:?}:\n{printed}"));
        } else if block.language == "console"
            && let Some(difference) = difference(&step.shown, &scene.documented(&printed))
        {
            wrong.push(format!("{place}: {command}\n{difference}"));
        }
    }
    wrong
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let text = block.text.replace("\\\n", " ");
    for line in text.lines() {
        let command = match block.language.as_str() {
            "console" => line.strip_prefix("$ "),
            _ => Some(line).filter(|line| !line.trim().is_empty() && !line.starts_with('#')),
        };
        match command {
            Some(command) => {
                let command = command.split(" # ").next().expect("a command").trim();
                let command = command.split_whitespace().collect::<Vec<_>>().join(" ");
                steps.push(Step { command, shown: String::new() });
            }
            None if line.is_empty() && steps.is_empty() => {}
            None if steps.is_empty() => panic!("{}: output without a command: {line}", block.place()),
            None if block.language == "console" => {
                let shown = &mut steps.last_mut().expect("just looked").shown;
                *shown += line;
                shown.push('\n');
            }
            None => {}
        }
    }
    assert!(!steps.is_empty(), "{}: no command", block.place());
    steps
}

/// Whether a step of CI runs it; if it is said so, it must.
fn runs_elsewhere(command: &str, place: &str) -> bool {
    let is_it = |written: &str| command == written || (written.ends_with(' ') && command.starts_with(written));
    let Some((_, file, there)) = ELSEWHERE.iter().find(|(written, ..)| is_it(written)) else { return false };
    let (there, script) = (if there.is_empty() { command } else { there }, read(file));
    assert!(script.contains(there), "{place}: {file} does not run {there:?}");
    if command.starts_with("docker run ") {
        // Addresses and names differ, but what is said to the container is said there, too.
        let said = command.split([' ', '"', ':']).filter_map(|word| match word.split('=').next() {
            Some(name) if name.starts_with("SLUICEGATE_") || name.starts_with("--") => Some(name),
            _ => word.starts_with("/etc/").then_some(word),
        });
        for word in said {
            assert!(script.contains(word), "{place}: {file} says no {word} to a container");
        }
    }
    true
}

/// Whether a command line stays, and serves.
fn serves(rest: &str) -> bool {
    let first = rest.split_whitespace().next().unwrap_or_default();
    first == "run" || (first.starts_with('-') && !["-t", "--help", "--version"].contains(&first))
}

/// Starts one beside the scene's, on ports of its own, until it listens.
async fn serve(scene: &Scene, rest: &str) {
    let args = ["127.0.0.1:8080", "0.0.0.0:8080", "127.0.0.1:9901"];
    let rest = args.iter().fold(rest.to_owned(), |rest, place| rest.replace(place, "127.0.0.1:0"));
    let file = scene.scratch.folder().join("sluicegate.toml").display().to_string();
    let rest = scene.scratch.real(&rest.replace("sluicegate.toml", &file));
    let listen = [("SLUICEGATE__SERVER__LISTEN", "127.0.0.1:0")];
    let variables = if rest.contains("--listen") { &listen[..0] } else { &listen[..] };
    let args: Vec<_> = rest.split_whitespace().collect();
    Sluicegate::run_with(&args, variables).await;
}

/// Runs a command in the scene's folder: how it ended, and what it printed. One that watches is ended once it has said something.
async fn run(scene: &Scene, command: &str) -> (Option<i32>, String) {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_sluicegate")).parent().expect("it is in a folder");
    let paths = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    for (name, value) in binary().as_std().get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.args(["-c", &format!("exec {}", scene.scratch.real(command))]);
    shell.env("PATH", format!("{}:{paths}", folder.display())).env("NO_COLOR", "1");
    shell.env("SLUICEGATE_ADMIN", format!("http://{}", scene.gate.admin_address()));
    shell.current_dir(scene.scratch.folder()).kill_on_drop(true);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if command.contains("--watch") {
        let mut child = shell.spawn().expect("there is a shell");
        let mut printed = vec![0; 1 << 16];
        let stdout = child.stdout.as_mut().expect("piped");
        let n = soon("it to say something", stdout.read(&mut printed)).await.expect("a pipe can be read");
        assert!(n > 0, "{command} ended");
        return (Some(0), String::from_utf8_lossy(&printed[..n]).into_owned());
    }
    let output = soon(command, shell.output()).await.expect("there is a shell");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&printed).into_owned())
}
