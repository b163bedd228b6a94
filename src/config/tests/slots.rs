//! Limits that go by the slots of endpoints.

use super::*;

const UPSTREAM: &str = "[upstreams.a]\nendpoints = [\"http://a\", { url = \"http://b\", slots = 3 }]\nslots = 2\n";

#[test]
fn an_upstream_with_slots_is_the_last_limit_of_its_routes() {
    let routes = "[routes.a]\nlimit = 9\nqueue_timeout = \"30s\"\n[routes.b]\npath = \"/b\"\nlimits = [\"s\"]\n\
                  [routes.c]\npath = \"/c\"\nlimit = \"none\"\n[limits.s]\nlimit = 7\n";
    let plan = Given::default().file(&format!("{UPSTREAM}{routes}")).settings().plan;
    let slots: Vec<_> = plan.upstreams[0].slots.iter().map(|slots| slots.get()).collect();
    assert_eq!(slots, [2, 3]);
    let limits: Vec<_> = plan.routes.iter().map(|route| route.limits.clone()).collect();
    assert_eq!(limits, [vec![0, 2], vec![1, 2], vec![]]);
    let last = &plan.limits[2];
    assert_eq!((last.name.as_str(), last.limit.get(), last.queue, last.takes_one), ("upstreams.a", 5, 20, true));
    assert_eq!(last.queue_timeout.as_secs(), 30, "it makes no wait shorter");
    let [measured] = plan.measured[..] else { panic!("{plan:?}") };
    assert_eq!((measured.limit, measured.upstream, measured.queue_follows), (2, 0, true));
}

#[test]
fn a_limit_can_be_the_sum_of_the_slots() {
    let routes =
        "[routes.a]\nlimit = \"slots\"\nlimits = [\"s\"]\ncost = 6\n[limits.s]\nlimit = \"slots\"\nqueue = 1\n";
    let given = Given::default().file(&format!("{UPSTREAM}{routes}"));
    let plan = given.settings().plan;
    let limits: Vec<_> = plan.limits.iter().map(|limit| (limit.limit.get(), limit.queue)).collect();
    assert_eq!(limits, [(5, 20), (5, 1), (5, 20)]);
    let follow: Vec<_> = plan.measured.iter().map(|measured| measured.queue_follows).collect();
    assert_eq!(follow, [true, false, true]);
    let warnings = given.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let expected = "0:9:1 limits.s.limit and \"a\" are two limits of the slots of upstreams.a (write one [limits.a]";
    assert!(warnings[0].starts_with(expected), "{warnings:?}");
}

#[test]
fn what_could_not_be_read_is_reported_and_nothing_else() {
    let routes = "[routes.a]\nlimits = [\"s\", \"t\"]\n[limits.s]\nlimit = \"slots\"\n[limits.t]\nlimit = 0\n";
    let problems = Given::default().file(&format!("{UPSTREAM}{routes}")).problems();
    assert!(problems.len() == 1 && problems[0].starts_with("0:9:9 limits.t.limit must be"), "{problems:?}");
}

#[test]
fn slots_have_to_be_of_one_upstream_and_of_all_of_its_endpoints() {
    for (text, expected) in [
        (
            "[upstreams.a]\nurl = \"http://a\"\nslots = 1\n[upstreams.b]\nurl = \"http://b\"\nslots = 1\n\
             [routes.a]\nupstream = \"a\"\nlimits = [\"s\"]\n[routes.b]\npath = \"/b\"\nupstream = \"b\"\n\
             limits = [\"s\"]\n[limits.s]\nlimit = \"slots\"\n",
            "0:15:1 limits.s.limit is \"slots\", and its routes lead to several upstreams",
        ),
        (
            "[upstreams.a]\nendpoints = [\"http://a\", { url = \"http://b\", slots = 1 }]\n[routes.a]\nlimit = 1\n",
            "0:2:1 upstreams.a.endpoints has slots for some of the endpoints only",
        ),
        (
            "[upstreams.a]\nendpoints = [{ url = \"http://b\", slot = 1 }]\n[routes.a]\nlimit = 1\n",
            "0:2:14 upstreams.a.endpoints must be a URL, or { url = ",
        ),
        (
            "[upstreams.a]\nendpoints = [{ url = \"http://b\", slots = 0 }]\n[routes.a]\nlimit = 1\n",
            "0:2:14 upstreams.a.endpoints must be a whole number from 1",
        ),
    ] {
        let problems = Given::default().file(text).problems();
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "{text}: {problems:?}");
    }
}
