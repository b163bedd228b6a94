//! Endpoints that are asked how they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::bridge::{Bridge, Directory};
use crate::support::certificates::Ca;
use crate::support::{Call, Client, Http2Upstream, Setup, Sluicegate, StreamCall, Upstream, soon, until};

/// What is set in tests: quick checks, and a state that changes with each.
const QUICK: &str = "interval = \"20ms\", timeout = \"5s\", up = 1, down = 1";

/// An upstream that says of its health what it is told to say.
struct Patient {
    upstream: Upstream,
    healthy: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Patient {
    async fn start() -> Self {
        let (healthy, asked) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicUsize>::default());
        let (state, count) = (healthy.clone(), asked.clone());
        let upstream = Upstream::that(move |call| answer(call, state.clone(), count.clone())).await;
        Patient { upstream, healthy, asked }
    }

    fn is(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
    }
}

async fn answer(call: Call, healthy: Arc<AtomicBool>, asked: Arc<AtomicUsize>) {
    let status = match call.path() {
        "/healthz?full" => {
            asked.fetch_add(1, Ordering::Relaxed);
            if healthy.load(Ordering::Relaxed) { 204 } else { 503 }
        }
        // Whoever is ill does not do its work.
        _ if healthy.load(Ordering::Relaxed) => 200,
        _ => 500,
    };
    call.respond(status, "").await;
}

async fn states(gate: &Sluicegate) -> Vec<String> {
    let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
    let endpoints = list["upstreams"][0]["endpoints"].as_array().unwrap().clone();
    endpoints.iter().map(|endpoint| endpoint["state"].as_str().unwrap().to_owned()).collect()
}

async fn until_states(gate: &Sluicegate, expected: &[&str]) {
    until(&format!("the states to be {expected:?}"), async || states(gate).await == expected).await;
}

fn with_page(setup: Setup) -> Setup {
    setup.admin().upstream(&format!("health = {{ path = \"/healthz?full\", expect = \"204\", {QUICK} }}"))
}

#[tokio::test]
async fn who_is_ill_gets_nothing_and_its_slots_do_not_count_until_it_is_well() {
    let (one, other) = (Patient::start().await, Patient::start().await);
    let setup = with_page(Sluicegate::with_limit(9)).upstream("slots = 2");
    let mut gate = setup.in_front_of_all([one.upstream.url(), other.upstream.url()]).await;
    let slots =
        async || gate.ask_admin("GET /api/v1/limits/upstreams.default", "").await.json()["limit"].as_u64().unwrap();
    assert_eq!((states(&gate).await, slots().await), (vec!["up".to_owned(); 2], 4));
    one.is(false);
    until_states(&gate, &["down", "up"]).await;
    assert_eq!(slots().await, 2);
    let metric = format!("sluicegate_endpoint_up{{upstream=\"default\",endpoint=\"{}\"}}", one.upstream.address);
    assert_eq!(gate.metrics().await[&metric], 0.0);
    let mut client = gate.client().await;
    for _ in 0..10 {
        client.get("/").await;
        assert_eq!(client.answer().await.status, 200);
    }
    one.is(true);
    until_states(&gate, &["up", "up"]).await;
    assert_eq!((slots().await, gate.metrics().await[&metric]), (4, 1.0));
    // It is told once each time that it changes, however often it is asked.
    let asked = one.asked.load(Ordering::Relaxed);
    until("more checks", async || one.asked.load(Ordering::Relaxed) > asked + 5).await;
    assert_eq!(gate.log().matches("is not healthy, and gets no requests").count(), 1);
    assert_eq!(gate.log().matches("is healthy again").count(), 1);
    // Whoever is not asked any more is not ill for ever.
    one.is(false);
    until_states(&gate, &["down", "up"]).await;
    let plain = Sluicegate::with_limit(9).upstream("slots = 2");
    gate.reload(&plain.text_of_all([one.upstream.url(), other.upstream.url()])).await;
    assert_eq!(states(&gate).await, ["up", "up"]);
}

#[tokio::test]
async fn where_all_are_ill_the_answer_is_no_endpoint() {
    let one = Patient::start().await;
    let gate = with_page(Sluicegate::with_limit(1)).in_front_of(&one.upstream).await;
    one.is(false);
    until_states(&gate, &["down"]).await;
    let answer = gate.get("/").await.answer().await;
    answer.expect(503, "no_endpoint");
    assert!(answer.head.field("retry-after").is_some());
    assert_eq!(gate.limit_status().await["in_flight"], 0);
    one.is(true);
    until_states(&gate, &["up"]).await;
    assert_eq!(gate.get("/").await.answer().await.status, 200);
}

#[tokio::test]
async fn one_that_falls_ill_and_recovers_under_load_loses_no_request() {
    // What it answers while nobody knows yet that it is ill is its own affair: here it goes on answering.
    let healthy = Arc::new(AtomicBool::new(true));
    let state = healthy.clone();
    let moody = Upstream::that(move |call| {
        let status = if call.path() == "/healthz?full" && !state.load(Ordering::Relaxed) { 503 } else { 204 };
        call.respond(status, "")
    })
    .await;
    let steady = Upstream::that(|call| call.respond(204, "")).await;
    let setup = with_page(Sluicegate::with_limit(8).queue(1000)).upstream("slots = 4");
    let gate = setup.in_front_of_all([moody.url(), steady.url()]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let (stop, address) = (stop.clone(), gate.address);
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            while !stop.load(Ordering::Relaxed) {
                client.get("/").await;
                let answer = client.answer().await;
                assert_eq!(answer.status, 204, "{:?}", answer.reason());
            }
        });
    }
    for _ in 0..5 {
        healthy.store(false, Ordering::Relaxed);
        until_states(&gate, &["down", "up"]).await;
        healthy.store(true, Ordering::Relaxed);
        until_states(&gate, &["up", "up"]).await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(client) = soon("the last answers", clients.join_next()).await {
        client.expect("no request is lost");
    }
    assert!(steady.peak() <= 5, "four and a check: {}", steady.peak());
    let status = gate.ask_admin("GET /api/v1/limits/upstreams.default", "").await.json();
    assert_eq!((&status["in_flight"], &status["limit"]), (&0.into(), &8.into()));
}

#[tokio::test]
async fn a_server_that_takes_connections_is_well_and_one_that_is_gone_is_not() {
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let other = Upstream::that(|call| call.respond(200, "")).await;
    let setup = Sluicegate::with_limit(1).admin().upstream(&format!("health = {{ tcp = true, {QUICK} }}"));
    let gate = setup.in_front_of_all([upstream.url(), other.url()]).await;
    until("some checks", async || upstream.connections() > 3 && other.connections() > 3).await;
    assert_eq!(states(&gate).await, ["up", "up"]);
    drop(other);
    until_states(&gate, &["up", "down"]).await;
}

#[tokio::test]
async fn checks_go_the_way_of_requests_through_tls_and_to_a_socket() {
    let ca = Ca::new();
    let one = Patient::start().await;
    let directory = Directory::new();
    let _local = Bridge::from_unix(&directory.file("api.sock"), one.upstream.address);
    let (healthy, other) = (one.healthy.clone(), Http2Upstream::start().await.address);
    let state = healthy.clone();
    let http2 = Http2Upstream::that(move |call| {
        let status = if state.load(Ordering::Relaxed) { 204 } else { 503 };
        call.respond(status, "")
    })
    .await;
    let tls = |alpn: &[&str]| ca.server(ca.issue("a", &["127.0.0.1"]), false, alpn);
    let (first, _first) = Bridge::from_tls(tls(&["http/1.1"]), other, one.upstream.address).await;
    let (second, _second) = Bridge::from_tls(tls(&["h2"]), http2.address, other).await;
    let tls = format!("tls = {{ ca = \"{}\" }}", ca.path("ca.crt"));
    for (url, keys) in [
        (format!("unix:{}", directory.path("api.sock")), ""),
        (format!("https://{first}"), tls.as_str()),
        (format!("https://{second}"), tls.as_str()),
    ] {
        healthy.store(true, Ordering::Relaxed);
        let gate = with_page(Sluicegate::with_limit(1)).upstream(keys).in_front_of_url(&url).await;
        healthy.store(false, Ordering::Relaxed);
        until_states(&gate, &["down"]).await;
        healthy.store(true, Ordering::Relaxed);
        until_states(&gate, &["up"]).await;
    }
    assert!(http2.total() > 1);
}

/// `HealthCheckResponse { status }`.
async fn grpc(mut call: StreamCall, serving: Arc<AtomicBool>) {
    assert_eq!((call.method(), call.path()), ("POST", "/grpc.health.v1.Health/Check"));
    assert_eq!(call.body().await.unwrap().bytes, b"\0\0\0\0\x06\x0a\x04acme");
    call.start_streaming(&[("content-type", "application/grpc")]);
    let status = if serving.load(Ordering::Relaxed) { 1 } else { 2 };
    let _ = call.chunk([0, 0, 0, 0, 2, 8, status]).await;
    call.finish_with(&[("grpc-status", "0")]);
}

#[tokio::test]
async fn grpc_is_asked_by_its_own_protocol() {
    let serving = Arc::new(AtomicBool::new(true));
    let state = serving.clone();
    let upstream = Http2Upstream::that(move |call| grpc(call, state.clone())).await;
    let setup = Sluicegate::with_limit(1).admin().upstream(&format!("health = {{ grpc = \"acme\", {QUICK} }}"));
    let gate = setup.in_front_of_url(&upstream.url()).await;
    until("some checks", async || upstream.total() > 3).await;
    assert_eq!(states(&gate).await, ["up"]);
    serving.store(false, Ordering::Relaxed);
    until_states(&gate, &["down"]).await;
    serving.store(true, Ordering::Relaxed);
    until_states(&gate, &["up"]).await;
}

#[tokio::test]
async fn a_page_is_asked_for_over_http2_too_and_one_that_does_not_come_in_time_is_a_failure() {
    let upstream = Http2Upstream::that(|call| call.respond(200, "")).await;
    let mut silent = Http2Upstream::start().await;
    let slow = QUICK.replace("5s", "100ms");
    let setup = Sluicegate::with_limit(1).admin().upstream(&format!("health = {{ path = \"/\", {slow} }}"));
    let gate = setup.in_front_of_all([upstream.url(), silent.url()]).await;
    let _asked = soon("a check", silent.next()).await;
    until("the other to be down", async || states(&gate).await[1] == "down").await;
    assert!(upstream.total() > 0);
}

#[tokio::test]
async fn an_endpoint_is_well_until_it_has_been_asked() {
    let one = Patient::start().await;
    one.is(false);
    let text = "health = { path = \"/healthz?full\", expect = \"204\", interval = \"1h\" }";
    let gate = Sluicegate::with_limit(1).admin().upstream(text).in_front_of(&one.upstream).await;
    // One check within a second, and then none for an hour: three would be needed.
    until("the first check", async || one.asked.load(Ordering::Relaxed) == 1).await;
    assert_eq!(states(&gate).await, ["up"]);
    tokio::time::timeout(Duration::from_secs(20), gate.get("/").await.answer()).await.expect("it gets requests");
}
