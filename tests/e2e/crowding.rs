//! No more connections than may be: the longest idle one makes room, and if none is idle, nobody is accepted.

use crate::support::http2::Http2;
use crate::support::{Client, Setup, Sluicegate, Upstream, answered, nothing_comes, permits_are_all_back, soon, until};

/// Three connections at most, and more permits than that.
fn crowded() -> Setup {
    Sluicegate::with_limit(10).queue(10).admin().server("max_connections = 3")
}

/// How many there are by the metric.
async fn connections(gate: &Sluicegate) -> f64 {
    gate.metrics().await["sluicegate_connections"]
}

/// A client that has had an answer, and idles.
async fn idle(gate: &Sluicegate, upstream: &mut Upstream) -> Client {
    let mut client = gate.client().await;
    answered(&mut client, upstream).await;
    client
}

#[tokio::test]
async fn the_longest_idle_connection_makes_room() {
    let mut upstream = Upstream::start().await;
    let gate = crowded().in_front_of(&upstream).await;
    let mut first = idle(&gate, &mut upstream).await;
    let mut second = idle(&gate, &mut upstream).await;
    let mut third = idle(&gate, &mut upstream).await;
    // The first one is the one that was idle last now.
    answered(&mut first, &mut upstream).await;
    let mut kept = Vec::new();
    for (n, oldest) in [&mut second, &mut third].into_iter().enumerate() {
        let mut more = gate.client().await;
        oldest.expect_closed().await;
        answered(&mut more, &mut upstream).await;
        assert!(connections(&gate).await <= 3.0);
        if n == 0 {
            // And is busy, so that the next one has to look elsewhere.
            more.get("/stays").await;
            let call = soon("the request", upstream.next()).await;
            answered(&mut first, &mut upstream).await;
            call.respond(200, "").await;
            assert_eq!(more.answer().await.status, 200);
        }
        kept.push(more);
    }
    answered(&mut first, &mut upstream).await;
}

#[tokio::test]
async fn who_connects_and_says_nothing_makes_room_too() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).admin().server("max_connections = 1");
    let gate = setup.in_front_of(&upstream).await;
    let mut silent = gate.client().await;
    until("it to be accepted", async || connections(&gate).await > 0.0).await;
    let mut asks = gate.client().await;
    answered(&mut asks, &mut upstream).await;
    silent.expect_closed().await;
}

#[tokio::test]
async fn where_nobody_is_idle_nobody_is_accepted_until_somebody_is_or_leaves() {
    let mut upstream = Upstream::start().await;
    let mut gate = crowded().in_front_of(&upstream).await;
    let (mut clients, mut calls) = (Vec::new(), Vec::new());
    for n in 0..3 {
        clients.push(gate.get(&format!("/{n}")).await);
        calls.push(soon("the request", upstream.next()).await);
    }
    // The kernel takes their bytes; nobody else does.
    let mut fourth = gate.get("/fourth").await;
    let mut fifth = gate.get("/fifth").await;
    assert!(nothing_comes(upstream.next()).await, "more connections than may be");
    assert_eq!(connections(&gate).await, 3.0);
    soon("a word of it", gate.said("as many connections as may be")).await;

    // One becomes idle and goes; one leaves in the middle of its request.
    calls.remove(0).respond(200, "").await;
    assert_eq!(clients[0].answer().await.status, 200);
    let call = soon("one of the two", upstream.next()).await;
    clients[0].expect_closed().await;
    assert!(nothing_comes(upstream.next()).await, "only one place is free");
    clients.remove(1).leave();
    let other = soon("the other one", upstream.next()).await;
    for call in [call, other] {
        assert!(["/fourth", "/fifth"].contains(&call.path()), "{}", call.path());
        call.respond(200, "").await;
    }
    assert_eq!(fourth.answer().await.status, 200);
    assert_eq!(fifth.answer().await.status, 200);
    assert!(connections(&gate).await <= 3.0);
    for call in calls {
        call.respond(200, "").await;
    }
}

#[tokio::test]
async fn an_idle_connection_of_http_2_is_told_to_go() {
    let mut upstream = Upstream::start().await;
    let gate = crowded().in_front_of(&upstream).await;
    let mut http2 = Http2::connect(gate.address).await;
    let asked = http2.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(asked.answer().await.head.status(), 200);
    let mut busy = Vec::new();
    for n in 0..2 {
        let client = gate.get(&format!("/{n}")).await;
        busy.push((client, soon("the request", upstream.next()).await));
    }
    let mut more = gate.client().await;
    http2.ended().await.expect("an orderly end");
    answered(&mut more, &mut upstream).await;
    for (mut client, call) in busy {
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_busy_connection_of_http_2_stays() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).server("max_connections = 1").in_front_of(&upstream).await;
    let http2 = Http2::connect(gate.address).await;
    let asked = http2.get("/first").await;
    let call = soon("the request", upstream.next()).await;
    let mut next = gate.get("/next").await;
    assert!(next.hears_nothing().await);
    call.respond(200, "first").await;
    assert_eq!(asked.answer().await.body, "first");
    let call = soon("the one that waited for a place", upstream.next()).await;
    assert_eq!(call.path(), "/next");
    call.respond(200, "next").await;
    assert_eq!(next.answer().await.body.text(), "next");
}

#[tokio::test]
async fn a_thousand_connections_pass_through_three_places() {
    let upstream = Upstream::that_works_for(std::time::Duration::ZERO).await;
    let gate = crowded().in_front_of(&upstream).await;
    let address = gate.address;
    let clients = (0..20).map(|_| {
        tokio::spawn(async move {
            for _ in 0..50 {
                let mut client = Client::connect(address).await;
                client.request("GET", "/", &["Connection: close"]).await;
                assert_eq!(client.answer().await.status, 200);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        soon("a client to be done", client).await.expect("all of its requests were answered");
    }
    assert!(connections(&gate).await <= 3.0);
}

#[tokio::test]
async fn a_drain_accepts_those_for_whom_there_is_no_place() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).server("max_connections = 1").in_front_of(&upstream).await;
    let mut first = gate.get("/first").await;
    let call = soon("the request", upstream.next()).await;
    let mut second = gate.get("/second").await;
    assert!(nothing_comes(upstream.next()).await);
    gate.terminate();
    call.respond(200, "").await;
    assert_eq!(first.answer().await.status, 200);
    soon("the one in the backlog", upstream.next()).await.respond(200, "").await;
    assert_eq!(second.answer().await.status, 200);
    assert_eq!(gate.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_place_that_was_taken_is_given_back_however_its_connection_ends() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).server("max_connections = 4").in_front_of(&upstream).await;
    for n in 0..12 {
        let mut client = gate.client().await;
        client.send("GET / HTTP/1.1\r\nHo").await;
        match n % 3 {
            0 => client.leave(),
            1 => client.abort(),
            _ => {
                client.send("st: a\r\n bad\r\n\r\n").await;
                client.answer().await.expect(400, "bad_request");
            }
        }
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}
