//! The keys of a route about its exchanges.

use std::time::Duration;

use super::*;
use crate::proxy::Handling;

fn handling(defaults: &str, route: &str) -> Handling {
    let text = format!("[upstreams.a]\nurl = \"http://a\"\n[defaults]\nlimit = 2\n{defaults}\n[routes.a]\n{route}\n");
    Given::default().file(&text).settings().plan.routes[0].handling
}

#[test]
fn by_default_nothing_is_done() {
    assert_eq!(handling("", ""), Handling::default());
}

#[test]
fn a_long_wait_is_worth_a_warning_unless_clients_are_told_of_it() {
    let warnings = |more: &str| {
        let file =
            format!("[upstreams.a]\nurl = \"http://a\"\n[routes.a]\nlimit = 1\nqueue_timeout = \"2m\"\n{more}\n");
        Given::default().file(&file).warnings().len()
    };
    assert_eq!((warnings(""), warnings("queue_events = \"off\""), warnings("queue_events = \"sse\"")), (1, 1, 0));
}

#[test]
fn a_route_inherits_what_it_does_not_say() {
    let defaults = "buffer_request = \"1KiB\"\nbuffer_response = \"2KiB\"\ntimeout = \"1s\"\nmax_duration = \"2s\"\n\
                    queue_events = \"sse\"\nlog = false";
    let inherited = Handling {
        buffer_request: 1 << 10,
        buffer_response: 2 << 10,
        timeout: Some(Duration::from_secs(1)),
        max_duration: Some(Duration::from_secs(2)),
        queue_events: true,
        unlogged: true,
    };
    assert_eq!(handling(defaults, ""), inherited);
    assert_eq!(handling("", defaults), inherited);
    let none = "buffer_request = 0\nbuffer_response = 0\ntimeout = \"none\"\nmax_duration = \"none\"\n\
                queue_events = \"off\"\nlog = true";
    assert_eq!(handling(defaults, none), Handling::default());
}
