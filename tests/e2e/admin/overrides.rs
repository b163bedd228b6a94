//! Limits that are changed while it runs.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::quiet::alone;
use crate::support::{Call, Client, Sluicegate, Upstream, nothing_comes, one_of_three, soon, until};

const DEFAULT: &str = "/api/v1/limits/default";

#[tokio::test]
async fn raising_a_limit_admits_waiters_at_once() {
    let _alone = alone();
    one_of_three(async || {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(3).queue(20).admin().in_front_of(&upstream).await;
        let mut clients = Vec::new();
        for _ in 0..12 {
            clients.push(gate.get("/").await);
        }
        until("nine to wait", async || gate.limit_status().await["queue_length"] == 9).await;
        upstream.until_inside(3).await;
        let start = Instant::now();
        let answer = gate.ask_admin(&format!("PATCH {DEFAULT}"), r#"{"limit":8,"for":"1h"}"#).await;
        upstream.until_inside(8).await;
        let took = start.elapsed();
        let state = answer.json();
        assert_eq!((answer.status, &state["limit"], &state["configured"]["limit"]), (200, &8.into(), &3.into()));
        for _ in 0..12 {
            soon("a request", upstream.next()).await.respond(200, "").await;
        }
        for client in &mut clients {
            assert_eq!(client.answer().await.status, 200);
        }
        assert_eq!(upstream.peak(), 8);
        if took <= Duration::from_millis(50) { Ok(()) } else { Err(format!("it took {took:?}")) }
    })
    .await;
}

#[tokio::test]
async fn an_override_ends_by_itself_and_cuts_nobody() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(20).admin().in_front_of(&upstream).await;
    let patch = r#"{"limit":3,"queue":2,"queue_timeout":"7s","for":"3s"}"#;
    let set = Instant::now();
    let state = gate.ask_admin(&format!("PATCH {DEFAULT}"), patch).await.json();
    assert_eq!((&state["limit"], &state["queue"], &state["queue_timeout"]), (&3.into(), &2.into(), &"7s".into()));
    let over = &state["override"];
    assert_eq!((&over["limit"], &over["queue"], &over["by"]), (&3.into(), &2.into(), &"127.0.0.1".into()));
    let ends = over["until"].as_str().unwrap();
    assert!(ends.len() == "2026-03-01T12:00:00Z".len() && ends.ends_with('Z'), "{ends}");
    let mut clients = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..3 {
        clients.push(gate.get("/").await);
        calls.push(soon("a request beside the others", upstream.next()).await);
    }
    let mut waiter = gate.waiting("/waits").await;

    until("the override to be over", async || gate.limit_status().await["override"] == Value::Null).await;
    assert!(set.elapsed() >= Duration::from_millis(2950), "{:?}", set.elapsed());
    let state = gate.limit_status().await;
    assert_eq!((&state["limit"], &state["queue"], &state["queue_timeout"]), (&1.into(), &20.into(), &"1m".into()));
    assert_eq!(state["in_flight"], 3, "nobody is cut");
    for call in calls.drain(..2) {
        call.respond(200, "").await;
    }
    assert!(nothing_comes(upstream.next()).await, "one is in flight, and one is the limit");
    calls.remove(0).respond(200, "").await;
    soon("the waiter", upstream.next()).await.respond(200, "").await;
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(waiter.answer().await.status, 200);
    for part in ["a limit has been changed", "by=127.0.0.1", "limit 3, queue 2, queue timeout 7s", "override is over"] {
        assert!(gate.log().contains(part), "{part} in {}", gate.log());
    }
}

#[tokio::test]
async fn a_second_change_adds_to_the_first_and_a_reset_ends_both() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(20).admin().in_front_of(&upstream).await;
    gate.ask_admin(&format!("PATCH {DEFAULT}"), r#"{"limit":3,"queue":2,"for":"2s"}"#).await;
    let state = gate.ask_admin(&format!("PATCH {DEFAULT}"), r#"{"limit":5,"for":"forever"}"#).await.json();
    assert_eq!((&state["limit"], &state["queue"]), (&5.into(), &2.into()));
    assert_eq!(state["override"]["until"], Value::Null);
    // Longer than the first one was to last; the second one has come in good time even on a busy machine.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(gate.limit_status().await["limit"], 5, "the first one's end is none any more");
    for _ in 0..2 {
        let answer = gate.ask_admin(&format!("DELETE {DEFAULT}"), "").await;
        let state = answer.json();
        assert_eq!((answer.status, &state["limit"], &state["override"]), (200, &1.into(), &Value::Null));
    }
}

#[tokio::test]
async fn a_bad_change_changes_nothing() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).admin().in_front_of(&upstream).await;
    let before = gate.limit_status().await;
    for (body, status) in [
        ("", 400),
        ("limit=8", 400),
        ("[8]", 400),
        ("{}", 422),
        (r#"{"for":"1h"}"#, 422),
        (r#"{"limit":0}"#, 422),
        (r#"{"limit":16777216}"#, 422),
        (r#"{"limit":"8"}"#, 422),
        (r#"{"limit":8,"queue":-1}"#, 422),
        (r#"{"limit":8,"queue_timeout":"soon"}"#, 422),
        (r#"{"limit":8,"for":"0s"}"#, 422),
        (r#"{"limit":8,"lmit":9}"#, 422),
        (r#"{"limit":8,"per_key":2}"#, 422),
        (r#"{"key":"acme","per_key":2}"#, 422),
        (r#"{"limit":8,"key":"acme"}"#, 422),
        (r#"{"dry_run":1}"#, 422),
        (r#"{"limit":8,"limit":9}"#, 422),
        (r#"{"freeze":true}"#, 422),
    ] {
        let answer = gate.ask_admin(&format!("PATCH {DEFAULT}"), body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body.text());
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        assert_eq!(gate.limit_status().await, before, "{body}");
    }
}

#[tokio::test]
async fn caps_of_keys_are_changed_for_all_or_for_one_survive_a_reload_and_go_back_to_the_file() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(9).queue(0).admin().route("key = \"header:x-tenant\"");
    let mut gate = setup.in_front_of(&upstream).await;
    let (uncapped, capped) = (setup.text(&upstream.url()), setup.route("per_key = 1").text(&upstream.url()));
    let changed = gate.command(&["limit", "set", "default", "--per-key", "1"]).await;
    assert!(changed.stdout.contains(", per key 1 until 2"), "{changed:?}");
    let changed = gate.command(&["limit", "set", "default", "--key", "acme", "--per-key", "2"]).await;
    assert!(changed.stdout.contains(", per key 1, key acme 2 until 2"), "{changed:?}");

    let mut inside = Inside::default();
    inside.fill(&gate, &mut upstream, "acme", 2).await;
    inside.fill(&gate, &mut upstream, "other", 1).await;
    gate.reload(&format!("{uncapped}\n[limits.more]\nlimit = 5\n")).await;
    for tenant in ["acme", "other"] {
        let refused = of(&gate, tenant).await.answer().await;
        refused.expect(429, "key_limit");
        // It is told to clients as it is.
        let quota = format!("\"default\";q={};qu=\"concurrent-requests\"", if tenant == "acme" { 2 } else { 1 });
        assert_eq!(refused.head.field("ratelimit-policy"), Some(quota), "{tenant}");
    }
    let state = gate.limit_status().await;
    assert_eq!((&state["per_key"], &state["configured"]["per_key"]), (&1.into(), &Value::Null));
    assert_eq!((&state["override"]["per_key"], &state["override"]["keys"]["acme"]), (&1.into(), &2.into()));
    for part in ["per key 1, key acme 2", "by=127.0.0.1"] {
        assert!(gate.log().contains(part), "{part} in {}", gate.log());
    }

    gate.reload(&capped).await;
    let reset = gate.ask_admin(&format!("DELETE {DEFAULT}"), "").await.json();
    assert_eq!((&reset["per_key"], &reset["override"]), (&1.into(), &Value::Null), "as the file now says");
    inside.leave().await;
    inside.fill(&gate, &mut upstream, "acme", 1).await;
    of(&gate, "acme").await.answer().await.expect(429, "key_limit");
    inside.leave().await;
}

#[tokio::test]
async fn a_key_that_is_secret_is_called_by_what_is_shown_of_it_and_counts_from_before() {
    let mut upstream = Upstream::start().await;
    let setup =
        Sluicegate::with_limit(9).queue(0).admin().route("key = \"bearer\"\nper_key = 1\nunknown_key = \"reject\"");
    // printf 't' | sha256sum
    let gate = setup.route("keys = { \"sha256:e3b98a4d\" = { weight = 1 } }").in_front_of(&upstream).await;
    let ask = async |token: &str| {
        let mut client = gate.client().await;
        client.request("GET", "/", &[&format!("authorization: Bearer {token}")]).await;
        client
    };
    let _first = ask("t").await;
    let _call = soon("the first", upstream.next()).await;
    ask("t").await.answer().await.expect(429, "key_limit");
    ask("u").await.answer().await.expect(429, "key_limit");
    let plain = gate.command(&["limit", "set", "default", "--key", "hunter2", "--per-key", "2"]).await;
    assert_eq!((plain.code, plain.stderr.contains("hunter2")), (Some(1), false), "{plain:?}");
    assert!(plain.stderr.contains("sha256:"), "{plain:?}");

    // Two keys of one file: printf 'u' | sha256sum; this one is known from now on.
    for key in ["sha256:e3b98a4d", "sha256:0bfe935e"] {
        let set = gate.command(&["limit", "set", "default", "--key", key, "--per-key", "2"]).await;
        assert_eq!(set.code, Some(0), "{set:?}");
    }
    let _second = ask("t").await;
    let _call = soon("the second", upstream.next()).await;
    ask("t").await.answer().await.expect(429, "key_limit");
    let _third = ask("u").await;
    let _call = soon("the one that the file does not know", upstream.next()).await;
}

#[tokio::test]
async fn a_dry_run_for_a_while_lets_those_go_who_wait_and_then_the_limit_holds_again() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(4).admin();
    let mut gate = setup.in_front_of(&upstream).await;
    let text = setup.text(&upstream.url());
    let mut clients = vec![gate.get("/").await];
    let mut calls = vec![soon("the first", upstream.next()).await];
    clients.push(gate.waiting("/waits").await);
    let set = gate.command(&["limit", "set", "default", "--dry-run"]).await;
    assert!(set.stdout.contains(", dry run until 2"), "{set:?}");
    calls.push(soon("the waiter", upstream.next()).await);
    gate.reload(&format!("{text}\n[limits.more]\nlimit = 5\n")).await;
    clients.push(gate.get("/").await);
    calls.push(soon("one beyond the limit", upstream.next()).await);
    let state = gate.limit_status().await;
    assert_eq!((&state["dry_run"], &state["configured"]["dry_run"]), (&true.into(), &false.into()));
    assert!(gate.command(&["status"]).await.stdout.starts_with("dry run, nothing waits or is rejected: default\n"));

    gate.ask_admin(&format!("PATCH {DEFAULT}"), r#"{"dry_run":false}"#).await;
    clients.push(gate.waiting("/waits-again").await);
    let _ = gate.command(&["limit", "reset", "default"]).await;
    assert_eq!(gate.limit_status().await["dry_run"], false);
    for call in calls {
        call.respond(200, "").await;
    }
    soon("the last", upstream.next()).await.respond(200, "").await;
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn without_a_limit_for_a_while_all_go() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(4).admin().in_front_of(&upstream).await;
    let mut clients = vec![gate.get("/").await];
    let mut calls = vec![soon("the first", upstream.next()).await];
    clients.push(gate.waiting("/waits").await);
    let set = gate.command(&["limit", "set", "default", "none", "--for", "10m"]).await;
    assert!(set.stdout.starts_with("default: limit none, queue 4"), "{set:?}");
    calls.push(soon("the waiter", upstream.next()).await);
    let status = gate.command(&["status"]).await.stdout;
    assert!(status.contains(" 2/none ") && status.contains(" limit none until 2"), "{status}");
    for call in calls {
        call.respond(200, "").await;
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    let reset = gate.command(&["limit", "reset", "default"]).await;
    assert!(reset.stdout.starts_with("default: limit 1, "), "{reset:?}");
}

/// A request of a tenant.
async fn of(gate: &Sluicegate, tenant: &str) -> Client {
    let mut client = gate.client().await;
    client.request("GET", "/", &[&format!("x-tenant: {tenant}")]).await;
    client
}

/// Requests that have been admitted.
#[derive(Default)]
struct Inside(Vec<(Client, Call)>);

impl Inside {
    async fn fill(&mut self, gate: &Sluicegate, upstream: &mut Upstream, tenant: &str, many: usize) {
        for _ in 0..many {
            let client = of(gate, tenant).await;
            self.0.push((client, soon("a request", upstream.next()).await));
        }
    }

    async fn leave(&mut self) {
        for (mut client, call) in self.0.drain(..) {
            call.respond(200, "").await;
            assert_eq!(client.answer().await.status, 200);
        }
    }
}
