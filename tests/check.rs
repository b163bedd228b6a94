//! The program's `check` command, from outside.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program with a configuration of its own and an empty environment.
fn sluicegate(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).output().expect("the program can be started")
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name).display().to_string()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the program writes UTF-8")
}

#[test]
fn a_right_configuration_is_summed_up_in_one_line() {
    let file = example("sluicegate.toml");
    for arguments in [&["check", "-c", &file][..], &["-t", "-c", &file], &["check", "--strict", "-c", &file]] {
        let output = sluicegate(arguments, &[]);
        assert_eq!(text(&output.stderr), "");
        assert_eq!(text(&output.stdout), "ok: 1 route, 1 upstream, listening on 0.0.0.0:8080\n");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn routes_can_share_a_limit() {
    let output = sluicegate(&["check", "--strict", "-c", &example("shared.toml")], &[]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), "ok: 3 routes, 1 upstream, listening on 0.0.0.0:8080\n");
    let unknown = [("SLUICEGATE__ROUTES__SEARCH__LIMITS", "databse")];
    let output = sluicegate(&["check", "-c", &example("shared.toml")], &unknown);
    assert!(text(&output.stderr).contains("= help: did you mean \"database\"?"), "{output:?}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_wrong_configuration_is_explained_on_the_error_stream() {
    let output = sluicegate(&["check", "-c", &example("sluicegate.toml")], &[("SLUICEGATE__LOG__LEVEL", "loud")]);
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).starts_with("error: log.level must be "), "{output:?}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn warnings_fail_only_a_strict_check() {
    let variables = [("SLUICEGATE_LIMITS", "1")];
    let file = example("sluicegate.toml");
    let output = sluicegate(&["check", "-c", &file], &variables);
    assert!(text(&output.stderr).starts_with("warning: this variable is not known"), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
    let output = sluicegate(&["check", "-c", &file, "--strict"], &variables);
    assert_eq!((text(&output.stdout), output.status.code()), ("", Some(2)));
}

#[test]
fn a_wrong_command_line_is_a_wrong_configuration() {
    assert_eq!(sluicegate(&["chekc"], &[]).status.code(), Some(2));
    assert_eq!(sluicegate(&["run", "--limit", "x", "--upstream", "http://a"], &[]).status.code(), Some(2));
    assert_eq!(sluicegate(&["-t", "-c", &example("sluicegate.toml"), "--admin", "x"], &[]).status.code(), Some(2));
    assert_eq!(sluicegate(&["--help"], &[]).status.code(), Some(0));
    assert_eq!(sluicegate(&["--version"], &[]).status.code(), Some(0));
}
