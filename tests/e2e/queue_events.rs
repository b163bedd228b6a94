//! `queue_events = "sse"`: a client of an event stream is told that it waits.

use std::time::{Duration, Instant};

use crate::support::http2::Http2;
use crate::support::message::{Framing, Head};
use crate::support::{AccessLog, Call, Client, Setup, Sluicegate, Upstream, permits_are_all_back, soon};

const ACCEPT: &str = "Accept: text/event-stream";
const EVENTS: (&str, &str) = ("Content-Type", "text/event-stream");

fn telling() -> Setup {
    Sluicegate::with_limit(1).queue(4).route("queue_events = \"sse\"\nbuffer_request = \"64KiB\"")
}

/// A gate whose only permit is taken.
struct Full {
    gate: Sluicegate,
    upstream: Upstream,
    holder: Client,
    held: Call,
}

impl Full {
    async fn start(setup: Setup) -> Self {
        let mut upstream = Upstream::start().await;
        let gate = setup.in_front_of(&upstream).await;
        let holder = gate.get("/holder").await;
        let held = soon("the holder's request", upstream.next()).await;
        Full { gate, upstream, holder, held }
    }

    async fn asking(&self) -> Client {
        let mut client = self.gate.client().await;
        client.request("GET", "/", &[ACCEPT, "Accept-Encoding: gzip"]).await;
        client
    }

    /// Lets the next one go.
    async fn release(self) -> (Sluicegate, Upstream) {
        let Full { gate, upstream, mut holder, held } = self;
        held.respond(200, "").await;
        assert_eq!(holder.answer().await.status, 200);
        (gate, upstream)
    }
}

fn is_begun(head: &Head) {
    assert_eq!(head.status(), 200);
    assert_eq!(head.field("content-type").as_deref(), Some("text/event-stream"));
    assert_eq!(head.field("cache-control").as_deref(), Some("no-store"));
    assert!(head.has("x-request-id") && !head.has("x-sluicegate-reason"));
}

async fn piece(client: &mut Client) -> String {
    String::from_utf8(client.piece(&mut Framing::Chunked).await.unwrap().expect("more of it")).unwrap()
}

#[tokio::test]
async fn a_waiter_is_told_every_5_s_and_then_gets_its_events() {
    let full = Full::start(telling()).await;
    let asked = Instant::now();
    let mut client = full.asking().await;
    is_begun(&client.head().await);
    assert!(asked.elapsed() >= Duration::from_millis(4900), "after only {:?}", asked.elapsed());
    assert_eq!(piece(&mut client).await, ": queued position=1\n\n");
    assert!(asked.elapsed() < Duration::from_millis(7000), "after {:?}", asked.elapsed());
    assert_eq!(piece(&mut client).await, ": queued position=1\n\n");
    assert!(asked.elapsed() >= Duration::from_millis(9900), "after only {:?}", asked.elapsed());
    let (gate, mut upstream) = full.release().await;
    let mut call = soon("the request", upstream.next()).await;
    assert!(!call.head.has("accept-encoding"), "the head that would name a coding has been sent");
    call.start_streaming(&[EVENTS]).await;
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        call.chunk(event).await.unwrap();
        assert_eq!(piece(&mut client).await, event);
    }
    call.finish().await;
    let mut framing = Framing::Chunked;
    assert_eq!(client.piece(&mut framing).await.unwrap(), None);
    // The connection goes on.
    client.get("/again").await;
    soon("the next request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_waiter_is_told_where_it_stands_now() {
    let full = Full::start(telling()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = full.asking().await;
        client.settled().await;
        clients.push(client);
    }
    for (client, position) in clients.iter_mut().zip(1..) {
        is_begun(&client.head().await);
        assert_eq!(piece(client).await, format!(": queued position={position}\n\n"));
    }
    clients.remove(0).leave();
    for (client, position) in clients.iter_mut().zip(1..) {
        assert_eq!(piece(client).await, format!(": queued position={position}\n\n"));
    }
}

#[tokio::test]
async fn a_waiter_over_http_2_is_told_too() {
    let full = Full::start(telling()).await;
    let client = Http2::connect(full.gate.address).await;
    let fields = [("content-type", "application/json")];
    let asked = client.post("/", &fields, br#"{"prompt": "hi", "stream": true}"#).await;
    let (response, _) = asked.head().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    assert_eq!(soon("a comment", body.data()).await.unwrap().unwrap(), ": queued position=1\n\n");
    let (gate, mut upstream) = full.release().await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(call.body().await.unwrap().text(), r#"{"prompt": "hi", "stream": true}"#);
    call.start_streaming(&[EVENTS]).await;
    call.chunk("data: 1\n\n").await.unwrap();
    assert_eq!(soon("an event", body.data()).await.unwrap().unwrap(), "data: 1\n\n");
    call.finish().await;
    while let Some(rest) = soon("the end", body.data()).await {
        assert!(rest.unwrap().is_empty());
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_waiter_over_http_2_that_takes_no_whole_comment_gets_its_turn_all_the_same() {
    let full = Full::start(telling()).await;
    let client = Http2::with(full.gate.address, h2::client::Builder::new().initial_window_size(1)).await;
    let fields = [("content-type", "application/json")];
    let asked = client.post("/", &fields, br#"{"prompt": "hi", "stream": true}"#).await;
    let (response, _) = asked.head().await.unwrap();
    let mut body = response.into_body();
    let (gate, mut upstream) = full.release().await;
    let mut call = soon("the request", upstream.next()).await;
    call.body().await.unwrap();
    call.start_streaming(&[EVENTS]).await;
    call.chunk("data: 1\n\n").await.unwrap();
    call.finish().await;
    let mut text = Vec::new();
    while let Some(piece) = soon("a piece", body.data()).await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        text.extend_from_slice(&piece);
    }
    assert_eq!(text, b"data: 1\n\n");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn what_no_head_can_say_any_more_is_an_event() {
    let answers: [(&str, u16, Option<&str>); 4] = [
        ("HTTP/1.1 429 Slow Down\r\nContent-Length: 4\r\n\r\nslow", 429, None),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            502,
            Some("upstream_protocol"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n.",
            502,
            Some("upstream_protocol"),
        ),
        ("what is this?\r\n\r\n", 502, Some("upstream_protocol")),
    ];
    let full = Full::start(telling()).await;
    let mut clients = Vec::new();
    for _ in &answers {
        let mut client = full.gate.client().await;
        client.request("GET", "/", &["Accept: text/html, text/event-stream"]).await;
        client.settled().await;
        clients.push(client);
    }
    for client in &mut clients {
        is_begun(&client.head().await);
        assert!(piece(client).await.starts_with(": queued position="));
    }
    let (gate, mut upstream) = full.release().await;
    for (client, (answer, status, reason)) in clients.iter_mut().zip(answers) {
        let mut call = soon("a request", upstream.next()).await;
        call.send_raw(answer).await.unwrap();
        call.close();
        let text = client.body(&mut Framing::Chunked).await.unwrap().text();
        let event = text.strip_prefix("event: error\ndata: ").and_then(|rest| rest.strip_suffix("\n\n"));
        let problem: serde_json::Value = serde_json::from_str(event.unwrap_or_else(|| panic!("{text:?}"))).unwrap();
        assert_eq!((&problem["status"], problem["reason"].as_str()), (&status.into(), reason), "{answer}");
        assert!(problem["title"].is_string() && problem["request_id"].is_string(), "{problem}");
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_later_rejection_is_an_event() {
    let full = Full::start(telling().route("queue_timeout = \"6s\"")).await;
    let mut client = full.asking().await;
    is_begun(&client.head().await);
    let text = client.body(&mut Framing::Chunked).await.unwrap().text();
    let (comment, event) = text.split_once("\n\n").unwrap();
    assert_eq!(comment, ": queued position=1");
    let problem: serde_json::Value = serde_json::from_str(event.strip_prefix("event: error\ndata: ").unwrap()).unwrap();
    assert_eq!((&problem["reason"], &problem["status"]), (&"queue_timeout".into(), &503.into()), "{problem}");
    let (gate, mut upstream) = full.release().await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn events_that_break_off_never_look_complete() {
    let full = Full::start(telling()).await;
    let mut client = full.asking().await;
    is_begun(&client.head().await);
    let (gate, mut upstream) = full.release().await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[EVENTS]).await;
    call.chunk("data: 1\n\n").await.unwrap();
    call.reset();
    client.body(&mut Framing::Chunked).await.expect_err("it broke off");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_client_that_leaves_leaves_the_queue_or_ends_the_exchange() {
    let full = Full::start(telling()).await;
    let (mut left, mut aborted, mut stays) = (full.asking().await, full.asking().await, full.asking().await);
    let other = Http2::connect(full.gate.address).await;
    let reset = other.ask(other.request("GET", "/", &[("accept", "text/event-stream")]), true).await;
    for client in [&mut left, &mut aborted, &mut stays] {
        is_begun(&client.head().await);
        piece(client).await;
    }
    let (response, mut stream) = reset.head().await.unwrap();
    left.leave();
    aborted.abort();
    stream.send_reset(h2::Reason::CANCEL);
    drop(response);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (gate, mut upstream) = full.release().await;
    let mut call = soon("the one that stays", upstream.next()).await;
    stays.leave();
    soon("the upstream to be told", call.until_hung_up()).await;
    call.close();
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert_eq!(upstream.total(), 4, "somebody worked for the dead");
}

#[tokio::test]
async fn who_does_not_wait_so_long_or_has_not_asked_gets_an_ordinary_answer() {
    let full = Full::start(telling()).await;
    let mut other = full.gate.waiting("/other").await;
    let mut early = full.asking().await;
    early.settled().await;
    let started = Instant::now();
    let (gate, mut upstream) = full.release().await;
    let call = soon("the other's request", upstream.next()).await;
    call.respond(200, "other").await;
    assert_eq!(other.answer().await.body.text(), "other");
    // It has been admitted: what takes so long now is not its wait.
    let call = soon("the early request", upstream.next()).await;
    tokio::time::sleep(Duration::from_millis(5500).saturating_sub(started.elapsed())).await;
    assert!(early.hears_nothing().await);
    call.respond_with(404, &[("x-own", "1")], "not here").await;
    let answer = early.answer().await;
    assert_eq!((answer.status, answer.body.text().as_str()), (404, "not here"));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_upload_that_stalls_after_its_events_have_begun_gives_its_permit_back() {
    let setup = Sluicegate::with_limit(1).queue(4).route("queue_events = \"sse\"\non_client_gone = \"reset\"");
    // Longer than the wait, in which it counts as well.
    let full = Full::start(setup.server("body_idle_timeout = \"8s\"")).await;
    let client = Http2::connect(full.gate.address).await;
    let asked = client.ask(client.request("POST", "/", &[("accept", "text/event-stream")]), false).await;
    let (response, body) = asked.head().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body();
    soon("a comment", events.data()).await.unwrap().unwrap();
    let (gate, mut upstream) = full.release().await;
    // It goes upstream, and sends nothing more.
    let call = soon("the request", upstream.next()).await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
    drop((call, body));
}

#[tokio::test]
async fn what_has_begun_is_logged_with_the_status_that_its_client_has_seen() {
    let log = AccessLog::new("queue-events");
    let full = Full::start(telling().route("queue_timeout = \"6s\"").server(&log.table())).await;
    let mut leaves = full.gate.client().await;
    leaves.request("GET", "/leaves", &[ACCEPT]).await;
    let mut waits = full.gate.client().await;
    waits.request("GET", "/waits", &[ACCEPT]).await;
    is_begun(&leaves.head().await);
    leaves.leave();
    is_begun(&waits.head().await);
    waits.body(&mut Framing::Chunked).await.unwrap();
    for (path, reason, outcome) in
        [("/leaves", "client_closed", "client_gone"), ("/waits", "queue_timeout", "rejected")]
    {
        let line = &log.about(path, 1).await[0];
        let said = (&line["status"], &line["reason"], &line["outcome"]);
        assert_eq!(said, (&200.into(), &reason.into(), &outcome.into()), "{line}");
    }
    let (gate, mut upstream) = full.release().await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
}
