//! What is said about configurations that cannot be used.

use super::*;

#[test]
fn what_is_not_toml_is_reported_alone_and_with_its_place() {
    for (text, place) in
        [("a = = 1", "0:1:"), ("[a]\nx = 1\nx = 2", "0:3:1"), (r#"x = ""#, "0:1:6"), ("ä = 1", "0:1:1")]
    {
        let problems = Given::default().file(text).problems();
        assert!(problems.iter().all(|problem| problem.contains(" is not TOML: ")), "{problems:?}");
        assert!(problems[0].starts_with(place), "{problems:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let mut given = Given::default();
    given.sources.files.push("/nowhere/x.toml".into());
    let problems = given.problems();
    assert!(problems[0].starts_with("/nowhere/x.toml  the configuration file cannot be read: "), "{problems:?}");
}

#[test]
fn mistakes_in_variables_and_flags_are_shown_with_their_values() {
    for (given, expected) in [
        (
            Given::minimal().flag_limit("many"),
            r#"flag --limit routes.default.limit must be a whole number from 1 to 16777215, "slots" or "none", not "many""#,
        ),
        (
            Given::minimal().flag_limit(""),
            r#"flag --limit routes.default.limit must be a whole number from 1 to 16777215, "slots" or "none", not """#,
        ),
        (
            Given::minimal().flag_upstream("http://me:pw@a"),
            r#"flag --upstream upstreams.default.url must not hold a user or password, not "http://*****@a""#,
        ),
        (Given::default().flag_upstream("http://a"), "flag --upstream routes.default.limit is missing"),
        (
            Given::default().flag_limit("3"),
            "command line upstreams is missing: no upstream is configured (write [upstreams.default]",
        ),
        (
            Given::default(),
            "command line upstreams is missing, and so is routes: nothing is configured (write [upstreams.default]",
        ),
        (Given::default().file(""), "0 upstreams is missing, and so is routes: nothing is configured"),
        (Given::default().file("[upstreams.a]\nurl = \"http://a\""), "0 routes is missing: no route is configured"),
        (
            Given::minimal().variable("SLUICEGATE_QUEUE", "-1"),
            r#"environment variable SLUICEGATE_QUEUE routes.default.queue must be a whole number from 0 to 16777215, not "-1""#,
        ),
        (
            Given::minimal().variable("SLUICEGATE_QUEUE_TIMEOUT", "10"),
            r#"environment variable SLUICEGATE_QUEUE_TIMEOUT routes.default.queue_timeout must be a duration such as "250ms", "10s" or "1m30s", not "10" (a duration has a unit"#,
        ),
        (
            Given::minimal().variable("SLUICEGATE_ADMIN", "9901"),
            r#"environment variable SLUICEGATE_ADMIN admin.listen must be an address and port such as "127.0.0.1:9901", "unix:/path", or "off", not "9901" (there is no address: write "127.0.0.1:9901")"#,
        ),
        (
            Given::minimal().variable("SLUICEGATE_DRY_RUN", "1"),
            r#"environment variable SLUICEGATE_DRY_RUN  this variable must be true or false, not "1" (did you mean true?)"#,
        ),
        (
            Given::minimal().variable("SLUICEGATE__SERVER__THEADS", "1"),
            "environment variable SLUICEGATE__SERVER__THEADS server.theads is not a known key (did you mean SLUICEGATE__SERVER__THREADS?)",
        ),
        (
            Given::minimal().variable("SLUICEGATE__ROUTE__DEFAULT__LIMIT", "1"),
            "environment variable SLUICEGATE__ROUTE__DEFAULT__LIMIT route is not a known key (did you mean SLUICEGATE__ROUTES__DEFAULT__LIMIT?)",
        ),
        (
            Given::minimal().variable("SLUICEGATE__ROUTES__DEFAULT__LIMTI", "1"),
            "environment variable SLUICEGATE__ROUTES__DEFAULT__LIMTI routes.default.limti is not a known key (did you mean SLUICEGATE__ROUTES__DEFAULT__LIMIT?)",
        ),
        (
            Given::minimal().variable("SLUICEGATE__ROUTES____LIMIT", "1"),
            "environment variable SLUICEGATE__ROUTES____LIMIT  there is a name missing",
        ),
        (
            Given::minimal().variable("SLUICEGATE__SERVER", "1"),
            "environment variable SLUICEGATE__SERVER server must be a table",
        ),
        (
            Given::minimal().variable("SLUICEGATE__LIMITS__A__LIMIT", "many"),
            "environment variable SLUICEGATE__LIMITS__A__LIMIT limits.a.limit must be a whole number from 1 to 16777215 or \"slots\", not \"many\"",
        ),
        (
            Given::minimal().variable("SLUICEGATE__SERVER__LISTEN", "127.0.0.1:1,x"),
            "environment variable SLUICEGATE__SERVER__LISTEN server.listen must be an address and port",
        ),
    ] {
        let problems = given.problems();
        assert!(problems[0].starts_with(expected), "expected {expected}\ngot      {problems:#?}");
        assert_eq!(problems.len(), 1, "{problems:#?}");
    }
}

#[test]
fn short_forms_go_with_no_other_upstreams_and_routes() {
    let given = Given::minimal().file("[upstreams.api]\nurl = \"http://a\"\n[routes.web]\nlimit = 1\n");
    let names = "cannot be set here, since the configuration names routes.web, upstreams.api";
    assert_eq!(
        given.problems(),
        [
            format!(
                "flag --upstream upstreams.default.url {names} (change the file, or use SLUICEGATE__UPSTREAMS__API__URL)"
            ),
            format!(
                "flag --limit routes.default.limit {names} (change the file, or use SLUICEGATE__ROUTES__WEB__LIMIT)"
            ),
        ]
    );
}

#[test]
fn every_problem_is_reported_in_one_run() {
    let text = "[server]\nthreads = 0\nzebra = 1\n[upstreams.a]\nretries = 11\n[routes.a]\nlimit = 0\npath = \"x\"\n";
    let problems = Given::default().file(text).variable("SLUICEGATE_DRY_RUN", "x").problems();
    let keys: Vec<&str> = problems.iter().map(|problem| problem.split(' ').nth(1).unwrap()).collect();
    let expected = [
        "variable",
        "server.threads",
        "server.zebra",
        "upstreams.a.retries",
        "routes.a.path",
        "routes.a.limit",
        // What is missing comes last: it may follow from the others.
        "upstreams.a.url",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn the_place_of_a_value_is_that_of_the_file_that_it_came_from() {
    let good = "[upstreams.a]\nurl = \"http://a\"\n[routes.a]\nlimit = 1\n";
    let problems = Given::default().file(good).file("\n[routes.a]\nlimit = \"x\"").problems();
    assert!(problems[0].starts_with("1:3:9 routes.a.limit "), "{problems:?}");
}

#[test]
fn problems_are_shown_with_their_lines() {
    let given = Given::default().file(
        "[upstreams.a]\nurl = \"http://a\"\n[routes.one]\nlimit = 1\n[routes.two]\nlimit = 1\n\n\n\n[log]\nlevel = \"inof\" # oh\n",
    );
    let path = given.written[0].display().to_string();
    let shown = given.load().unwrap_err().to_string().replace(&path, "a.toml");
    let expected = r#"error: log.level must be "error", "warn", "info", "debug" or "trace", or directives
  --> a.toml:11:9
11 | level = "inof" # oh
   |         ^^^^^^
   = help: did you mean "info"?

error: routes.one and routes.two can match the same request equally
 --> a.toml:3:9
3 | [routes.one]
  |         ^^^
 --> a.toml:5:9
5 | [routes.two]
  |         ^^^
  = help: give one of them a narrower host or path, or one more method or header condition"#;
    assert_eq!(shown, expected);
}
