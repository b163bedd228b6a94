//! How many connections there are to an upstream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::census::{Census, Manners};
use crate::support::{
    Client, Http2Upstream, Setup, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon, until,
};

/// In front of `urls` with four workers.
async fn with_four_workers(setup: &Setup, urls: impl IntoIterator<Item = String>) -> Sluicegate {
    Sluicegate::configured(&setup.text_of_all(urls).replace("threads = 2", "threads = 4")).await
}

/// `total` requests of `clients` at once; every `leaves`th client leaves before its answer.
async fn send(address: SocketAddr, clients: usize, total: usize, leaves: Option<usize>) {
    let left = Arc::new(AtomicUsize::new(total));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let left = left.clone();
        tasks.spawn(async move {
            let mut client = Client::connect(address).await;
            while let Ok(n) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
                client.get("/").await;
                if leaves.is_some_and(|leaves| n % leaves == 0) {
                    // Before it was sent on, or after.
                    tokio::time::sleep(Duration::from_micros(fastrand::u64(..3000))).await;
                    std::mem::replace(&mut client, Client::connect(address).await).leave();
                    continue;
                }
                let answer = client.answer().await;
                assert_eq!(answer.status, 200, "{:?}", answer.reason());
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("every request that is waited for is answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_never_more_than_max_connections_whoever_leaves_and_closes() {
    const MOST: usize = 3;
    let upstreams = Census::of(2, Manners { work: Duration::from_millis(2), closes: Some(8) });
    let setup = Sluicegate::with_limit(12)
        .queue(1000)
        .upstream(&format!("max_connections = {MOST}\nconnect_timeout = \"20s\""));
    let gate = with_four_workers(&setup, upstreams.urls()).await;
    send(gate.address, 32, 4000, Some(9)).await;
    assert_eq!(upstreams.most(), MOST);
    assert!(upstreams.answers().iter().all(|answers| *answers > 0));
    // Nobody waits for what nobody has.
    send(gate.address, 12, 100, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_more_connections_than_permits_and_few_are_ever_made() {
    let upstream = Census::of(1, Manners { work: Duration::ZERO, closes: None });
    let gate = with_four_workers(&Sluicegate::with_limit(4).queue(1000), upstream.urls()).await;
    send(gate.address, 32, 10_000, None).await;
    assert!(upstream.most() <= 4 && upstream.made() <= 8, "{} of {}", upstream.most(), upstream.made());
}

#[tokio::test]
async fn a_request_with_a_permit_waits_for_a_connection_and_takes_the_one_that_is_free() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(3).queue(4).admin().upstream("max_connections = 1\nconnect_timeout = \"1m\"");
    let gate = setup.in_front_of(&upstream).await;
    let mut first = gate.get("/1").await;
    let call = soon("the first", upstream.next()).await;
    let mut second = gate.get("/2").await;
    let third = gate.get("/3").await;
    until("all to have permits", async || gate.limit_status().await["in_flight"] == 3).await;
    assert!(nothing_comes(upstream.next()).await);
    let metrics = gate.metrics().await;
    let active = "sluicegate_upstream_connections{upstream=\"default\",state=\"active\"}";
    let idle = "sluicegate_upstream_connections{upstream=\"default\",state=\"idle\"}";
    assert_eq!((metrics[active], metrics[idle]), (1.0, 0.0));
    // One that leaves gives its permit back, and is in nobody's way.
    third.leave();
    until("it to be gone", async || gate.limit_status().await["in_flight"] == 2).await;
    call.respond(200, "").await;
    assert_eq!(first.answer().await.status, 200);
    soon("the second", upstream.next()).await.respond(200, "").await;
    assert_eq!(second.answer().await.status, 200);
    assert_eq!(upstream.connections(), 1);
    until("it to idle", async || gate.metrics().await[idle] == 1.0).await;
}

#[tokio::test]
async fn who_waits_too_long_for_a_connection_fails_and_the_endpoint_is_not_to_blame() {
    let mut upstream = Upstream::start().await;
    let spare = Upstream::start().await;
    let lines = "max_connections = 1\nconnect_timeout = \"50ms\"\neject = { failures = 1 }";
    let setup = Sluicegate::with_limit(2).queue(4).admin().upstream(lines);
    let gate = setup.in_front_of_all([upstream.url(), spare.url()]).await;
    let mut spare = spare;
    let mut first = gate.get("/").await;
    let call = tokio::select! {
        call = upstream.next() => call,
        call = spare.next() => call,
    };
    for _ in 0..3 {
        gate.get("/").await.answer().await.expect(502, "connect_failed");
    }
    let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
    for endpoint in list["upstreams"][0]["endpoints"].as_array().unwrap() {
        assert_eq!(endpoint["state"], "up");
    }
    assert_eq!(gate.limit_status().await["in_flight"], 1);
    call.respond(200, "").await;
    assert_eq!(first.answer().await.status, 200);
}

#[tokio::test]
async fn a_connection_that_idles_at_one_endpoint_makes_room_for_one_to_another() {
    let upstreams = Census::of(2, Manners { work: Duration::ZERO, closes: None });
    let setup = Sluicegate::with_limit(1).upstream("max_connections = 1\nbalance = \"round_robin\"");
    let gate = setup.in_front_of_all(upstreams.urls()).await;
    send(gate.address, 1, 40, None).await;
    assert_eq!((upstreams.most(), upstreams.answers()), (1, vec![20, 20]));
}

#[tokio::test]
async fn streams_wait_for_a_place_where_there_may_be_no_more_connections() {
    let mut upstream = Http2Upstream::with_max_streams(1).await;
    let setup = Sluicegate::with_limit(4).queue(4).upstream("max_connections = 2");
    let gate = setup.in_front_of_url(&upstream.url()).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(gate.get("/").await);
    }
    let first = soon("the first", upstream.next()).await;
    let second = soon("the second", upstream.next()).await;
    assert!(nothing_comes(upstream.next()).await);
    first.respond(200, "").await;
    soon("the third", upstream.next()).await.respond(200, "").await;
    soon("the fourth", upstream.next()).await.respond(200, "").await;
    second.respond(200, "").await;
    for mut client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(upstream.connections(), 2);
    let setup = Sluicegate::with_limit(2).queue(4).upstream("max_connections = 2");
    let gate = setup.in_front_of_url(&upstream.url()).await;
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn an_abandoned_exchange_keeps_its_connection_counted_until_the_upstream_has_ended() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(2).queue(4).upstream("max_connections = 1\nconnect_timeout = \"1m\"");
    let gate = setup.in_front_of(&upstream).await;
    let client = gate.get("/left").await;
    let mut call = soon("the first", upstream.next()).await;
    client.leave();
    soon("the hint", call.until_hung_up()).await;
    let mut next = gate.get("/next").await;
    assert!(nothing_comes(upstream.next()).await);
    drop(call);
    soon("the next", upstream.next()).await.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
}
