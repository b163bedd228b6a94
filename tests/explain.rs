//! The program's `explain` and `config` commands, from outside.

use std::path::Path;
use std::process::{Command, Output};

fn sluicegate(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let command = command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(folder);
    command.output().expect("the program can be started")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the program writes UTF-8")
}

#[track_caller]
fn explains(arguments: &[&str], code: i32, expected: &str) {
    let output = sluicegate(&[&["explain"], arguments].concat(), &[]);
    assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(code)));
}

#[test]
fn the_route_is_explained_with_those_that_it_was_not() {
    explains(
        &["POST", "http://partner.example.com/%72eports/2024", "-H", "x-partner-key: 1", "-c", "routes.toml"],
        0,
        "\
POST http://partner.example.com/%72eports/2024
route       partner (host partner.example.com, path any, header x-partner-key)
            not partner_anonymous (host partner.example.com, path any), which matches as well: it has fewer conditions
upstream    api, http://127.0.0.1:3000
limits      1. partner: 5 permits, queue 20, first come, first served
wait        at most 5s
priority    normal
cost        1 permit of each limit
timeouts    connect 2s, response head 1m, silence 1m, whole exchange none
client gone abort, and a reset after 30s
",
    );
    explains(
        &["GET", "/reports/2024", "-c", "routes.toml"],
        0,
        "\
GET /reports/2024
route       reports (host any, path /reports/*)
            not api (host any, path any), which matches as well: its path is less specific
upstream    reports, http://127.0.0.1:4000
limits      1. reports: 2 permits, queue 20, first come, first served
wait        at most 30s
priority    normal
cost        1 permit of each limit
timeouts    connect 2s, response head 5m, silence 1m, whole exchange none
client gone finish
",
    );
    explains(
        &["GET", "http://partner.example.com/", "-c", "routes.toml"],
        0,
        "\
GET http://partner.example.com/
route       partner_anonymous (host partner.example.com, path any)
            not partner, which would come first: the header x-partner-key is not there
            not api (host any, path any), which matches as well: its host is less specific
upstream    api, http://127.0.0.1:3000
limits      1. partner_anonymous: 1 permit, queue 0, first come, first served
wait        at most 5s
priority    normal
cost        1 permit of each limit
timeouts    connect 2s, response head 1m, silence 1m, whole exchange none
client gone abort, and a reset after 30s
",
    );
}

#[test]
fn limits_come_in_their_order_with_key_cost_and_priority() {
    explains(
        &["GET", "/exports/all", "-c", "db.toml"],
        0,
        "\
GET /exports/all
route       exports (host any, path /exports/*)
upstream    api, http://127.0.0.1:3000
limits      1. exports: 4 permits, queue 16, first come, first served
            2. database: 6 permits, queue 40, first come, first served
wait        at most 30s
priority    normal
cost        2 permits of each limit
timeouts    connect 2s, response head 1m, silence 1m, whole exchange none
client gone abort, and a reset after 30s
",
    );
    explains(
        &["POST", "/", "-H", "authorization: Bearer abc", "-H", "x-request-priority: low", "-c", "llm.toml"],
        0,
        "\
POST /
route       model (host any, path any)
upstream    model, http://127.0.0.1:8000
limits      1. model: 8 permits, queue 64, newest first when the queue stands, key sha256:ba7816bf
wait        at most 20s
priority    low
cost        1 permit of each limit
timeouts    connect 2s, response head 2m, silence 1m, whole exchange none
client gone abort, and a reset after 30s
",
    );
}

#[test]
fn no_route_is_exit_3_and_says_what_was_close() {
    explains(
        &["GET", "/nothing", "-c", "db.toml"],
        3,
        "\
GET /nothing
route       none: 404 no_route
            no route has this host and path; there are:
            exports (host any, path /exports/*)
            search (host any, path /search)
            static (host any, path /static/*)
",
    );
    let only_post = [("SLUICEGATE__ROUTES__SEARCH__METHOD", "POST")];
    let output = sluicegate(&["explain", "GET", "/search", "-c", "db.toml"], &only_post);
    let expected = "GET /search\nroute       none: 404 no_route\n            not search: its method is POST\n";
    assert_eq!((text(&output.stdout), output.status.code()), (expected, Some(3)));
}

#[test]
fn a_route_whose_path_is_one_path_alone_is_told_how_to_take_what_is_below_it() {
    let why = |path: &str, variables: &[(&str, &str)]| {
        let output = sluicegate(&["explain", "GET", path, "-c", "routes.toml"], variables);
        let lines = text(&output.stdout).lines().filter(|line| line.contains(" alone;"));
        lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let exact = ("SLUICEGATE__ROUTES__REPORTS__PATH", "/reports");
    let said = "not reports (host any, path /reports): that is /reports alone; what is below it would be /reports/*";
    assert_eq!(why("/reports/q3", &[exact]), [said]);
    assert_eq!(why("/%72eports/", &[exact]), [said]);
    for path in ["/reports", "/reportsx", "/"] {
        assert!(why(path, &[exact]).is_empty(), "{path}");
    }
    // It would not take it for all that.
    let post = ("SLUICEGATE__ROUTES__REPORTS__METHOD", "POST");
    assert!(why("/reports/q3", &[exact, post]).is_empty());
    let stronger = ("SLUICEGATE__ROUTES__API__PATH", "/reports/{name}");
    assert!(why("/reports/q3", &[exact, stronger]).is_empty());
    // Nor does anybody else.
    let health = [("SLUICEGATE__ROUTES__API__PATH", "/x"), ("SLUICEGATE__ROUTES__WRITE__PATH", "/x")];
    let output = sluicegate(&["explain", "GET", "/healthz/live", "-c", "routes.toml"], &health);
    let expected = "\
GET /healthz/live
route       none: 404 no_route
            not health (host any, path /healthz): that is /healthz alone; what is below it would be /healthz/*
";
    assert_eq!((text(&output.stdout), output.status.code()), (expected, Some(3)));
}

#[test]
fn what_cannot_be_explained_is_exit_2() {
    for arguments in [
        &["explain", "G T", "/", "-c", "db.toml"][..],
        &["explain", "GET", "search", "-c", "db.toml"],
        &["explain", "GET", "/", "-H", "x", "-c", "db.toml"],
        &["explain", "GET", "/", "--from", "here", "-c", "db.toml"],
        &["explain", "GET", "/", "-c", "nowhere.toml"],
    ] {
        let output = sluicegate(arguments, &[]);
        assert!(text(&output.stderr).starts_with("error: "), "{arguments:?}: {output:?}");
        assert_eq!((text(&output.stdout), output.status.code()), ("", Some(2)), "{arguments:?}");
    }
}

#[test]
fn a_template_is_a_file_that_is_right_as_it_is() {
    for template in ["sidecar", "llm", "db", "egress", "tenants"] {
        let output = sluicegate(&["config", "init", "--template", template], &[]);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/{template}.toml"));
        assert_eq!(text(&output.stdout), std::fs::read_to_string(&file).expect("a template"));
        let output = sluicegate(&["check", "--strict", "-c", &file.display().to_string()], &[]);
        assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)), "{template}");
    }
}

#[test]
fn the_configuration_is_shown_with_its_origins() {
    let output = sluicegate(&["config", "show", "--origins", "-c", "sidecar.toml", "--admin", "off"], &[]);
    for line in ["limit = 20  # sidecar.toml:", "listen = \"off\"  # flag --admin", "cost = 1  # built-in"] {
        assert!(text(&output.stdout).lines().any(|shown| shown.starts_with(line)), "{line} in {output:?}");
    }
    assert_eq!(output.status.code(), Some(0));
    let output = sluicegate(&["config", "show", "--limit", "5"], &[]);
    assert_eq!((text(&output.stdout), output.status.code()), ("", Some(2)));
    let output = sluicegate(&["config", "schema"], &[]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(schema["properties"]["server"]["properties"]["h2_max_streams"]["default"], 128);
}

#[test]
fn shells_can_complete_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = sluicegate(&["completions", shell], &[]);
        for word in ["explain", "completions", "reload"] {
            assert!(text(&output.stdout).contains(word), "{word} for {shell}");
        }
        assert_eq!(output.status.code(), Some(0));
    }
    assert_eq!(sluicegate(&["completions", "cmd"], &[]).status.code(), Some(2));
}

#[test]
fn a_cost_that_a_client_asks_for_is_explained_where_it_is_too_much_and_where_it_is_not_believed() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cost-of-a-header.toml");
    let write = |more: &str| {
        let text =
            "[upstreams.app]\nurl = \"http://127.0.0.1:3000\"\n[routes.api]\nlimit = 4\ncost = \"header:x-cost\"\n";
        std::fs::write(&file, format!("{text}{more}")).expect("cargo's directory for tests can be written");
    };
    let explain = |cost: &str| {
        let path = file.to_str().expect("a path in UTF-8");
        let output = sluicegate(&["explain", "GET", "/", "-H", cost, "-c", path], &[]);
        assert_eq!(output.status.code(), Some(0));
        text(&output.stdout).to_owned()
    };
    write("");
    let unheard = explain("x-cost: 99");
    assert!(unheard.contains("\ncost        1 permit of each limit; x-cost is not believed"), "{unheard}");
    write("trust_headers = \"all\"\n");
    let too_much = explain("x-cost: 99");
    assert!(too_much.contains("\nrejected    400 cost: api has 4 permits, and never more\n"), "{too_much}");
    assert!(!explain("x-cost: 4").contains("rejected"));
}
