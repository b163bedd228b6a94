//! Connections to an upstream that speaks HTTP/2: how many there are, who goes where, and when they end.

use std::time::Duration;

use crate::support::{
    Answer, Client, Http2Upstream, Sluicegate, StreamCall, nothing_comes, permits_are_all_back, soon, until,
};

#[tokio::test]
async fn two_hundred_clients_never_have_more_than_twenty_inside_and_share_a_few_connections() {
    let upstream = Http2Upstream::that(|call| async move {
        tokio::time::sleep(Duration::from_millis(3)).await;
        call.respond(200, "done").await;
    })
    .await;
    let gate = Sluicegate::with_limit(20).queue(1000).in_front_of_url(&upstream.url()).await;
    let clients = (0..200).map(|_| {
        let address = gate.address;
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            for _ in 0..5 {
                client.get("/").await;
                assert_eq!(client.answer().await.body.text(), "done");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert_eq!((upstream.peak(), upstream.total(), upstream.inside()), (20, 1000, 0));
    assert_eq!(upstream.connections(), 1, "one has room for all of them");
}

#[tokio::test]
async fn a_hundred_requests_at_once_dial_once() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(100).in_front_of_url(&upstream.url()).await;
    let mut held = Vec::new();
    for n in 0..100 {
        held.push(gate.get(&format!("/{n}")).await);
    }
    let calls = calls(&mut upstream, 100).await;
    assert_eq!(upstream.connections(), 1);
    answer_all(calls, held).await;
}

#[tokio::test]
async fn beyond_what_one_connection_may_carry_there_are_more_of_them() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(120).in_front_of_url(&upstream.url()).await;
    let mut held = Vec::new();
    for n in 0..120 {
        held.push(gate.get(&format!("/{n}")).await);
    }
    let calls = calls(&mut upstream, 120).await;
    assert_eq!(upstream.connections(), 2, "a hundred streams each are the most");
    answer_all(calls, held).await;
}

#[tokio::test]
async fn an_upstream_that_takes_five_streams_gets_three_connections_at_limit_twelve_and_nobody_waits() {
    for at_once in [true, false] {
        let mut upstream = Http2Upstream::with_max_streams(5).await;
        let gate = Sluicegate::with_limit(12).queue(20).in_front_of_url(&upstream.url()).await;
        let (mut held, mut inside) = (Vec::new(), Vec::new());
        for n in 0..12 {
            held.push(gate.get(&format!("/{n}")).await);
            if !at_once {
                inside.push(soon("the request", upstream.next()).await);
            }
        }
        let missing = 12 - inside.len();
        inside.extend(calls(&mut upstream, missing).await);
        assert_eq!((upstream.inside(), upstream.connections()), (12, 3));
        let mut waiter = gate.waiting("/waiter").await;
        assert!(nothing_comes(upstream.next()).await, "the limit is the limit");
        inside.pop().unwrap().respond(200, "").await;
        soon("the waiter's request", upstream.next()).await.respond(200, "").await;
        assert_eq!(waiter.answer().await.status, 200);
        drop((inside, held));
        permits_are_all_back(&gate, &mut upstream, 12).await;
        assert_eq!((upstream.connections(), upstream.peak()), (3, 12));
    }
}

#[tokio::test]
async fn a_connection_that_is_being_made_is_not_lost_with_the_client_that_wanted_it() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(10).in_front_of_url(&upstream.url()).await;
    for n in 0..20 {
        gate.get(&format!("/{n}")).await.leave();
    }
    let mut client = gate.get("/stays").await;
    let call = loop {
        let call = soon("the request that stays", upstream.next()).await;
        if call.path() == "/stays" {
            break call;
        }
    };
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of_url(&upstream.url()).await;
    let mut client = gate.client().await;
    for n in 0..10 {
        exchange(&mut client, &mut upstream, &format!("/{n}")).await;
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(1).upstream("idle_timeout = \"300ms\"").in_front_of_url(&upstream.url()).await;
    let mut client = gate.client().await;
    exchange(&mut client, &mut upstream, "/").await;
    assert_eq!(upstream.open_connections(), 1);
    until("the idle connection to be closed", async || upstream.open_connections() == 0).await;
    exchange(&mut client, &mut upstream, "/").await;
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_connection_with_a_stream_is_not_idle() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(2).upstream("idle_timeout = \"100ms\"").in_front_of_url(&upstream.url()).await;
    let mut slow = gate.get("/slow").await;
    let call = soon("the request", upstream.next()).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    exchange(&mut gate.client().await, &mut upstream, "/meanwhile").await;
    call.respond(200, "").await;
    assert_eq!(slow.answer().await.status, 200);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn without_reuse_every_request_has_a_connection_of_its_own() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(2).upstream("idle_timeout = \"0s\"").in_front_of_url(&upstream.url()).await;
    let mut client = gate.client().await;
    for _ in 0..3 {
        exchange(&mut client, &mut upstream, "/").await;
    }
    assert_eq!(upstream.connections(), 3);
    until("them to be closed", async || upstream.open_connections() == 0).await;
}

#[tokio::test]
async fn a_request_that_must_not_be_sent_twice_goes_on_a_connection_that_has_idled() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of_url(&upstream.url()).await;
    let mut client = gate.client().await;
    exchange(&mut client, &mut upstream, "/").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    client.post("/later", "body").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!((client.answer().await.status, upstream.connections()), (200, 1));
}

#[tokio::test]
async fn after_goaway_new_requests_go_elsewhere_and_what_runs_finishes() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(3).queue(1).in_front_of_url(&upstream.url()).await;
    let mut before = gate.get("/before").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]);
    call.chunk("begun").await.unwrap();
    let mut framing = before.head().await.answer_framing("GET");
    assert_eq!(before.piece(&mut framing).await.unwrap().unwrap(), b"begun");
    upstream.go_away();
    for method in ["GET", "POST"] {
        let mut client = gate.client().await;
        client.request(method, "/after", &[]).await;
        soon("the request after GOAWAY", upstream.next()).await.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert!(upstream.connections() >= 2);
    call.chunk(" and done").await.unwrap();
    call.finish();
    assert_eq!(before.body(&mut framing).await.unwrap().text(), " and done");
    permits_are_all_back(&gate, &mut upstream, 3).await;
}

#[tokio::test]
async fn an_idle_connection_that_the_upstream_closed_is_nobodys_error() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of_url(&upstream.url()).await;
    let mut client = gate.client().await;
    for close in [Http2Upstream::go_away, Http2Upstream::close_connections] {
        exchange(&mut client, &mut upstream, "/").await;
        close(&upstream);
        until("it to be closed", async || upstream.open_connections() == 0).await;
        client.post("/", "body").await;
        soon("the request", upstream.next()).await.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn h2c_is_asked_for_by_url_flag_and_variable_and_shown_as_it_was_written() {
    let mut upstream = Http2Upstream::start().await;
    let url = upstream.url() + "/api";
    let shape = ["--limit", "1", "--listen", "127.0.0.1:0"];
    let by_flag = Sluicegate::run(&[&["--upstream", &url], &shape[..]].concat()).await;
    let by_variable = Sluicegate::run_with(&shape, &[("SLUICEGATE_UPSTREAM", &url)]).await;
    for gate in [by_flag, by_variable] {
        assert!(gate.start_line.contains(&format!("upstream {url}, ")), "{}", gate.start_line);
        let mut client = gate.get("/x?y=z").await;
        let call = soon("the request", upstream.next()).await;
        assert_eq!(call.path(), "/api/x?y=z");
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

async fn exchange(client: &mut Client, upstream: &mut Http2Upstream, target: &str) {
    client.get(target).await;
    soon("the request", upstream.next()).await.respond(200, "done").await;
    assert_eq!(client.answer().await.body.text(), "done");
}

async fn calls(upstream: &mut Http2Upstream, n: usize) -> Vec<StreamCall> {
    let mut calls = Vec::new();
    for i in 0..n {
        calls.push(soon(&format!("request {i} of {n}"), upstream.next()).await);
    }
    calls
}

async fn answer_all(calls: Vec<StreamCall>, clients: Vec<Client>) {
    for call in calls {
        call.respond(200, "done").await;
    }
    for mut client in clients {
        let answer: Answer = client.answer().await;
        assert_eq!(answer.status, 200);
    }
}
