//! A drain loses nothing that was admitted or queued.

use std::time::{Duration, Instant};

use crate::support::client::head_of;
use crate::support::{AccessLog, Client, Sluicegate, Upstream, nothing_comes, soon, until};

#[tokio::test]
async fn a_drain_loses_no_request_in_flight_or_queued() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(2).queue(10).in_front_of(&upstream).await;
    let mut clients = Vec::new();
    for n in 0..8 {
        let mut client = gate.get(&format!("/{n}")).await;
        client.settled().await;
        clients.push(client);
    }
    gate.terminate();
    until_refused(&gate).await;
    for _ in 0..8 {
        soon("a request of before the drain", upstream.next()).await.respond(200, "served").await;
    }
    for client in &mut clients {
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.body.text().as_str()), (200, "served"));
        assert!(answer.closes(), "{:?}", answer.head);
        client.expect_closed().await;
    }
    assert_eq!(upstream.peak(), 2);
    assert_eq!(gate.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_drain_under_load_breaks_no_exchange() {
    let upstream = Upstream::that_works_for(Duration::from_millis(5)).await;
    let gate = Sluicegate::with_limit(4).queue(100).in_front_of(&upstream).await;
    let address = gate.address;
    // Each client asks on and on; once told that its connection closes, or refused a new one, it stops.
    let clients: Vec<_> = (0..16)
        .map(|_| {
            tokio::spawn(async move {
                let mut served = 0;
                let Ok(mut client) = Client::try_connect(address).await else { return served };
                loop {
                    if client.try_send(head_of("GET", "/", &[])).await.is_err() {
                        return served;
                    }
                    match client.try_answer().await {
                        Ok(answer) => {
                            assert_eq!(answer.status, 200);
                            served += 1;
                            if answer.closes() {
                                return served;
                            }
                        }
                        Err(error) => panic!("an exchange was broken after {served}: {error}"),
                    }
                }
            })
        })
        .collect();
    until("the load to be on", async || upstream.total() > 100).await;
    gate.terminate();
    for client in clients {
        assert!(client.await.expect("no exchange is broken") > 0);
    }
    assert_eq!(gate.exit_code().await, Some(0));
    assert_eq!(upstream.peak(), 4);
}

#[tokio::test]
async fn a_request_on_an_open_connection_is_still_admitted_and_its_answer_says_close() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(2).in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder's request", upstream.next()).await;
    let mut kept = gate.get("/before").await;
    soon("the request before", upstream.next()).await.respond(200, "").await;
    assert!(!kept.answer().await.closes());
    gate.terminate();
    until_refused(&gate).await;
    kept.get("/during").await;
    soon("the request during the drain", upstream.next()).await.respond(200, "").await;
    let answer = kept.answer().await;
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    kept.expect_closed().await;
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    assert_eq!(gate.exit_code().await, Some(0));
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_a_drain() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let mut used = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    used.answer().await;
    let mut unused = gate.client().await;
    let start = Instant::now();
    gate.terminate();
    used.expect_closed().await;
    unused.expect_closed().await;
    assert_eq!(gate.exit_code().await, Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn connections_in_the_backlog_are_still_served() {
    let upstream = Upstream::that_works_for(Duration::from_millis(1)).await;
    let gate = Sluicegate::with_limit(10).queue(1000).in_front_of(&upstream).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(gate.get("/").await);
    }
    gate.terminate();
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(gate.exit_code().await, Some(0));
}

#[tokio::test]
async fn until_drain_delay_is_over_nothing_changes() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).server("drain_delay = \"1s\"").in_front_of(&upstream).await;
    let start = Instant::now();
    gate.terminate();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut client = gate.get("/").await;
    soon("a new request", upstream.next()).await.respond(200, "").await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200);
    assert!(start.elapsed() > Duration::from_secs(1) || !answer.closes(), "nothing changes yet");
    client.leave();
    assert_eq!(gate.exit_code().await, Some(0));
    assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());
}

#[tokio::test]
async fn at_drain_timeout_waiters_get_draining_and_heads_are_cut_and_the_exit_is_1() {
    let mut upstream = Upstream::start().await;
    let log = AccessLog::new("drain-cut-head");
    let server = format!("drain_timeout = \"800ms\"\n{}", log.table());
    let gate = Sluicegate::with_limit(1).queue(1).server(&server).in_front_of(&upstream).await;
    let mut running = gate.get("/never-ends").await;
    let _call = soon("the request", upstream.next()).await;
    let mut waiter = gate.waiting("/waits").await;
    let start = Instant::now();
    gate.terminate();
    let answer = waiter.answer().await;
    answer.expect(503, "draining");
    assert!(answer.closes());
    // The one in flight got no head, so it may be told why, or be cut.
    if let Ok(answer) = running.try_answer().await {
        assert!(answer.status >= 500 && answer.closes(), "{answer:?}");
    }
    assert_eq!(gate.exit_code().await, Some(1));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(750) && took < Duration::from_secs(4), "{took:?}");
    assert!(nothing_comes(upstream.next()).await, "the waiter never reached the upstream");
    was_cut(&log, "/never-ends", 503).await;
}

#[tokio::test]
async fn at_drain_timeout_a_begun_stream_is_cut_and_the_exit_is_0() {
    let mut upstream = Upstream::start().await;
    let log = AccessLog::new("drain-cut-stream");
    let server = format!("drain_timeout = \"800ms\"\n{}", log.table());
    let gate = Sluicegate::with_limit(1).server(&server).in_front_of(&upstream).await;
    let mut client = gate.get("/endless").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    call.chunk("a part").await.unwrap();
    let mut framing = client.head().await.answer_framing("GET");
    client.piece(&mut framing).await.unwrap();
    gate.terminate();
    assert!(client.body(&mut framing).await.is_err(), "cut, not complete");
    assert_eq!(gate.exit_code().await, Some(0));
    was_cut(&log, "/endless", 200).await;
}

#[tokio::test]
async fn an_abandoned_exchange_is_not_waited_for() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    client.leave();
    soon("the upstream to be told", call.until_hung_up()).await;
    let start = Instant::now();
    gate.terminate();
    assert_eq!(gate.exit_code().await, Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn sigint_drains_as_well() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    gate.signal("INT");
    until_refused(&gate).await;
    call.respond(200, "served").await;
    assert_eq!(client.answer().await.body.text(), "served");
    assert_eq!(gate.exit_code().await, Some(0));
}

/// The log says that it was the drain, and not the client.
async fn was_cut(log: &AccessLog, path: &str, status: u16) {
    let line = &log.about(path, 1).await[0];
    let said = (line["status"].as_u64(), line["outcome"].as_str(), line["reason"].as_str(), line.get("client_gone"));
    assert_eq!(said, (Some(status.into()), Some("failed"), Some("drain_cut"), None), "{line}");
}

/// New connections are refused once the listeners are closed.
async fn until_refused(gate: &Sluicegate) {
    until("new connections to be refused", async || Client::try_connect(gate.address).await.is_err()).await;
}
