//! `health`, `resolve`, `wait_for_endpoint` and `respect_retry_after`.

use std::time::Duration;

use super::*;
use crate::upstream::{self, Health, Probe, Resolve};

fn read(lines: &str) -> Result<upstream::Settings, Vec<String>> {
    let url = if lines.contains("url = ") { "" } else { "url = \"h2c://a\"\n" };
    let given = Given::default().file(&format!("[upstreams.a]\n{lines}\n{url}[routes.a]\nlimit = 1\n"));
    given.load().map(|loaded| loaded.settings.plan.upstreams[0].clone()).map_err(|_| given.problems())
}

fn health(value: &str) -> Option<Health> {
    read(&format!("health = {value}")).unwrap().health
}

#[test]
fn one_of_three_says_what_is_asked() {
    assert_eq!(read("").unwrap().health, None);
    let page = |path: &str, expect| Probe::Http { path: path.parse().unwrap(), expect };
    assert_eq!(health("{ path = \"/a?b\" }"), Some(Health::new(page("/a?b", vec![200..=299]))));
    let expect = vec![200..=399, 404..=404, 500..=599];
    assert_eq!(health("{ path = \"/\", expect = [\"200-399\", \"404\", \"5xx\"] }").unwrap().probe, page("/", expect));
    let times = "interval = \"1m\", timeout = \"2s\", up = 4, down = 5";
    let (interval, timeout) = (Duration::from_secs(60), Duration::from_secs(2));
    let probe = Probe::Grpc { service: "acme.Orders".to_owned() };
    assert_eq!(
        health(&format!("{{ grpc = \"acme.Orders\", {times} }}")),
        Some(Health { probe, interval, timeout, up: 4, down: 5 })
    );
    assert_eq!(health("{ grpc = true }").unwrap().probe, Probe::Grpc { service: String::new() });
    assert_eq!(health("{ tcp = true }").unwrap().probe, Probe::Tcp);
    assert_eq!(health("{ tcp = false }"), None);
}

#[test]
fn what_cannot_be_asked_is_said_with_its_key() {
    const WHAT: &str = "must be { path = \"/healthz\" }, { grpc = true } or { tcp = true }";
    for (value, place, expected) in [
        ("5", "0:2:10 ", WHAT),
        ("{}", "0:2:1 ", WHAT),
        ("{ path = \"/\", tcp = true }", "0:2:1 ", WHAT),
        ("{ paht = \"/\" }", "0:2:12 ", ".paht is not a known key (did you mean `path`?)"),
        ("{ path = \"healthz\" }", "0:2:19 ", ".path must be a path such as \"/healthz\""),
        ("{ path = \"/a#b\" }", "0:2:19 ", ".path must be a path"),
        ("{ path = \"/\", expect = \"6xx\" }", "0:2:33 ", ".expect must be statuses"),
        ("{ path = \"/\", expect = \"300-200\" }", "0:2:33 ", ".expect must be statuses"),
        ("{ path = \"/\", expect = [] }", "0:2:33 ", ".expect must not be empty"),
        ("{ tcp = true, expect = \"2xx\" }", "0:2:1 ", "has expect without path"),
        ("{ path = \"/\", interval = \"0s\" }", "0:2:35 ", ".interval must"),
        ("{ path = \"/\", down = 0 }", "0:2:31 ", ".down must"),
        ("{ grpc = \"\" }", "0:2:19 ", ".grpc must be true, or the name of a service"),
    ] {
        let problems = read(&format!("health = {value}")).unwrap_err();
        let gap = if expected.starts_with('.') { "" } else { " " };
        let expected = format!("upstreams.a.health{gap}{expected}");
        let said = |problem: &String| problem.strip_prefix(place).is_some_and(|problem| problem.contains(&expected));
        assert!(problems.iter().any(said), "{value}: {problems:?}");
    }
    let problems = read("url = \"http://a\"\nhealth = { grpc = true }").unwrap_err();
    assert!(problems[0].contains("asks in gRPC, and HTTP/1.1 is spoken with this upstream"), "{problems:?}");
}

#[test]
fn names_are_looked_up_every_so_often_or_once() {
    assert_eq!(read("").unwrap().resolve, Resolve::Every(Duration::from_secs(30)));
    assert_eq!(read("resolve = \"5s\"").unwrap().resolve, Resolve::Every(Duration::from_secs(5)));
    assert_eq!(read("resolve = \"once\"").unwrap().resolve, Resolve::Once);
    assert!(read("resolve = \"0s\"").is_err());
    assert_eq!(read("wait_for_endpoint = \"5s\"").unwrap().wait_for_endpoint, Duration::from_secs(5));
}

#[test]
fn a_pause_is_heeded_or_not_or_for_so_long_and_never_for_more_than_a_minute() {
    let read = |value: &str| read(&format!("respect_retry_after = {value}")).map(|read| read.respect_retry_after);
    let seconds = |n: u64| Some(Duration::from_secs(n));
    for (value, time) in [("false", None), ("true", seconds(60)), ("\"5s\"", seconds(5)), ("\"1m\"", seconds(60))] {
        assert_eq!(read(value).unwrap(), time, "{value}");
    }
    for value in ["\"61s\"", "\"0s\"", "5", "\"yes\"", "[]"] {
        let problems = read(value).unwrap_err();
        assert!(problems[0].contains("must be true, false, or a duration from \"1ms\" to \"60s\""), "{problems:?}");
    }
}
