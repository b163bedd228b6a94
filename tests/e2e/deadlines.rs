//! An expired deadline never reaches the upstream, and one that cannot be met is told at once.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::client::head_of;
use crate::support::{Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

async fn asks(gate: &Sluicegate, path: &str, fields: &[&str]) -> crate::support::Client {
    let mut client = gate.client().await;
    client.request("GET", path, fields).await;
    client
}

#[tokio::test]
async fn a_deadline_that_has_passed_goes_nowhere_though_a_permit_is_free() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let past = (SystemTime::now() - Duration::from_secs(1)).duration_since(UNIX_EPOCH).unwrap().as_millis();
    for field in ["grpc-timeout: 0S", "x-request-timeout: 0", &format!("x-request-deadline: {past}")] {
        asks(&gate, "/", &[field]).await.answer().await.expect(504, "deadline_expired");
    }
    assert!(nothing_comes(upstream.next()).await);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_queue_ends_the_wait() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).in_front_of(&upstream).await;
    let holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let start = Instant::now();
    let mut client = asks(&gate, "/late", &["x-request-timeout: 150ms"]).await;
    let answer = client.answer().await;
    answer.expect(504, "deadline_expired");
    let waited = start.elapsed();
    assert!((150..1000).contains(&waited.as_millis()), "{waited:?}");
    call.respond(200, "").await;
    drop(holder);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_deadline_that_cannot_be_met_is_told_at_once() {
    let mut upstream = Upstream::that_works_for(Duration::from_millis(20)).await;
    let gate = Sluicegate::with_limit(1).queue(100).in_front_of(&upstream).await;
    // No estimate before it has been seen how fast the queue moves.
    let mut clients = Vec::new();
    for n in 0..60 {
        clients.push(gate.get(&format!("/{n}")).await);
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    upstream.answers_when_told();
    let holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let mut waiting = Vec::new();
    for n in 0..20 {
        waiting.push(gate.get(&format!("/waiting-{n}")).await);
    }
    waiting.last_mut().unwrap().settled().await;
    let start = Instant::now();
    let answer = asks(&gate, "/hopeless", &["x-request-timeout: 60ms"]).await.answer().await;
    answer.expect(503, "deadline_unmeetable");
    assert!(start.elapsed() < Duration::from_millis(55), "it was told after {:?}", start.elapsed());
    assert!(answer.head.has("retry-after"));
    call.respond(200, "").await;
    drop((holder, waiting));
}

#[tokio::test]
async fn the_upstream_is_told_what_is_left() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).in_front_of(&upstream).await;
    let mut client = asks(&gate, "/free", &["grpc-timeout: 5S"]).await;
    let call = soon("one that need not wait", upstream.next()).await;
    assert_eq!(call.head.field("grpc-timeout").as_deref(), Some("5S"));
    let mut waiting = asks(&gate, "/waits", &["grpc-timeout: 5S", "x-request-deadline: 99999999999999"]).await;
    waiting.settled().await;
    tokio::time::sleep(Duration::from_millis(120)).await;
    call.respond(200, "").await;
    client.answer().await;
    let call = soon("one that waited", upstream.next()).await;
    let left = call.head.field("grpc-timeout").unwrap();
    let micros: u64 = left.strip_suffix('u').unwrap_or_else(|| panic!("{left}")).parse().unwrap();
    assert!((3_000_000..4_950_000).contains(&micros), "{left}");
    assert_eq!(call.head.field("x-request-deadline").as_deref(), Some("99999999999999"));
    call.respond(200, "").await;
    waiting.answer().await;
}

#[tokio::test]
async fn the_time_that_its_own_body_took_is_not_told_either() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).route("buffer_request = \"64KiB\"").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    let fields = ["x-envoy-expected-rq-timeout-ms: 5000", "Content-Length: 2"];
    client.send(head_of("POST", "/", &fields) + "a").await;
    tokio::time::sleep(Duration::from_millis(120)).await;
    client.send("b").await;
    let call = soon("the request", upstream.next()).await;
    let left: u64 = call.head.field("x-envoy-expected-rq-timeout-ms").unwrap().parse().unwrap();
    assert!((3000..=4950).contains(&left), "{left}");
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_route_may_not_care_about_deadlines() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).route("deadline = false").in_front_of(&upstream).await;
    let mut client = asks(&gate, "/", &["x-request-timeout: 0"]).await;
    let call = soon("it", upstream.next()).await;
    assert_eq!(call.head.field("x-request-timeout").as_deref(), Some("0"));
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}
