//! Which limits a route has, and in which order it acquires them.

use std::time::Duration;

use super::*;

const UPSTREAM: &str = "[upstreams.a]\nurl = \"http://a\"\n";

fn given(text: &str) -> Given {
    Given::default().file(&format!("{UPSTREAM}{text}"))
}

/// The names of the limits of each route, in the order in which they are acquired.
fn acquired(given: &Given) -> Vec<Vec<String>> {
    let plan = given.settings().plan;
    let names = |limits: &[usize]| limits.iter().map(|index| plan.limits[*index].name.clone()).collect();
    plan.routes.iter().map(|route| names(&route.limits)).collect()
}

#[test]
fn every_key_of_a_shared_limit_is_read() {
    let given = given(
        "[limits.db]\nlimit = 4\nqueue = 7\nqueue_timeout = \"2s\"\nqueue_bytes = \"1MiB\"\nreject_status = 429\n\
         [routes.a]\nlimits = [\"db\"]\n",
    );
    let db = given.limit();
    assert_eq!((db.name.as_str(), db.limit.get(), db.queue, db.queue_bytes), ("db", 4, 7, 1 << 20));
    assert_eq!((db.queue_timeout, db.reject_status.as_u16()), (Duration::from_secs(2), 429));
}

#[test]
fn a_shared_limit_has_the_defaults_of_every_limit() {
    let text = "[limits.db]\nlimit = 4\n[routes.a]\nlimits = \"db\"\n";
    assert_eq!(given(text).limit(), crate::admission::Settings::new("db", 4.try_into().unwrap()));
    let given = given(&format!("{text}[defaults]\nqueue = 9\nqueue_timeout = \"3s\"\n"));
    assert_eq!((given.limit().queue, given.limit().queue_timeout), (9, Duration::from_secs(3)));
}

#[test]
fn all_routes_acquire_in_one_order() {
    let given = given(
        "[limits.zoo]\nlimit = 1\n[limits.db]\nlimit = 2\n[limits.ark]\nlimit = 3\n\
         [routes.a]\nlimit = 5\nlimits = [\"ark\", \"db\", \"zoo\"]\n\
         [routes.b]\npath = \"/b\"\nlimits = [\"db\", \"zoo\"]\n\
         [routes.c]\npath = \"/c\"\nlimit = 6\nlimits = [\"ark\", \"zoo\"]\n\
         [routes.d]\npath = \"/d\"\nlimit = \"none\"\n",
    );
    assert_eq!(acquired(&given), [&["a", "zoo", "db", "ark"][..], &["zoo", "db"], &["c", "zoo", "ark"], &[]]);
    let plan = given.settings().plan;
    assert!(plan.routes.iter().all(|route| route.limits.is_sorted()), "{plan:?}");
    let names: Vec<&str> = plan.limits.iter().map(|limit| limit.name.as_str()).collect();
    assert_eq!(names, ["a", "c", "zoo", "db", "ark"]);
}

#[test]
fn the_order_is_that_of_the_files_and_variables_come_last() {
    let routes = format!("{UPSTREAM}[routes.a]\nlimits = [\"ant\", \"bee\", \"cat\", \"dog\", \"elk\"]\n");
    let given = Given::default()
        .file(&format!("{routes}[limits]\ndog.limit = 1\ncat = {{ limit = 2 }}\n"))
        // What a later file or a variable adds to a table does not move it.
        .file("[limits.elk]\nlimit = 3\n[limits.dog]\nqueue = 5\n")
        .variable("SLUICEGATE__LIMITS__BEE__LIMIT", "4")
        .variable("SLUICEGATE__LIMITS__ANT__LIMIT", "5")
        .variable("SLUICEGATE__LIMITS__CAT__QUEUE", "6");
    assert_eq!(acquired(&given), [["dog", "cat", "elk", "ant", "bee"]]);
    let limits = given.settings().plan.limits;
    assert_eq!((limits[0].queue, limits[1].queue), (5, 6));
}

#[test]
fn a_variable_can_list_limits() {
    let given = given("[limits.x]\nlimit = 1\n[limits.y]\nlimit = 1\n[routes.a]\nlimit = 1\n")
        .variable("SLUICEGATE__ROUTES__A__LIMITS", "y, x");
    assert_eq!(acquired(&given), [["a", "x", "y"]]);
}

#[test]
fn the_defaults_name_limits_for_routes_that_do_not() {
    let given = given(
        "[limits.x]\nlimit = 1\n[limits.y]\nlimit = 1\n[defaults]\nlimits = [\"x\"]\n[routes.a]\n\
         [routes.b]\npath = \"/b\"\nlimit = 2\n\
         [routes.c]\npath = \"/c\"\nlimits = [\"y\"]\n\
         [routes.d]\npath = \"/d\"\nlimit = \"none\"\n\
         [routes.e]\npath = \"/e\"\nlimit = 3\nlimits = []\n",
    );
    assert_eq!(acquired(&given), [&["x"][..], &["b", "x"], &["y"], &[], &["e"]]);
}

#[test]
fn a_limit_from_the_defaults_goes_with_shared_limits() {
    let text = "[limits.x]\nlimit = 1\n[routes.a]\nlimits = [\"x\"]\n[routes.b]\npath = \"/b\"\n";
    assert_eq!(acquired(&given(&format!("{text}[defaults]\nlimit = 2\n"))), [&["a", "x"][..], &["b"]]);
    // No limit by default does not take away the limits that a route names.
    assert_eq!(acquired(&given(&format!("{text}[defaults]\nlimit = \"none\"\n"))), [&["x"][..], &[]]);
}

#[test]
fn a_shared_limit_may_have_the_name_of_a_route_without_one_of_its_own() {
    assert_eq!(acquired(&given("[limits.a]\nlimit = 1\n[routes.a]\nlimits = [\"a\"]\n")), [["a"]]);
}

#[test]
fn two_limits_of_one_name_are_shown_both() {
    for text in ["[routes.x]\nlimit = 1\n[limits.x]\nlimit = 1\n", "[routes.x]\nlimits = []\n[limits.x]\nlimit = 1\n"] {
        let given = given(text).file("[defaults]\nlimit = 1\n");
        let Error(problems) = given.load().unwrap_err();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert!(given.line(problem).contains("routes.x.limit and limits.x are two limits of one name"), "{problem}");
        let route = if text.contains("[]") { 3 } else { 4 };
        assert!(problem.place.contains(&format!(".toml:{route}:")), "{problem}");
        assert!(problem.also.as_ref().unwrap().ends_with(".toml:5:9"), "{problem}");
    }
}

#[test]
fn a_mistake_about_shared_limits_is_reported_with_its_place_and_key() {
    for (text, expected) in [
        (
            "[routes.a]\n",
            "0:3:9 routes.a.limit is missing: a route has a limit of its own or from [defaults] (write limit = 20, or limits = ",
        ),
        ("[routes.a]\nlimits = []\n", "0:4:1 routes.a.limits is empty, and there is no `limit` beside it"),
        ("[routes.a]\n[defaults]\nlimits = []\n", "0:3:9 routes.a.limit is missing"),
        (
            "[routes.a]\nlimits = [\"x\"]\n",
            "0:4:11 routes.a.limits names a limit that is not there: \"x\" (define it as",
        ),
        (
            "[routes.a]\nlimits = [\"db\", \"bd_main\"]\n[limits.db_main]\nlimit = 1\n[limits.db]\nlimit = 1\n",
            "0:4:17 routes.a.limits names a limit that is not there: \"bd_main\" (did you mean \"db_main\"?)",
        ),
        (
            "[routes.a]\nlimits = [\"x\"]\n[limits.db]\nlimit = 1\n",
            "0:4:11 routes.a.limits names a limit that is not there: \"x\" (the shared limits are db)",
        ),
        (
            "[routes.a]\nlimits = [\"db\", \"db\"]\n[limits.db]\nlimit = 1\n",
            "0:4:17 routes.a.limits names a limit twice: \"db\" (remove one of the two)",
        ),
        ("[routes.a]\nlimits = [\"db\", 5]\n[limits.db]\nlimit = 1\n", "0:4:17 routes.a.limits must be a text"),
        (
            "[routes.a]\nlimit = \"none\"\nlimits = [\"db\"]\n[limits.db]\nlimit = 1\n",
            "0:5:1 routes.a.limits says nothing beside limit = \"none\", which takes no permit of any kind",
        ),
        (
            "[routes.a]\n[defaults]\nlimit = \"none\"\nlimits = [\"db\"]\n[limits.db]\nlimit = 1\n",
            "0:6:1 defaults.limits says nothing beside limit = \"none\"",
        ),
        (
            "[routes.a]\n[routes.b]\npath = \"/b\"\n[defaults]\nlimits = [\"x\"]\n",
            "0:7:11 defaults.limits names a limit that is not there: \"x\"",
        ),
        (
            "[routes.a]\nlimits = [\"db\"]\nqueue = 5\n[limits.db]\nlimit = 1\n",
            "0:5:1 routes.a.queue says nothing without a `limit` beside it: shared limits have queues of their own",
        ),
        (
            "[routes.a]\nlimits = [\"db\"]\n[limits.db]\nlimit = \"none\"\n",
            "0:6:9 limits.db.limit must be a whole number from 1 to 16777215 (a route that takes no permit says",
        ),
        (
            "[routes.a]\nlimits = [\"db\"]\n[limits.db]\nqueue = 1\n",
            "0:5:9 limits.db.limit is missing (write limit = 20",
        ),
        (
            "[routes.a]\nlimits = [\"db\"]\n[limits.db]\nlimit = \"slots\"\n",
            "0:6:1 limits.db.limit is \"slots\", and the endpoints of upstreams.a have none",
        ),
        (
            "[routes.a]\nlimits = [\"db\"]\n[limits.db]\nlimit = 1\nfleet = true\n",
            "0:7:1 limits.db.fleet is not supported by this version",
        ),
        (
            "[routes.a]\nlimits = [\"db\"]\n[limits.db]\nlimit = 1\nabort_grace = \"1s\"\n",
            "0:7:1 limits.db.abort_grace is not a known key (`abort_grace` is a key of [routes.NAME], [defaults]: write it",
        ),
        ("[routes.a]\nlimit = 1\n[limits.D]\nlimit = 1\n", "0:5:9 limits.D is not a valid name"),
    ] {
        let problems = given(text).problems();
        assert!(problems[0].starts_with(expected), "{text}\nexpected {expected}\ngot      {problems:#?}");
        assert_eq!(problems.len(), 1, "{text}: {problems:#?}");
    }
}

#[test]
fn what_is_probably_not_meant_of_a_shared_limit_is_a_warning() {
    let given = given(
        "[limits.db]\nlimit = 1\nqueue = 51\nqueue_timeout = \"1m\"\n[limits.idle]\nlimit = 1\n\
         [routes.a]\nlimits = [\"db\"]\n",
    );
    let warnings = given.warnings();
    assert!(warnings[2].starts_with("0:6:1 limits.db.queue_timeout lets clients wait for 1m"), "{warnings:?}");
    assert!(warnings[0].starts_with("0:5:1 limits.db.queue lets 51 requests wait for 1 permit,"), "{warnings:?}");
    assert!(warnings[1].starts_with("0:7:9 limits.idle is used by no route"), "{warnings:?}");
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}
