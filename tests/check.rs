//! The program's `check` command, from outside.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

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
    let file = example("sidecar.toml");
    for arguments in [&["check", "-c", &file][..], &["-t", "-c", &file], &["check", "--strict", "-c", &file]] {
        let output = sluicegate(arguments, &[]);
        assert_eq!(text(&output.stderr), "");
        assert_eq!(text(&output.stdout), "ok: 1 route, 1 upstream, listening on 0.0.0.0:8080\n");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn routes_can_share_a_limit() {
    let output = sluicegate(&["check", "--strict", "-c", &example("db.toml")], &[]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), "ok: 3 routes, 1 upstream, listening on 0.0.0.0:8080\n");
    let unknown = [("SLUICEGATE__ROUTES__SEARCH__LIMITS", "databse")];
    let output = sluicegate(&["check", "-c", &example("db.toml")], &unknown);
    assert!(text(&output.stderr).contains("= help: did you mean \"database\"?"), "{output:?}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_wrong_configuration_is_explained_on_the_error_stream() {
    let output = sluicegate(&["check", "-c", &example("sidecar.toml")], &[("SLUICEGATE__LOG__LEVEL", "loud")]);
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).starts_with("error: log.level must be "), "{output:?}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn warnings_fail_only_a_strict_check() {
    let variables = [("SLUICEGATE_LIMITS", "1")];
    let file = example("sidecar.toml");
    let output = sluicegate(&["check", "-c", &file], &variables);
    assert!(text(&output.stderr).starts_with("warning: this variable is not known"), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
    let output = sluicegate(&["check", "-c", &file, "--strict"], &variables);
    assert_eq!((text(&output.stdout), output.status.code()), ("", Some(2)));
    let last = text(&output.stderr).lines().last();
    assert_eq!(last, Some("error: 1 warning: with --strict, warnings are errors"), "{output:?}");
}

#[test]
fn a_wrong_command_line_is_a_wrong_configuration() {
    assert_eq!(sluicegate(&["chekc"], &[]).status.code(), Some(2));
    assert_eq!(sluicegate(&["run", "--limit", "x", "--upstream", "http://a"], &[]).status.code(), Some(2));
    assert_eq!(sluicegate(&["-t", "-c", &example("sidecar.toml"), "--admin", "x"], &[]).status.code(), Some(2));
    assert_eq!(sluicegate(&["--help"], &[]).status.code(), Some(0));
    assert_eq!(sluicegate(&["--version"], &[]).status.code(), Some(0));
}

/// Prints how long it took: `cargo test --release --test check thousand -- --nocapture`.
#[test]
fn a_thousand_routes_are_checked_at_once() {
    let mut file = String::from("[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n[limits.database]\nlimit = 50\n");
    for n in 0..1000 {
        file += &format!(
            "[routes.route_{n}]\nhost = \"h{}.example.com\"\npath = \"/v1/things{n}/{{id}}/*\"\nmethod = [\"GET\", \"POST\"]\n\
             limit = {}\nqueue = 20\nqueue_timeout = \"5s\"\nlimits = [\"database\"]\n",
            n % 50,
            n % 40 + 1
        );
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("a-thousand-routes.toml");
    std::fs::write(&path, file).expect("cargo's folder for tests can be written");
    let path = path.display().to_string();
    // Ten times as long where nothing was optimized. A machine that is busy gets three attempts.
    let most = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 100 });
    let attempts = [(); 3].map(|()| {
        let start = Instant::now();
        let output = sluicegate(&["check", "--strict", "-c", &path], &[]);
        assert_eq!(text(&output.stderr), "");
        assert!(text(&output.stdout).starts_with("ok: 1000 routes, "), "{output:?}");
        start.elapsed()
    });
    println!("checks of a thousand routes took {attempts:?}");
    assert!(attempts.iter().any(|time| *time <= most), "{attempts:?}");
}

#[test]
fn findings_can_be_had_as_json() {
    let variables = [("SLUICEGATE__LOG__LEVEL", "inof"), ("SLUICEGATE_LIMITS", "1")];
    for arguments in [&["check", "--format", "json", "-c"][..], &["-t", "--format", "json", "-c"]] {
        let output = sluicegate(&[arguments, &[&example("sidecar.toml")]].concat(), &variables);
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&found["ok"], &found["errors"], &found["warnings"]), (&false.into(), &1.into(), &1.into()));
        let problem = &found["problems"][0];
        assert_eq!(problem["severity"], "error");
        assert_eq!(problem["key"], "log.level");
        assert_eq!(problem["place"]["variable"], "SLUICEGATE__LOG__LEVEL");
        assert_eq!(problem["help"], "did you mean \"info\"?");
        assert_eq!(found["problems"][1]["severity"], "warning");
        assert_eq!((text(&output.stderr), output.status.code()), ("", Some(2)));
    }
    let output = sluicegate(&["check", "--format", "json", "-c", &example("sidecar.toml")], &[]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&found["ok"], &found["routes"], output.status.code()), (&true.into(), &1.into(), Some(0)));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_a_full_disk_is_one_that_is_said() {
    let file = example("sidecar.toml");
    for arguments in [
        &["check", "-c", &file][..],
        &["config", "schema"],
        &["completions", "bash"],
        &["explain", "GET", "/", "-c", &file],
    ] {
        let run = |stdout: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
            command.args(arguments).env_clear().stdout(stdout).output().expect("the program can be started")
        };
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = run(writer.into());
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{arguments:?}");
        if let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") {
            let output = run(full.into());
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            assert!(text(&output.stderr).starts_with("error: the standard output cannot be written: "), "{output:?}");
        }
    }
}

/// Checks a file of its own, and explains a request by it.
fn checked_and_explained(name: &str, file: &str) -> [Output; 2] {
    let path = std::env::temp_dir().join(format!("sluicegate-{name}-{}.toml", std::process::id()));
    std::fs::write(&path, file).expect("the file can be written");
    let path_text = path.to_str().expect("a path in UTF-8");
    let outputs = [&["check", "-c", path_text][..], &["explain", "GET", "/", "-c", path_text]];
    let outputs = outputs.map(|arguments| sluicegate(arguments, &[]));
    let _ = std::fs::remove_file(path);
    outputs
}

#[test]
fn a_cost_that_no_key_may_have_is_wrong_with_both_places() {
    let file = "[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n\
                [limits.tenants]\nlimit = 20\nkey = \"header:x-tenant\"\nper_key = 2\nkeys = { big = { per_key = 4 } }\n\
                [routes.api]\nlimits = [\"tenants\"]\ncost = 5\n";
    for output in checked_and_explained("cost", file) {
        let said = text(&output.stderr);
        for part in [
            "error: routes.api.cost takes 5 permits, and one key may have 2 of \"tenants\"",
            "error: routes.api.cost takes 5 permits, and the key \"big\" may have 4 of \"tenants\"",
            ".toml:10:1",
            ".toml:6:1",
            ".toml:7:1",
            "cost = 5",
            "lower the cost, or raise per_key: it would have to run alone, past the cap",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert_eq!((text(&output.stdout), output.status.code()), ("", Some(2)));
    }
}

#[test]
fn a_cost_that_each_key_may_have_is_right_and_a_cap_above_the_limit_is_warned_of() {
    let file = "[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n\
                [routes.api]\nlimit = 5\nkey = \"header:x-tenant\"\nper_key = 9\ncost = 5\n";
    let [checked, explained] = checked_and_explained("cap", file);
    assert_eq!((checked.status.code(), explained.status.code()), (Some(0), Some(0)), "{checked:?} {explained:?}");
    let said = text(&checked.stderr);
    assert!(said.contains("warning: routes.api.per_key lets one key have 9 of 5 permits"), "{said}");
    assert!(said.contains("it is no bound: lower it, or raise the limit"), "{said}");
    assert!(text(&explained.stdout).contains("cost        5 permits of each limit\n"), "{explained:?}");
}
