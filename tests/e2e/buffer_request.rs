//! `buffer_request`: a body is read before admission, so that a slow uploader holds no permit.

use std::time::Duration;

use bytes::Bytes;

use crate::support::client::head_of;
use crate::support::http2::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Http2, frame};
use crate::support::{Client, Http2Upstream, Setup, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

fn buffering(size: &str) -> Setup {
    Sluicegate::with_limit(1).queue(2).route(&format!("buffer_request = \"{size}\""))
}

async fn half_sent(gate: &Sluicegate) -> Client {
    let mut client = gate.client().await;
    client.send(head_of("POST", "/slow", &["Content-Length: 10"]) + "hello").await;
    client.settled().await;
    client
}

#[tokio::test]
async fn a_slow_uploader_holds_no_permit() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    let mut slow = half_sent(&gate).await;
    assert!(nothing_comes(upstream.next()).await, "it was admitted before its body was there");
    permits_are_all_back(&gate, &mut upstream, 1).await;
    slow.send("world").await;
    let mut call = soon("the slow request", upstream.next()).await;
    assert_eq!(call.head.field("content-length").as_deref(), Some("10"));
    assert_eq!(call.body().await.unwrap().text(), "helloworld");
    call.respond(200, "").await;
    assert_eq!(slow.answer().await.status, 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_slow_uploader_over_http_2_holds_no_permit() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let mut slow = client.ask(client.request("POST", "/slow", &[]), false).await;
    slow.body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    assert!(nothing_comes(upstream.next()).await, "it was admitted before its body was there");
    permits_are_all_back(&gate, &mut upstream, 1).await;
    slow.body.send_data(Bytes::from_static(b"world"), true).unwrap();
    let mut call = soon("the slow request", upstream.next()).await;
    assert!(call.head.lists("transfer-encoding", "chunked"));
    assert_eq!(call.body().await.unwrap().text(), "helloworld");
    call.respond(200, "").await;
    assert_eq!(slow.answer().await.head.status(), 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_upstream_of_http_2_gets_all_of_it() {
    let mut upstream = Http2Upstream::start().await;
    let gate = buffering("64KiB").in_front_of_url(&upstream.url()).await;
    let mut slow = half_sent(&gate).await;
    assert!(nothing_comes(upstream.next()).await, "it was admitted before its body was there");
    slow.send("world").await;
    let mut call = soon("the slow request", upstream.next()).await;
    assert_eq!(call.body().await.unwrap().text(), "helloworld");
    call.respond(200, "").await;
    assert_eq!(slow.answer().await.status, 200);
    let body: Vec<u8> = (0..1_000_000_u32).map(|byte| (byte / 3) as u8).collect();
    slow.post("/large", &body).await;
    let mut call = soon("the large request", upstream.next()).await;
    assert!(call.body().await.unwrap().bytes == body);
    call.respond(200, "").await;
    assert_eq!(slow.answer().await.status, 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_client_over_http_2_that_expects_to_be_told_is_told_before_admission() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    let mut client = Frames::connect(gate.address).await;
    // POST http://a/ with a literal `expect: 100-continue`.
    let head = [b"\x83\x86\x84\x41\x01a\x00\x06expect\x0c".as_slice(), b"100-continue"].concat();
    client.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
    // Status 100 is a literal; the upstream has seen nothing so far.
    client.until(HEADERS).await.expect("100 Continue");
    assert_eq!(upstream.total(), 0);
    client.send(&frame(DATA, END_STREAM, 1, b"hello")).await;
    assert_eq!(soon("the request", upstream.next()).await.body().await.unwrap().text(), "hello");
}

#[tokio::test]
async fn a_chunked_body_keeps_its_trailers() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    let head = head_of("POST", "/", &["Transfer-Encoding: chunked", "Trailer: x-sum"]);
    client.send(head + "5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n").await;
    let body = soon("the request", upstream.next()).await.body().await.unwrap();
    assert_eq!((body.text().as_str(), body.trailers), ("hello", vec![("x-sum".to_owned(), b"42".to_vec())]));
}

#[tokio::test]
async fn a_full_buffer_is_enough_to_be_admitted() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("1KiB").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    let body: Vec<u8> = (0..100_000_u32).map(|byte| byte as u8).collect();
    client.send(head_of("POST", "/", &["Content-Length: 100000"])).await;
    client.send(&body[..2000]).await;
    let mut call = soon("the request", upstream.next()).await;
    client.send(&body[2000..]).await;
    assert_eq!(call.body().await.unwrap().bytes, body);
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn what_is_sent_while_waiting_comes_behind_what_was_read_before() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("1KiB").in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let held = soon("the holder's request", upstream.next()).await;
    let mut client = gate.client().await;
    let body: Vec<u8> = (0..60_000_u32).map(|byte| (byte / 7) as u8).collect();
    client.send(head_of("POST", "/", &["Content-Length: 60000"])).await;
    client.send(&body).await;
    client.settled().await;
    held.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(call.body().await.unwrap().bytes, body);
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn an_uploader_that_leaves_is_just_gone() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    half_sent(&gate).await.leave();
    half_sent(&gate).await.abort();
    let mut half_closed = half_sent(&gate).await;
    half_closed.half_close().await;
    let client = Http2::connect(gate.address).await;
    let mut asked = client.ask(client.request("POST", "/slow", &[]), false).await;
    asked.body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    asked.cancel();
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert_eq!(upstream.total(), 2, "somebody worked for the dead");
}

#[tokio::test]
async fn an_uploader_that_falls_silent_is_a_408() {
    let mut upstream = Upstream::start().await;
    let setup = buffering("64KiB").server("body_idle_timeout = \"200ms\"");
    let gate = setup.in_front_of(&upstream).await;
    half_sent(&gate).await.answer().await.expect(408, "request_timeout");
    let client = Http2::connect(gate.address).await;
    let mut asked = client.ask(client.request("POST", "/slow", &[]), false).await;
    asked.body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    asked.answer().await.expect(408, "request_timeout");
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert_eq!(upstream.total(), 2);
}

#[tokio::test]
async fn whoever_expects_to_be_told_to_continue_is_told_before_admission() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let held = soon("the holder's request", upstream.next()).await;
    let mut client = gate.client().await;
    client.request("POST", "/", &["Content-Length: 5", "Expect: 100-continue"]).await;
    assert_eq!(client.head().await.status(), 100);
    client.send("hello").await;
    client.settled().await;
    assert!(client.hears_nothing().await);
    held.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(call.body().await.unwrap().text(), "hello");
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_body_that_has_been_read_costs_no_connection_on_rejection() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("1MiB").route("queue_timeout = \"100ms\"").in_front_of(&upstream).await;
    let _holder = gate.get("/holder").await;
    let _held = soon("the holder's request", upstream.next()).await;
    let mut client = gate.client().await;
    client.post("/", vec![b'x'; 500_000]).await;
    let answer = client.answer().await;
    answer.expect(503, "queue_timeout");
    assert!(!answer.closes());
    client.post("/", "again").await;
    client.answer().await.expect(503, "queue_timeout");
}

#[tokio::test]
async fn slow_uploaders_hold_what_they_sent_and_no_more() {
    let upstream = Upstream::start().await;
    let gate = buffering("1MiB").in_front_of(&upstream).await;
    let Some(before) = gate.resident() else { return };
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = gate.client().await;
        client.send(head_of("POST", "/", &["Content-Length: 100000000"])).await;
        client.send(vec![b'x'; 100_000]).await;
        client.settled().await;
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let each = gate.resident().unwrap().saturating_sub(before) / 50;
    assert!(each < 400_000, "{each} bytes for 100,000 that were sent");
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn a_client_whose_deadline_passes_while_it_sends_is_told_then() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    let start = std::time::Instant::now();
    client.send(head_of("POST", "/slow", &["Content-Length: 10", "X-Request-Timeout: 300ms"]) + "hello").await;
    client.answer().await.expect(504, "deadline_expired");
    assert!(start.elapsed() < Duration::from_secs(5), "after {:?}", start.elapsed());
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_call_of_grpc_is_not_read_ahead() {
    let mut upstream = Http2Upstream::start().await;
    let gate = buffering("64KiB").in_front_of_url(&upstream.url()).await;
    let client = Http2::connect(gate.address).await;
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    let mut call = client.ask(client.request("POST", "/a.B/Talk", &fields), false).await;
    call.body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    // Its client says more when its server has.
    soon("the call", upstream.next()).await.respond(200, "").await;
    assert_eq!(call.answer().await.head.status(), 200);
}

#[tokio::test]
async fn what_all_of_them_have_sent_is_bounded_and_who_finds_no_room_goes_on_at_once() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(4).queue(1).route("buffer_request = \"1MiB\"\nqueue_bytes = \"256KiB\"");
    let gate = gate.in_front_of(&upstream).await;
    let uploader = async || {
        let mut client = gate.client().await;
        client.send(head_of("POST", "/", &["Content-Length: 1000000"])).await;
        // A buffer is at most twice as large as what is in it: one has room, and three have not.
        client.send(vec![b'x'; 100_000]).await;
        client.settled().await;
        client
    };
    let mut uploaders = vec![uploader().await];
    assert!(nothing_comes(upstream.next()).await, "there is room for one");
    uploaders.push(uploader().await);
    uploaders.push(uploader().await);
    soon("one for which there is no room", upstream.next()).await;
    for uploader in uploaders {
        uploader.leave();
    }
    permits_are_all_back(&gate, &mut upstream, 4).await;
    let _next = uploader().await;
    assert!(nothing_comes(upstream.next()).await, "the room has come back");
}

#[tokio::test]
async fn a_body_that_nobody_has_asked_for_may_never_come() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(0).route("buffer_request = \"64KiB\"\nqueue_bytes = 0");
    let gate = setup.in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/expects", &["Content-Length: 5", "Expect: 100-continue"])).await;
    let answer = client.answer().await;
    answer.expect(503, "no_permit");
    assert!(answer.head.lists("connection", "close"), "what comes next may be the body or a request");
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
}
