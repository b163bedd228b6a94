//! What cannot wait is answered at once, with a status, a reason and a `Retry-After` that means something.

use std::time::{Duration, Instant};

use crate::support::quiet::alone;
use crate::support::{Answer, Sluicegate, Upstream, one_of_three, soon};

#[tokio::test]
async fn of_ten_at_limit_2_and_queue_3_two_run_three_wait_in_order_and_five_are_rejected_at_once() {
    let _alone = alone();
    let mut upstream = Upstream::start().await;
    let shape = ["--limit", "2", "--queue", "3", "--listen", "127.0.0.1:0"];
    let gate = Sluicegate::run(&[&["--upstream", &upstream.url()], &shape[..]].concat()).await;
    let mut clients = Vec::new();
    let mut times = Vec::new();
    for n in 0..10 {
        let sent = Instant::now();
        let mut client = gate.get(&format!("/{n}")).await;
        if n < 5 {
            client.settled().await;
            clients.push(client);
        } else {
            let answer = client.answer().await;
            times.push(answer.at - sent);
            is_shed(&answer, "queue_full");
            assert_eq!(answer.json()["limit"], "default");
        }
    }
    times.sort();
    assert!(times[2] < Duration::from_millis(10) && times[4] < Duration::from_millis(50), "rejected in {times:?}");
    let mut running = vec![soon("one", upstream.next()).await, soon("another", upstream.next()).await];
    let mut paths: Vec<_> = running.iter().map(|call| call.path().to_owned()).collect();
    paths.sort();
    assert_eq!(paths, ["/0", "/1"]);
    assert_eq!(upstream.inside(), 2, "two run");
    for n in 2..5 {
        running.remove(0).respond(200, "").await;
        let next = soon("a waiter", upstream.next()).await;
        assert_eq!(next.path(), format!("/{n}"), "three wait in arrival order");
        running.push(next);
    }
    for call in running {
        call.respond(200, "").await;
    }
    let mut positions = Vec::new();
    for client in &mut clients {
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.reason()), (200, None));
        positions.push(answer.queue().map(|(position, _)| position));
    }
    assert_eq!(positions, [None, None, Some(1), Some(2), Some(3)]);
    assert_eq!((upstream.peak(), upstream.total()), (2, 5));
}

#[tokio::test]
async fn of_ten_at_the_same_moment_five_are_served_and_five_rejected() {
    let upstream = Upstream::that_works_for(Duration::from_millis(300)).await;
    let gate = Sluicegate::with_limit(2).queue(3).in_front_of(&upstream).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(gate.client().await);
    }
    let answers = clients.iter_mut().map(|client| async {
        client.get("/").await;
        client.answer().await
    });
    let answers = futures_util::future::join_all(answers).await;
    let served = answers.iter().filter(|a| a.status == 200).count();
    let rejected = answers.iter().filter(|a| a.reason().as_deref() == Some("queue_full")).count();
    assert_eq!((served, rejected, upstream.peak(), upstream.total()), (5, 5, 2, 5));
}

#[tokio::test]
async fn with_no_queue_the_reason_is_no_permit() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let mut holder = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    is_shed(&gate.get("/").await.answer().await, "no_permit");
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    assert_eq!(upstream.total(), 1);
}

#[tokio::test]
async fn a_waiter_is_rejected_when_its_queue_timeout_is_over() {
    let _alone = alone();
    one_of_three(async || {
        let mut upstream = Upstream::start().await;
        let setup = Sluicegate::with_limit(1).queue(2).route("queue_timeout = \"300ms\"");
        let gate = setup.in_front_of(&upstream).await;
        let mut holder = gate.get("/").await;
        let call = soon("the request", upstream.next()).await;
        let sent = Instant::now();
        let answer = gate.get("/").await.answer().await;
        let waited = answer.at - sent;
        is_shed(&answer, "queue_timeout");
        let (position, wait) = answer.queue().expect("it waited");
        assert_eq!(position, 1);
        assert!(waited >= Duration::from_millis(299), "rejected after only {waited:?}");
        assert!((0.299..=waited.as_secs_f64() + 0.01).contains(&wait), "{wait} of {waited:?}");
        call.respond(200, "").await;
        assert_eq!(holder.answer().await.status, 200);
        assert_eq!(upstream.total(), 1, "what was rejected never reached the upstream");
        if waited < Duration::from_millis(360) { Ok(()) } else { Err(format!("only after {waited:?}")) }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_waited_says_for_how_long() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(2).in_front_of(&upstream).await;
    let mut holder = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let sent = Instant::now();
    let mut waiter = gate.waiting("/").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    call.respond(200, "").await;
    soon("the waiter's request", upstream.next()).await.respond(200, "").await;
    let (position, wait) = waiter.answer().await.queue().expect("it waited");
    assert_eq!(position, 1);
    assert!((0.2..=sent.elapsed().as_secs_f64() + 0.01).contains(&wait), "{wait}");
    assert_eq!(holder.answer().await.queue(), None, "it did not wait");
}

#[tokio::test]
async fn the_status_of_rejections_can_be_chosen() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).route("reject_status = 429").in_front_of(&upstream).await;
    let _holder = gate.get("/").await;
    let _call = soon("the request", upstream.next()).await;
    let answer = gate.get("/").await.answer().await;
    answer.expect(429, "no_permit");
    assert_eq!(answer.json()["status"], 429);
}

#[tokio::test]
async fn a_rejected_client_can_use_its_connection_again() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let mut holder = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let mut client = gate.client().await;
    client.get("/").await;
    client.answer().await.expect(503, "no_permit");
    client.post("/", [b'x'; 10_000]).await;
    client.answer().await.expect(503, "no_permit");
    call.respond(200, "").await;
    holder.answer().await;
    client.get("/again").await;
    soon("the next request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn the_request_id_in_a_rejection_is_the_clients() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let _holder = gate.get("/").await;
    let _call = soon("the request", upstream.next()).await;
    let mut client = gate.client().await;
    client.request("GET", "/", &["X-Request-Id: mine-42"]).await;
    assert_eq!(client.answer().await.json()["request_id"], "mine-42");
}

#[tokio::test]
async fn a_rejected_head_request_gets_no_body() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let _holder = gate.get("/").await;
    let _call = soon("the request", upstream.next()).await;
    let mut client = gate.client().await;
    client.request("HEAD", "/", &[]).await;
    client.answer().await.expect(503, "no_permit");
    client.get("/").await;
    client.answer().await.expect(503, "no_permit");
}

#[tokio::test]
async fn an_upstreams_own_503_is_not_taken_for_ours() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(503, "overloaded").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.reason(), answer.body.text().as_str()), (503, None, "overloaded"));
}

/// A whole rejection for want of capacity.
fn is_shed(answer: &Answer, reason: &str) {
    answer.expect(503, reason);
    assert_eq!(answer.head.field("x-sluicegate-limit").as_deref(), Some("default"));
    assert_eq!(answer.head.field("cache-control").as_deref(), Some("no-store"));
    let content_type = answer.head.field("content-type").expect("a content type");
    assert!(content_type.starts_with("application/problem+json"), "{content_type}");
    let retry_after: u64 = answer.head.field("retry-after").expect("Retry-After").parse().expect("whole seconds");
    assert!((1..=60).contains(&retry_after), "{retry_after}");
    assert!(answer.queue().is_some(), "each rejection carries x-sluicegate-queue");
    let problem = answer.json();
    let text = |member: &str| problem[member].as_str().unwrap_or_else(|| panic!("{member} in {problem}")).to_owned();
    assert_eq!((problem["status"].as_u64(), text("reason").as_str()), (Some(503), reason));
    assert_eq!((text("limit").as_str(), text("route").as_str()), ("default", "default"));
    assert_eq!(problem["retry_after"].as_u64(), Some(retry_after));
    for member in ["type", "title", "detail", "request_id"] {
        assert!(!text(member).is_empty(), "{member}");
    }
}
