//! Limits that find themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use serde_json::Value;

use crate::support::sluicegate::Setup;
use crate::support::{Client, Sluicegate, Upstream, soon, until};

/// An upstream that does most with so many at a time: more only take longer, and that the more the more there are.
/// Crowds of four times as many are enough to see it: with more, requests take so long that little is learnt in a test's time.
async fn with_a_knee(places: u32) -> Upstream {
    let inside = Arc::new(AtomicU32::new(0));
    Upstream::that(move |call| {
        let inside = inside.clone();
        async move {
            let crowd = f64::from(inside.fetch_add(1, SeqCst) + 1) / f64::from(places);
            tokio::time::sleep(Duration::from_millis(10).mul_f64(crowd.max(1.0).powi(2))).await;
            inside.fetch_sub(1, SeqCst);
            call.respond(200, "done\n").await;
        }
    })
    .await
}

fn adaptive(min: u32, max: u32, initial: u32) -> Setup {
    let limit = format!("limit = {{ adaptive = \"knee\", min = {min}, max = {max}, initial = {initial} }}");
    Setup::default().admin().route(&limit)
}

/// So many clients, each of which asks again as soon as it has its answer. They leave when this is dropped.
fn crowd(gate: &Sluicegate, clients: usize) -> tokio::task::JoinSet<()> {
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let address = gate.address;
        crowd.spawn(async move {
            let mut client = Client::connect(address).await;
            loop {
                client.get("/").await;
                client.answer().await;
            }
        });
    }
    crowd
}

async fn found(gate: &Sluicegate) -> Value {
    gate.limit_status().await["adaptive"].clone()
}

async fn until_found(gate: &Sluicegate, what: &str, is_it: impl Fn(&Value) -> bool) {
    until(what, async || is_it(&found(gate).await)).await;
}

#[tokio::test]
async fn the_knee_is_found_and_told() {
    let upstream = with_a_knee(4).await;
    let gate = adaptive(1, 200, 16).in_front_of(&upstream).await;
    assert_eq!(
        (gate.limit_status().await["limit"].as_u64(), found(&gate).await["limit"].as_u64()),
        (Some(16), Some(16))
    );
    let _crowd = crowd(&gate, 20);
    until_found(&gate, "the limit to come down", |found| found["limit"].as_u64() <= Some(10)).await;
    until_found(&gate, "what few take to be known", |found| found["baseline_seconds"].as_f64() < Some(0.1)).await;
    let metrics = gate.metrics().await;
    assert!(metrics["sluicegate_limit{limit=\"default\"}"] < 16.0);
    assert!(metrics["sluicegate_limit_baseline_seconds{limit=\"default\"}"] >= 0.009);
    assert!(metrics.keys().any(|name| name.starts_with("sluicegate_limit_changes_total{limit=\"default\",reason=")));
    let status = gate.command(&["status"]).await;
    assert!(status.stdout.contains("default: adaptive is "), "{status:?}");
}

#[tokio::test]
async fn a_number_that_was_set_stays_and_a_frozen_one_as_well() {
    let upstream = with_a_knee(4).await;
    let gate = adaptive(1, 200, 16).in_front_of(&upstream).await;
    let set = gate.command(&["limit", "set", "default", "12", "--for", "10m"]).await;
    assert_eq!(set.code, Some(0), "{set:?}");
    let _crowd = crowd(&gate, 20);
    until_found(&gate, "to rest", |found| found["reason"] == "pinned").await;
    assert_eq!(gate.limit_status().await["limit"], 12);
    gate.command(&["limit", "reset", "default"]).await;
    until_found(&gate, "to go on by itself", |found| found["limit"].as_u64() < Some(11)).await;
    let frozen = gate.command(&["limit", "set", "default", "--freeze"]).await;
    let limit = gate.limit_status().await["limit"].clone();
    assert!(frozen.stdout.starts_with(&format!("default: frozen at {limit}, ")), "{frozen:?}");
    assert_eq!(found(&gate).await["reason"], "frozen");
    let admitted = gate.limit_status().await["admitted"].as_u64().unwrap();
    until("a hundred more to have gone", async || {
        gate.limit_status().await["admitted"].as_u64() > Some(admitted + 100)
    })
    .await;
    assert_eq!(gate.limit_status().await["limit"], limit);
    assert!(gate.command(&["status"]).await.stdout.contains("frozen until"));
    let reset = gate.command(&["limit", "reset", "default"]).await;
    assert!(reset.stdout.starts_with("default: adaptive from 1 to 200, now "), "{reset:?}");
    let reason = found(&gate).await["reason"].clone();
    assert!(reason != "frozen" && reason != "pinned", "{reason}");
}

#[tokio::test]
async fn a_reload_keeps_what_was_found_within_the_new_bounds() {
    let upstream = with_a_knee(4).await;
    let text = |max| adaptive(1, max, 16).text(&upstream.url());
    let mut gate = Sluicegate::configured_with(&text(200), &["--admin", "127.0.0.1:0"], &[]).await;
    let crowd_of = crowd(&gate, 20);
    until_found(&gate, "the limit to come down", |found| found["limit"].as_u64() <= Some(12)).await;
    drop(crowd_of);
    until("all to be gone", async || gate.limit_status().await["in_flight"] == 0).await;
    let before = found(&gate).await["limit"].as_u64().unwrap();
    gate.reload(&text(150)).await;
    assert_eq!((found(&gate).await["limit"].as_u64(), &found(&gate).await["max"]), (Some(before), &150.into()));
    gate.reload(&text(60).replace("max = 60, initial = 16", "max = 2, initial = 2")).await;
    assert_eq!(gate.limit_status().await["limit"], 2);
}

#[tokio::test]
async fn a_shadow_is_shown_and_not_enforced() {
    let upstream = with_a_knee(4).await;
    let shadow = "shadow = { adaptive = \"knee\", min = 1, max = 200, initial = 20 }";
    let gate = Sluicegate::with_limit(20).route(shadow).admin().in_front_of(&upstream).await;
    let few = crowd(&gate, 2);
    until_found(&gate, "what few take to be known", |found| !found["baseline_seconds"].is_null()).await;
    drop(few);
    let _crowd = crowd(&gate, 40);
    until("the limit to be in use", async || upstream.peak() == 20).await;
    until_found(&gate, "the shadow to come down", |found| found["limit"].as_u64() < Some(15)).await;
    let metrics = gate.metrics().await;
    assert_eq!(metrics["sluicegate_limit{limit=\"default\"}"], 20.0);
    assert!(metrics["sluicegate_limit_shadow{limit=\"default\"}"] < 15.0);
    assert_eq!(upstream.peak(), 20);
    let refused = gate.command(&["limit", "set", "default", "--freeze"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
}

#[tokio::test]
async fn bodies_and_upgrades_are_no_part_of_how_long_requests_take() {
    let mut upstream = Upstream::start().await;
    let gate = adaptive(50, 50, 50).in_front_of(&upstream).await;
    let mut tunnels = Vec::new();
    for _ in 0..25 {
        let mut client = gate.client().await;
        client.request("GET", "/", &["Connection: upgrade", "Upgrade: echo"]).await;
        let mut call = soon("the request", upstream.next()).await;
        call.send_raw("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(client.head().await.status(), 101);
        tunnels.push((client, call));
    }
    assert!(found(&gate).await["baseline_seconds"].is_null());
    let mut streams = Vec::new();
    for _ in 0..25 {
        let mut client = gate.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        call.start_streaming(&[]).await;
        client.head().await;
        streams.push((client, call));
    }
    // Their heads have come; whatever is to be known of them is.
    until_found(&gate, "the times of heads", |found| found["baseline_seconds"].as_f64() < Some(5.0)).await;
    assert_eq!(gate.limit_status().await["in_flight"], 50);
}

#[tokio::test]
async fn failures_that_come_fast_do_not_look_like_a_fast_upstream() {
    let upstream = Upstream::that(|call| call.respond(503, "too much\n")).await;
    let gate = adaptive(1, 200, 60).in_front_of(&upstream).await;
    let _crowd = crowd(&gate, 80);
    until("a thousand to have gone", async || gate.limit_status().await["admitted"].as_u64() > Some(1000)).await;
    let found = found(&gate).await;
    assert!(found["baseline_seconds"].is_null() && found["limit"].as_u64() <= Some(60), "{found}");
}

#[tokio::test]
async fn it_explains_what_it_will_do() {
    let upstream = Upstream::start().await;
    let gate = adaptive(1, 200, 60).in_front_of(&upstream).await;
    assert!(gate.start_line.contains("limit 1 to 200, queue 240"), "{}", gate.start_line);
    let status = gate.limit_status().await;
    assert_eq!((&status["queue"], &status["configured"]["limit"]), (&240.into(), &60.into()));
}

#[tokio::test]
async fn a_number_is_suggested_once_enough_was_seen_and_what_was_found_at_once() {
    let upstream = Upstream::start().await;
    let suggested = async |gate: &Sluicegate| {
        let shown = gate.command(&["suggest"]).await;
        assert_eq!(shown.code, Some(0), "{shown:?}");
        shown.stdout.lines().nth(1).expect("a row").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let found = adaptive(1, 200, 60).in_front_of(&upstream).await;
    assert_eq!(suggested(&found).await, "default 60 60 it is adaptive: that is what it has found");
    let fixed = Sluicegate::with_limit(20).admin().in_front_of(&upstream).await;
    let row = suggested(&fixed).await;
    assert!(row.starts_with("default 20 - not enough data yet: "), "{row}");
}
