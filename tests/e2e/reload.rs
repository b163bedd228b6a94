//! A new configuration while requests are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::random::Random;
use crate::support::tools::times;
use crate::support::{Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

#[tokio::test]
async fn a_raised_limit_lets_waiters_in_and_a_lowered_one_cuts_nobody() {
    let mut upstream = Upstream::start().await;
    let limit = |limit| Sluicegate::with_limit(limit).queue(16).text(&upstream.url());
    let mut gate = Sluicegate::configured(&limit(1)).await;
    let (two, one) = (limit(2), limit(1));

    let mut first = gate.get("/first").await;
    let first_call = soon("the first", upstream.next()).await;
    let mut second = gate.waiting("/second").await;
    let mut third = gate.waiting("/third").await;
    gate.reload(&two).await;
    let second_call = soon("the waiter, now that two may be in", upstream.next()).await;

    gate.reload(&one).await;
    first_call.respond(200, "first").await;
    assert_eq!(first.answer().await.body.text(), "first");
    assert!(nothing_comes(upstream.next()).await, "the limit is reached as long as the second is in");
    second_call.respond(200, "second").await;
    assert_eq!(second.answer().await.body.text(), "second");
    soon("the third", upstream.next()).await.respond(200, "third").await;
    assert_eq!(third.answer().await.body.text(), "third");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_broken_configuration_leaves_everything_as_it_was_and_says_why() {
    let mut upstream = Upstream::start().await;
    let good = Sluicegate::with_limit(1).queue(16).text(&upstream.url());
    let mut gate = Sluicegate::configured(&good).await;
    let mut client = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let mut waiter = gate.waiting("/waiter").await;

    gate.reload(&good.replace("limit = 1", "limit = \"many\"")).await;
    assert!(gate.stderr().contains("routes.default.limit"), "{}", gate.stderr());
    assert!(gate.stderr().contains("stays in force"), "{}", gate.stderr());
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    soon("the waiter", upstream.next()).await.respond(200, "").await;
    assert_eq!(waiter.answer().await.status, 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn routes_come_and_go_and_what_is_under_way_ends_as_it_began() {
    let mut upstream = Upstream::start().await;
    let plain = Sluicegate::with_limit(5).text(&upstream.url());
    let mut gate = Sluicegate::configured(&plain).await;
    let mut under_way = gate.get("/reports/1").await;
    let call = soon("the request", upstream.next()).await;

    gate.reload(&format!("{plain}\n[routes.reports]\npath = \"/reports/*\"\nlimit = 1\nqueue = 0\n")).await;
    let mut only = gate.get("/reports/2").await;
    let only_call = soon("the one that the new route lets in", upstream.next()).await;
    gate.get("/reports/3").await.answer().await.expect(503, "no_permit");
    call.respond(200, "old").await;
    assert_eq!(under_way.answer().await.body.text(), "old");

    gate.reload(&plain).await;
    let mut other = gate.get("/reports/4").await;
    soon("the request, by the old route again", upstream.next()).await.respond(200, "").await;
    assert_eq!(other.answer().await.status, 200);
    only_call.respond(200, "only").await;
    assert_eq!(only.answer().await.body.text(), "only");
}

/// Twenty seconds and a thousand of them: `RELOADS=1000 cargo test --test e2e many_reloads -- --nocapture`.
#[tokio::test]
async fn many_reloads_under_load_fail_no_request_lose_no_permit_and_leave_no_memory_behind() {
    let reloads = times("RELOADS", 200);
    let mut upstream = Upstream::that_works_for(Duration::from_millis(2)).await;
    let mut random = Random::announced("reloads");
    let mut gate = Sluicegate::configured(&Sluicegate::with_limit(8).queue(1000).text(&upstream.url())).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..32)
        .map(|n| {
            let (stop, address) = (stop.clone(), gate.address);
            tokio::spawn(async move {
                let mut client = crate::support::Client::connect(address).await;
                let mut answers = 0;
                while !stop.load(Ordering::Relaxed) {
                    client.get(if n % 2 == 0 { "/" } else { "/shared/x" }).await;
                    let answer = client.answer().await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    let mut resident = None;
    for n in 0..reloads {
        if n == reloads / 5 {
            resident = gate.resident();
        }
        let text = Sluicegate::with_limit(1 + random.below(16) as usize).queue(1000).text(&upstream.url());
        let shared = "[limits.db]\nlimit = 3\nqueue = 1000\n[routes.shared]\npath = \"/shared/*\"\nlimits = [\"db\"]\n";
        let broken = "[routes.shared]\npath = \"/shared/*\"\nlimit = 0\n";
        let another = format!("[routes.r{n}]\npath = \"/r{n}/*\"\nlimit = 3\n");
        let more = [shared, &another, broken][n % 3];
        gate.reload(&format!("{text}\n{more}")).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut answers = 0;
    for client in clients {
        answers += soon("the last answers", client).await.expect("no request failed");
    }
    println!("{answers} answers");
    assert!(answers > 200);
    if let (Some(before), Some(after)) = (resident, gate.resident()) {
        println!("{} KiB after {} reloads, {} KiB after {reloads}", before >> 10, reloads / 5, after >> 10);
        assert!(after < before + MEMORY_MOST, "{before} bytes, and then {after}");
    }
    gate.reload(&Sluicegate::with_limit(8).queue(1000).text(&upstream.url())).await;
    upstream.answers_when_told();
    permits_are_all_back(&gate, &mut upstream, 8).await;
}

/// More than allocators scatter, and less than 200 reloads would leave if each left 20 KiB.
const MEMORY_MOST: u64 = 4 << 20;

#[tokio::test]
async fn connections_that_a_reload_replaces_stand_in_nobodys_way() {
    let mut upstream = Upstream::start().await;
    let [before, after] = ["90s", "91s"].map(|timeout| {
        let setup = Sluicegate::with_limit(3).queue(8).upstream(&format!("response_timeout = \"{timeout}\""));
        setup.text(&upstream.url())
    });
    let mut gate = Sluicegate::configured(&before).await;
    // One answer that goes on for long, and two connections that idle.
    let mut long = gate.get("/long").await;
    let mut streaming = soon("the long one", upstream.next()).await;
    streaming.start_streaming(&[]).await;
    let (mut one, mut two) = (gate.get("/one").await, gate.get("/two").await);
    let (first, second) = (soon("one", upstream.next()).await, soon("two", upstream.next()).await);
    first.respond(200, "").await;
    second.respond(200, "").await;
    assert_eq!((one.answer().await.status, two.answer().await.status), (200, 200));
    gate.reload(&after).await;
    for _ in 0..4 {
        let (mut one, mut two) = (gate.get("/one").await, gate.get("/two").await);
        let (first, second) = (soon("one", upstream.next()).await, soon("two", upstream.next()).await);
        first.respond(200, "").await;
        second.respond(200, "").await;
        assert_eq!((one.answer().await.status, two.answer().await.status), (200, 200));
    }
    streaming.chunk("the end").await.unwrap();
    streaming.respond_raw("0\r\n\r\n").await;
    assert_eq!(long.answer().await.body.text(), "the end");
}
