//! Requests that come while no endpoint takes any.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Client, Sluicegate, Upstream, soon, until};

const HEALTH: &str = "health = { path = \"/healthz\", interval = \"20ms\", timeout = \"5s\", up = 1, down = 1 }";

/// An upstream that answers, and is as healthy as it is told.
async fn patient() -> (Upstream, Arc<AtomicBool>) {
    let healthy = Arc::new(AtomicBool::new(false));
    let state = healthy.clone();
    let upstream = Upstream::that(move |call| {
        let ill = call.path() == "/healthz" && !state.load(Ordering::Relaxed);
        let told = call.head.field("x-request-timeout").unwrap_or_default();
        async move { call.respond(if ill { 503 } else { 200 }, told).await }
    })
    .await;
    (upstream, healthy)
}

async fn until_down(gate: &Sluicegate) {
    until("it to be down", async || {
        let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
        list["upstreams"][0]["endpoints"][0]["state"] == "down"
    })
    .await;
}

async fn until_in_flight(gate: &Sluicegate, n: usize) {
    until(&format!("{n} in flight"), async || gate.limit_status().await["in_flight"] == n).await;
}

/// A client whose request has its permit, and no endpoint.
async fn stands_in_line(gate: &Sluicegate, n: usize) -> Client {
    let client = gate.get("/").await;
    until_in_flight(gate, n).await;
    client
}

#[tokio::test]
async fn who_waits_is_let_go_when_an_endpoint_is_back_and_not_all_at_once() {
    let (upstream, healthy) = patient().await;
    let setup = Sluicegate::with_limit(8).queue(8).admin().upstream(HEALTH).upstream("wait_for_endpoint = \"60s\"");
    let gate = setup.in_front_of(&upstream).await;
    until_down(&gate).await;
    let mut clients = Vec::new();
    for n in 1..=8 {
        clients.push(stands_in_line(&gate, n).await);
    }
    // The limit is full of those who wait: the next one stands before it.
    let mut ninth = gate.waiting("/").await;
    let start = Instant::now();
    healthy.store(true, Ordering::Relaxed);
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    // Eight over a second: the last goes after seven eighths of it.
    assert!(start.elapsed() > Duration::from_millis(800), "{:?}", start.elapsed());
    assert_eq!(ninth.answer().await.status, 200);
    until_in_flight(&gate, 0).await;
}

#[tokio::test]
async fn after_its_time_the_answer_is_no_endpoint_and_without_one_at_once() {
    for wait in ["0s", "200ms"] {
        let (upstream, _) = patient().await;
        let wait = format!("wait_for_endpoint = \"{wait}\"");
        let setup = Sluicegate::with_limit(1).queue(0).admin().upstream(HEALTH).upstream(&wait);
        let gate = setup.in_front_of(&upstream).await;
        until_down(&gate).await;
        for _ in 0..3 {
            gate.get("/").await.answer().await.expect(503, "no_endpoint");
            until_in_flight(&gate, 0).await;
        }
    }
}

#[tokio::test]
async fn who_leaves_while_it_waits_gives_its_permit_back_and_a_deadline_ends_the_wait() {
    let (upstream, healthy) = patient().await;
    let setup = Sluicegate::with_limit(1).queue(2).admin().upstream(HEALTH).upstream("wait_for_endpoint = \"60s\"");
    let gate = setup.in_front_of(&upstream).await;
    until_down(&gate).await;
    stands_in_line(&gate, 1).await.leave();
    until_in_flight(&gate, 0).await;
    let held = async || gate.metrics().await["sluicegate_permit_hold_seconds_count{route=\"default\"}"];
    until("its permit to be counted", async || held().await == 1.0).await;
    let mut client = gate.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Timeout: 100ms\r\n\r\n").await;
    client.answer().await.expect(503, "no_endpoint");
    // What was waited here is not there to be waited again.
    let mut client = gate.client().await;
    client.request("GET", "/", &["X-Request-Timeout: 60s"]).await;
    until_in_flight(&gate, 1).await;
    assert!(client.hears_nothing().await);
    healthy.store(true, Ordering::Relaxed);
    let told = soon("its answer", client.answer()).await.body.text();
    let told: u64 = told.trim_end_matches("ms").parse().unwrap_or_else(|_| panic!("no time: {told:?}"));
    assert!((1..=59_960).contains(&told), "{told}");
    until_in_flight(&gate, 0).await;
}

#[tokio::test]
async fn with_slots_one_waits_for_the_endpoint_and_the_others_for_its_slots() {
    let (upstream, healthy) = patient().await;
    let setup = Sluicegate::with_limit(20).queue(20).admin().upstream(HEALTH);
    let gate = setup.upstream("slots = 2\nwait_for_endpoint = \"60s\"").in_front_of(&upstream).await;
    until_down(&gate).await;
    let mut clients = Vec::new();
    for n in 1..=10 {
        clients.push(stands_in_line(&gate, n).await);
    }
    let last = gate.ask_admin("GET /api/v1/limits/upstreams.default", "").await.json();
    assert_eq!((&last["in_flight"], &last["queue_length"]), (&1.into(), &9.into()), "{last}");
    healthy.store(true, Ordering::Relaxed);
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert!(upstream.peak() <= 3, "two and a check: {}", upstream.peak());
}
