//! One upstream with several endpoints.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::support::{Call, Http2Upstream, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon, until};

/// Two upstreams that answer when told.
async fn two() -> (Upstream, Upstream) {
    (Upstream::start().await, Upstream::start().await)
}

/// An address that nobody listens on.
async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// The next request, whoever of the two it has reached.
async fn next_of(one: &mut Upstream, other: &mut Upstream) -> (Call, bool) {
    let next = async {
        tokio::select! {
            call = one.next() => (call, true),
            call = other.next() => (call, false),
        }
    };
    soon("a request", next).await
}

#[tokio::test]
async fn the_endpoint_with_less_in_flight_gets_the_next_request() {
    let (mut one, mut other) = two().await;
    let gate = Sluicegate::with_limit(10).admin().in_front_of_all([one.url(), other.url()]).await;
    let mut clients = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..4 {
        clients.push(gate.get("/first").await);
        calls.push(next_of(&mut one, &mut other).await);
    }
    assert_eq!((one.inside(), other.inside()), (2, 2));
    // One of the two is done with its requests, and gets all that follow until it has as many.
    let mut running = Vec::new();
    for (call, is_one) in calls {
        match is_one {
            true => call.respond(200, "").await,
            false => running.push(call),
        }
    }
    until("two in flight", async || gate.limit_status().await["in_flight"] == 2).await;
    for _ in 0..2 {
        clients.push(gate.get("/second").await);
        let (call, is_one) = next_of(&mut one, &mut other).await;
        assert!(is_one, "the busy one got another");
        running.push(call);
    }
    assert_eq!((one.inside(), other.inside()), (2, 2));
}

#[tokio::test]
async fn in_turn_every_endpoint_gets_as_many() {
    let (one, other) =
        (Upstream::that(|call| call.respond(200, "")).await, Upstream::that(|call| call.respond(200, "")).await);
    let setup = Sluicegate::with_limit(1).upstream("balance = \"round_robin\"");
    let gate = setup.in_front_of_all([one.url(), other.url()]).await;
    let mut client = gate.client().await;
    for _ in 0..10 {
        client.get("/").await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!((one.total(), other.total()), (5, 5));
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_costs_no_request() {
    for (scheme, retries) in [("http", 0), ("http", 1), ("h2c", 0)] {
        let one = Upstream::that(|call| call.respond(200, "")).await;
        let two = Http2Upstream::that(|call| call.respond(200, "")).await;
        let port = if scheme == "http" { one.address.port() } else { two.address.port() };
        let urls = [format!("{scheme}://{}", nowhere().await), format!("{scheme}://127.0.0.1:{port}")];
        let gate = Sluicegate::with_limit(1).upstream(&format!("retries = {retries}")).in_front_of_all(urls).await;
        let mut client = gate.client().await;
        for _ in 0..20 {
            client.post("/", "body").await;
            assert_eq!(client.answer().await.status, 200, "{scheme}, {retries}");
        }
    }
}

#[tokio::test]
async fn where_none_can_be_reached_the_answer_is_connect_failed_and_the_permit_is_back() {
    let urls = [format!("http://{}", nowhere().await), format!("http://{}", nowhere().await)];
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of_all(urls).await;
    for _ in 0..3 {
        gate.get("/").await.answer().await.expect(502, "connect_failed");
    }
}

#[tokio::test]
async fn a_retry_goes_to_the_other_endpoint() {
    let (mut one, mut other) = two().await;
    let gate = Sluicegate::with_limit(2).in_front_of_all([one.url(), other.url()]).await;
    // Each has carried one, so that both connections are ones that are reused.
    let mut first = gate.get("/").await;
    let (one_call, _) = next_of(&mut one, &mut other).await;
    let mut second = gate.get("/").await;
    let (other_call, _) = next_of(&mut one, &mut other).await;
    for call in [one_call, other_call] {
        call.respond(200, "").await;
    }
    assert_eq!((first.answer().await.status, second.answer().await.status), (200, 200));
    assert_eq!((one.connections(), other.connections()), (1, 1));
    first.get("/again").await;
    let (call, is_one) = next_of(&mut one, &mut other).await;
    call.close();
    let (call, is_one_again) = next_of(&mut one, &mut other).await;
    assert_ne!(is_one, is_one_again);
    call.respond(200, "").await;
    assert_eq!(first.answer().await.status, 200);
}

#[tokio::test]
async fn the_host_upstream_is_that_of_the_endpoint() {
    let (mut one, mut other) = two().await;
    let setup = Sluicegate::with_limit(2).upstream("host = \"upstream\"");
    let gate = setup.in_front_of_all([one.url(), other.url()]).await;
    let mut clients = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..2 {
        clients.push(gate.get("/").await);
        let (call, is_one) = next_of(&mut one, &mut other).await;
        let address = if is_one { one.address } else { other.address };
        assert_eq!(call.head.field("host"), Some(address.to_string()));
        calls.push(call);
    }
    assert_eq!((one.inside(), other.inside()), (1, 1));
    let (mut one, mut other) = (Http2Upstream::start().await, Http2Upstream::start().await);
    let gate = setup.in_front_of_all([one.url(), other.url()]).await;
    for _ in 0..2 {
        let mut client = gate.get("/").await;
        let (call, address) = tokio::select! {
            call = one.next() => (call, one.address),
            call = other.next() => (call, other.address),
        };
        assert_eq!(call.head.uri().authority().unwrap().as_str(), address.to_string());
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn an_exchange_counts_at_its_endpoint_until_it_has_ended_also_without_its_client() {
    let (mut one, mut other) = two().await;
    let gate = Sluicegate::with_limit(2).queue(4).admin().in_front_of_all([one.url(), other.url()]).await;
    let client = gate.get("/left").await;
    let (call, is_one) = next_of(&mut one, &mut other).await;
    let label = |upstream: &Upstream, name: &str| {
        format!("sluicegate_{name}{{upstream=\"default\",endpoint=\"{}\"}}", upstream.address)
    };
    let busy = if is_one { &one } else { &other };
    client.leave();
    assert!(nothing_comes(std::future::pending::<()>()).await);
    let metrics = gate.metrics().await;
    assert_eq!(metrics[&label(busy, "endpoint_inflight")], 1.0);
    assert_eq!((metrics[&label(&one, "endpoint_up")], metrics[&label(&other, "endpoint_up")]), (1.0, 1.0));
    let name = busy.address.to_string();
    let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
    let endpoints = list["upstreams"][0]["endpoints"].as_array().unwrap().clone();
    let of_busy = endpoints.iter().find(|endpoint| endpoint["endpoint"] == name.as_str()).unwrap();
    assert_eq!((&of_busy["in_flight"], &of_busy["state"]), (&1.into(), &"up".into()));
    drop(call);
    let busy = label(busy, "endpoint_inflight");
    until("the exchange to end", async || gate.metrics().await[&busy] == 0.0).await;
}

#[tokio::test]
async fn a_reload_adds_and_removes_endpoints_and_loses_nothing() {
    let (mut one, mut other) = two().await;
    let setup = Sluicegate::with_limit(2).queue(4);
    let mut gate = setup.in_front_of_all([one.url()]).await;
    let mut first = gate.get("/first").await;
    let running = soon("the first", one.next()).await;
    gate.reload(&setup.text_of_all([other.url()])).await;
    let mut second = gate.get("/second").await;
    soon("the second", other.next()).await.respond(200, "").await;
    assert_eq!(second.answer().await.status, 200);
    running.respond(200, "").await;
    assert_eq!(first.answer().await.status, 200);
    permits_are_all_back(&gate, &mut other, 2).await;
}
