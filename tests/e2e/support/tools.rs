//! Programs of others that some tests need: skipped loudly where one is missing.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

/// Whether a program is there. If not, says so where a reader of the test's output sees it.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]).any(|dir| dir.join(program).is_file());
    or_say_so(found, program)
}

/// Whether the system's Python has a module. If not, says so.
pub fn has_python(module: &str) -> bool {
    let mut command = std::process::Command::new("/usr/bin/python3");
    command.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
    or_say_so(command.status().is_ok_and(|status| status.success()), &format!("python3 with {module}"))
}

/// How Docker's compose is called here: a plugin of Docker's, or a program of its own. If neither is there, says so.
pub fn has_compose() -> Option<&'static [&'static str]> {
    let called: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    let answers = |words: &&&[&str]| {
        let mut command = std::process::Command::new(words[0]);
        command.args(&words[1..]).arg("version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = called.iter().find(answers).copied();
    or_say_so(found.is_some(), "docker-compose");
    found
}

fn or_say_so(found: bool, what: &str) -> bool {
    if !found {
        // Past the test's capture, so that it is seen although the test passes.
        use std::io::Write;
        let _ = writeln!(std::io::stderr().lock(), "SKIPPED: {what} is not installed, its test has shown nothing");
    }
    found
}

/// Runs a program to its end and returns what it wrote to stdout; stderr follows.
pub async fn output_of(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = super::soon(program, command.output()).await.unwrap_or_else(|e| panic!("{program}: {e}"));
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// How often a repeated test repeats: its own number, or the one in this variable.
pub fn times(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}
