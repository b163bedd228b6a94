//! What HTTP/2's clients and HTTP/1's upstreams say to each other: heads, bodies, trailers, answers of our own.

use bytes::Bytes;

use crate::support::http2::{DATA, END_HEADERS, END_STREAM, Frames, GET, HEADERS, Http2, frame};
use crate::support::{Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

#[tokio::test]
async fn trailers_reach_the_client() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let asked = client.ask(client.request("GET", "/", &[("te", "trailers")]), true).await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[("trailer", "x-sum")]).await;
    call.chunk("data").await.unwrap();
    call.respond_raw("0\r\nx-sum: 42\r\n\r\n").await;
    let answer = asked.answer().await;
    assert_eq!(&answer.body[..], b"data");
    assert_eq!(answer.trailers.expect("trailers")["x-sum"], "42");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_body_of_unknown_length_and_its_trailers_reach_the_upstream() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let mut asked = client.ask(client.request("POST", "/", &[]), false).await;
    let mut call = soon("the request before its body", upstream.next()).await;
    assert_eq!(call.head.field("transfer-encoding").as_deref(), Some("chunked"));
    asked.body.send_data(Bytes::from_static(b"one"), false).unwrap();
    assert_eq!(call.piece().await.unwrap().as_deref(), Some(&b"one"[..]));
    asked.body.send_data(Bytes::from_static(b"two"), true).unwrap();
    assert_eq!(call.body().await.unwrap().text(), "two");
    call.respond(200, "").await;
    assert_eq!(asked.answer().await.head.status(), 200);
}

#[tokio::test]
async fn the_crumbs_of_a_cookie_are_joined() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let asked = client.ask(client.request("GET", "/", &[("cookie", "a=1"), ("cookie", "b=2")]), true).await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.head.all("cookie"), ["a=1; b=2"]);
    call.respond(200, "").await;
    asked.answer().await;
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_hears_it_once_it_is_admitted() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).in_front_of(&upstream).await;
    let mut frames = Frames::connect(gate.address).await;
    let holder = gate.get("/holder").await;
    let held = soon("the holder", upstream.next()).await;
    // POST, with `expect: 100-continue` as a literal.
    let head = [b"\x83\x86\x84\x41\x01a\x00\x06expect\x0c".as_slice(), b"100-continue"].concat();
    frames.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
    assert!(nothing_comes(frames.until(HEADERS)).await, "it is told to go on while it waits");
    held.respond(200, "").await;
    let (_, flags, stream, head) = frames.until(HEADERS).await.expect("word that it may go on");
    assert_eq!((flags & END_STREAM, stream), (0, 1));
    // `:status` as a literal, "100" in Huffman's code.
    assert_eq!(head, [0x48, 0x82, 0x08, 0x01]);
    frames.send(&frame(DATA, END_STREAM, 1, b"body")).await;
    let mut call = soon("the request", upstream.next()).await;
    assert!(!call.head.has("expect"));
    assert_eq!(soon("its body", call.body()).await.unwrap().text(), "body");
    call.respond(200, "").await;
    assert_eq!(frames.until(HEADERS).await.expect("the answer").2, 1);
    drop(holder);
}

#[tokio::test]
async fn a_head_request_gets_no_body_from_anyone() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let asked = client.ask(client.request("HEAD", "/", &[]), true).await;
    let call = soon("the request", upstream.next()).await;
    let answer = client.ask(client.request("HEAD", "/", &[]), true).await.answer().await;
    answer.expect(503, "no_permit");
    assert!(answer.body.is_empty() && answer.field("content-length").is_some_and(|length| length != "0"));
    call.respond_raw("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
    let answer = asked.answer().await;
    assert_eq!((answer.body.len(), answer.field("content-length")), (0, Some("1000")));
}

#[tokio::test]
async fn connect_is_refused_and_its_neighbours_go_on() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(2).in_front_of(&upstream).await;
    let mut frames = Frames::connect(gate.address).await;
    frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)).await;
    let call = soon("the neighbour", upstream.next()).await;
    // CONNECT a, with a content-length.
    let head = b"\x02\x07CONNECT\x41\x01a\x0f\x0d\x015";
    frames.send(&frame(HEADERS, END_HEADERS, 3, head)).await;
    let (_, _, stream, _) = frames.until(HEADERS).await.expect("a refusal");
    assert_eq!(stream, 3);
    call.respond(200, "").await;
    assert_eq!(frames.until(HEADERS).await.expect("the answer").2, 1);
}

#[tokio::test]
async fn trailers_that_concern_a_connection_are_dropped() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let asked = client.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    call.respond_raw("0\r\nconnection: x\r\nx-sum: 42\r\n\r\n").await;
    let trailers = asked.answer().await.trailers.expect("trailers");
    assert_eq!((trailers.len(), &trailers["x-sum"]), (1, &"42".parse::<http::HeaderValue>().unwrap()));
}

#[tokio::test]
async fn own_answers_say_why_and_the_connection_goes_on() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let holder = client.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    // Its body is still on its way: the answer comes, and then a reset that is no error (RFC 9113 §8.1).
    let unsent = client.ask(client.request("POST", "/", &[]), false).await;
    let answer = unsent.answer().await;
    answer.expect(503, "no_permit");
    assert!(answer.field("retry-after").is_some() && answer.field("connection").is_none(), "{answer:?}");
    for (method, fields, status, reason) in
        [("TRACE", &[][..], 400, "bad_request"), ("GET", &[("host", "other.test")][..], 400, "bad_request")]
    {
        let answer = client.ask(client.request(method, "/", fields), true).await.answer().await;
        answer.expect(status, reason);
    }
    let large = "x".repeat(33 << 10);
    let answer = client.ask(client.request("GET", "/", &[("x-large", &large)]), true).await.answer().await;
    answer.expect(431, "header_too_large");
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.head.status(), 200);
    let again = client.get("/again").await;
    soon("the permit", upstream.next()).await.respond(200, "").await;
    assert_eq!(again.answer().await.head.status(), 200);
}
