//! Limits that are changed while it runs.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::quiet::alone;
use crate::support::{Sluicegate, Upstream, nothing_comes, one_of_three, soon, until};

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
    ] {
        let answer = gate.ask_admin(&format!("PATCH {DEFAULT}"), body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body.text());
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        assert_eq!(gate.limit_status().await, before, "{body}");
    }
}
