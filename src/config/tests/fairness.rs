//! Whose a request is, how urgent, and what it costs.

use super::*;
use crate::admission::{Hold, Key, Level, Order};
use crate::proxy::{Cost, Missing, Priority, TrustHeaders, Unknown};

const UPSTREAM: &str = "[upstreams.a]\nurl = \"http://a\"\n[server]\ntrusted_proxies = \"private\"\n";

fn given(text: &str) -> Given {
    Given::default().file(&format!("{UPSTREAM}{text}"))
}

#[test]
fn every_key_of_a_limit_that_is_about_order_and_keys_is_read() {
    let given = given(
        "[routes.a]\nlimit = 40\norder = \"adaptive_lifo\"\nhold = \"head\"\ndry_run = true\n\
         key = [\"header:x-tenant\", \"host\"]\nper_key = 5\nper_key_queue = 7\nmissing_key = \"client_ip\"\n\
         unknown_key = \"reject\"\nmax_keys = 9\nkeys = { \"acme + a\" = { per_key = 20, weight = 3 }, _ = { weight = 2 } }\n",
    );
    let settings = given.settings();
    let limit = &settings.plan.limits[0];
    assert_eq!((limit.order, limit.hold, limit.dry_run), (Order::AdaptiveLifo, Hold::Head, true));
    let rules = limit.rules.as_ref().unwrap();
    assert_eq!((rules.per_key.map(|n| n.get()), rules.per_key_queue, rules.max_keys), (Some(5), Some(7), 9));
    let acme = rules.keys[&Key::new("acme + a")];
    assert_eq!((acme.per_key.map(|n| n.get()), acme.weight.map(|n| n.get())), (Some(20), Some(3)));
    assert_eq!(rules.shared.weight.map(|n| n.get()), Some(2));
    let how = settings.plan.keys[0].as_ref().unwrap();
    assert_eq!((how.missing, how.unknown, how.named.len()), (Missing::ClientIp, Unknown::Reject, 1));
}

#[test]
fn every_key_of_a_route_that_is_about_its_requests_is_read() {
    let given = given(
        "[defaults]\npriority = \"low\"\n\
         [routes.a]\nlimit = 9\npriority = \"header\"\ncost = \"header:x-cost\"\ndeadline = false\ntrust_headers = \"all\"\n\
         [routes.b]\npath = \"/b\"\nlimit = 9\ncost = 3\n",
    );
    let plan = given.settings().plan;
    let (a, b) = (&plan.routes[0].claim, &plan.routes[1].claim);
    assert_eq!((a.priority, a.deadline, a.trust_headers), (Priority::Header, false, TrustHeaders::All));
    assert_eq!(a.cost, Cost::Header("x-cost".parse().unwrap()));
    assert_eq!((b.priority, b.cost.clone(), b.deadline), (Priority::Level(Level::Low), Cost::Fixed(3), true));
}

#[test]
fn what_can_never_be_right_is_an_error() {
    for (text, message) in [
        ("[routes.a]\nlimit = 9\nper_key = 3\n", "0:7:1 routes.a.per_key says nothing without a `key` beside it"),
        ("[routes.a]\nlimit = 9\nkey = \"ip\"\n", "0:7:7 routes.a.key must be a key expression"),
        ("[routes.a]\nlimit = 9\ncost = 10\n", "0:7:1 routes.a.cost takes 10 permits, and the limit \"a\" has 9"),
        ("[limits.db]\nlimit = 2\n[routes.a]\nlimits = \"db\"\ncost = 3\n", "routes.a.cost takes 3 permits"),
        (
            "[routes.a]\nlimit = 9\nkey = \"bearer\"\nkeys = { secret = { per_key = 1 } }\n",
            "but these keys are secrets",
        ),
        ("[routes.a]\nlimit = 9\nkey = \"host\"\nkeys = { a = { rate = 1 } }\n", "or both (there is no `rate` here)"),
        (
            "[defaults]\nper_key = 2\n[routes.a]\nlimit = 9\n",
            "0:6:1 defaults.per_key says nothing: no limit has a `key`",
        ),
        (
            "[routes.a]\nlimit = 9\nkey = \"host\"\nper_key = 2\ncost = 3\n",
            "a.cost takes 3 permits, and one key may have 2",
        ),
        (
            "[routes.a]\nlimit = 9\nkey = \"host\"\nkeys = { x = { per_key = 2 } }\ncost = 3\n",
            "a.cost takes 3 permits, and the key \"x\" may have 2 of \"a\"",
        ),
        ("[routes.a]\nlimit = 9\npriority = \"urgent\"\n", "routes.a.priority must be one of"),
        ("[routes.a]\nlimit = 9\ncost = \"header:a b\"\n", "routes.a.cost must name a header"),
        ("[routes.a]\nlimit = \"none\"\norder = \"lifo\"\n", "routes.a.order says nothing beside limit"),
    ] {
        let problems = given(text).problems();
        assert!(problems.iter().any(|problem| problem.contains(message)), "{text}: {problems:#?}");
    }
}

#[test]
fn what_is_hardly_meant_is_a_warning() {
    for (text, message) in [
        ("[routes.a]\nlimit = 9\nkey = \"host\"\nper_key = 10\n", "lets one key have 10 of 9 permits"),
        (
            "[defaults]\nper_key = 10\n[routes.a]\nlimit = 9\nkey = \"host\"\n",
            "0:6:1 routes.a.per_key lets one key have 10 of 9 permits",
        ),
        (
            "[routes.a]\nlimit = 9\nkey = \"host\"\nkeys = { x = { per_key = 50 }, _ = { per_key = 9 } }\n",
            "a.keys lets the key \"x\" have 50 of 9 permits",
        ),
        (
            "[routes.a]\nlimit = 9\nkey = \"host\"\nunknown_key = \"reject\"\n",
            "0:8:1 routes.a.unknown_key turns everybody away who has a key: `keys` names none",
        ),
        (
            "[routes.a]\nlimit = 9\nkey = \"host\"\nunknown_key = \"shared\"\n",
            "a.unknown_key lets all keys share one bucket: `keys` names none",
        ),
        (
            "[defaults]\nqueue_timeout = \"2m\"\n[routes.a]\nlimit = 9\n",
            "0:6:1 defaults.queue_timeout lets clients wait for 2m",
        ),
        (
            "[limits.b]\nlimit = 9\nqueue_timeout = \"2m\"\n[routes.a]\nlimits = \"b\"\nqueue_events = \"sse\"\n\
             [routes.c]\npath = \"/c\"\nlimits = \"b\"\n",
            "limits.b.queue_timeout lets clients wait for 2m",
        ),
        ("[routes.a]\nlimit = 9\nhold = \"head\"\n", "gives the permit back with the head"),
        ("[routes.a]\nlimit = 9\nkey = \"path:id\"\npath = \"/a/{other}\"\n", "takes {id}, which the path of routes.a"),
    ] {
        let warnings = given(text).warnings();
        assert!(warnings.iter().any(|warning| warning.contains(message)), "{text}: {warnings:#?}");
    }
    let behind_nobody = "[upstreams.a]\nurl = \"http://a\"\n[routes.a]\nlimit = 9\nkey = \"client_ip\"\n";
    let warnings = Given::default().file(behind_nobody).warnings();
    assert!(warnings.iter().any(|warning| warning.contains("whoever connects")), "{warnings:#?}");
}

#[test]
fn what_holds_for_all_routes_of_a_limit_is_no_cause_for_a_warning() {
    for text in [
        "[limits.b]\nlimit = 9\nqueue_timeout = \"2m\"\n[routes.a]\nlimits = \"b\"\nqueue_events = \"sse\"\n",
        "[defaults]\nqueue_timeout = \"2m\"\nqueue_events = \"sse\"\n[routes.a]\nlimit = 9\n",
        "[defaults]\nper_key = 2\n[routes.a]\nlimit = 9\n[routes.b]\npath = \"/b\"\nlimit = 9\nkey = \"host\"\n",
        "[routes.a]\nlimit = 9\nkey = \"host\"\nper_key = 3\ncost = 3\n",
    ] {
        assert_eq!(given(text).warnings(), Vec::<String>::new(), "{text}");
    }
}
