//! What a request may be at most: its head, its body and its time, over HTTP/1 and HTTP/2.

use bytes::Bytes;

use crate::support::client::head_of;
use crate::support::http2::Http2;
use crate::support::{Answer, Client, Sluicegate, Upstream, permits_are_all_back, soon};

/// A kilobyte of body, eight of head, and 300 ms of silence. One worker: on a connection that idled at another one, a body may
/// be refused before anything was written, and the upstream hears nothing of it.
async fn bounded(upstream: &Upstream) -> Sluicegate {
    let server =
        "max_body = \"1KiB\"\nmax_header_bytes = \"8KiB\"\nheader_timeout = \"300ms\"\nbody_idle_timeout = \"300ms\"";
    let text = Sluicegate::with_limit(1).queue(1).server(server).text(&upstream.url());
    Sluicegate::configured(&text.replace("threads = 2", "threads = 1")).await
}

type Fields<'a> = &'a [(&'a str, &'a str)];

/// Fields, the body, whether that is all of it, what is answered, and whether the upstream hears of it.
type Upload<'a> = (&'a str, Fields<'a>, &'static [u8], bool, (u16, &'a str), bool);

/// A body that is one byte too large.
static TOO_LARGE: [u8; 1025] = [b'x'; 1025];

#[tokio::test]
async fn what_goes_beyond_a_bound_is_refused_with_its_status() {
    let long = "x".repeat(9000);
    let chunked = |data: usize| {
        head_of("POST", "/chunked", &["Transfer-Encoding: chunked"]) + &format!("{data:x}\r\n{}\r\n", "x".repeat(data))
    };
    // What is sent, what is answered, and whether the upstream hears of it.
    let table: &[(&str, String, (u16, &str), bool)] = &[
        ("a head", head_of("GET", &format!("/{long}"), &[]), (431, "header_too_large"), false),
        ("a field", head_of("GET", "/", &[&format!("X-A: {long}")]), (431, "header_too_large"), false),
        ("a head without an end", format!("GET /{long}"), (431, "header_too_large"), false),
        ("too many fields", head_of("GET", "/", &["X-A: b"; 101]), (431, "header_too_large"), false),
        ("a slow head", "GET / HTTP/1.1\r\nHost".into(), (408, "request_timeout"), false),
        ("a slow body", head_of("POST", "/", &["Content-Length: 3"]) + "a", (408, "request_timeout"), true),
        ("a slow chunk", chunked(1000) + "a", (408, "request_timeout"), true),
        ("a declared body", head_of("POST", "/", &["Content-Length: 1025"]), (413, "body_too_large"), false),
        (
            "a declared body that waits to be asked for",
            head_of("POST", "/", &["Content-Length: 1025", "Expect: 100-continue"]),
            (413, "body_too_large"),
            false,
        ),
        ("a body in one chunk", chunked(1025), (413, "body_too_large"), true),
        ("a body in two chunks", chunked(1024) + "1\r\nx\r\n", (413, "body_too_large"), true),
    ];
    let mut upstream = Upstream::start().await;
    let gate = bounded(&upstream).await;
    for (what, bytes, (status, reason), heard) in table {
        let mut client = gate.client().await;
        client.send_request("POST", bytes).await;
        if *heard {
            let mut call = soon(&format!("{what} at the upstream"), upstream.next()).await;
            assert!(call.body().await.is_err(), "{what}: what is cut is not complete");
            call.close();
        }
        let answer = soon(what, client.try_answer()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            (answer.status, answer.reason().as_deref(), &answer.interim[..]),
            (*status, Some(*reason), &[][..]),
            "{what}"
        );
        // Or the next one waits, and its body is read ahead and refused before the upstream hears of it.
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
    assert_eq!(upstream.peak(), 1);
}

#[tokio::test]
async fn what_goes_beyond_a_bound_over_http2_is_refused_with_its_status() {
    let long: &'static str = "x".repeat(9000).leak();
    let no_fields: Fields<'_> = &[];
    let mut upstream = Upstream::start().await;
    let gate = bounded(&upstream).await;
    let table: &[Upload<'_>] = &[
        ("a field", &[("x-a", long)], b"", true, (431, "header_too_large"), false),
        ("too many fields", &[("x-a", "b"); 101], b"", true, (431, "header_too_large"), false),
        ("a slow body", no_fields, b"a", false, (408, "request_timeout"), true),
        ("a declared body", &[("content-length", "1025")], b"", false, (413, "body_too_large"), false),
        ("a whole declared body", &[("content-length", "1025")], &TOO_LARGE, true, (413, "body_too_large"), false),
        ("a body", no_fields, &TOO_LARGE, false, (413, "body_too_large"), true),
        ("a whole body", no_fields, &TOO_LARGE, true, (413, "body_too_large"), true),
    ];
    let client = Http2::connect(gate.address).await;
    for (what, fields, body, end, (status, reason), heard) in table {
        let mut asked = client.ask(client.request("POST", "/", fields), false).await;
        asked.body.send_data(Bytes::from_static(body), *end).unwrap();
        if *heard {
            let mut call = soon(&format!("{what} at the upstream"), upstream.next()).await;
            assert!(call.body().await.is_err(), "{what}: what is cut is not complete");
            call.close();
        }
        let answer = soon(what, asked.try_answer()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            (answer.head.status().as_u16(), answer.field("x-sluicegate-reason")),
            (*status, Some(*reason)),
            "{what}"
        );
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
    let grpc = client.post("/", &[("content-type", "application/grpc"), ("content-length", "1025")], &TOO_LARGE).await;
    let answer = grpc.answer().await;
    assert_eq!((answer.field("grpc-status"), answer.field("grpc-message")), (Some("8"), Some("body_too_large")));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_body_of_just_the_size_passes() {
    let mut upstream = Upstream::start().await;
    let gate = bounded(&upstream).await;
    let body = "x".repeat(1024);
    let chunked = format!("400\r\n{body}\r\n0\r\n\r\n");
    let mut client = gate.client().await;
    for request in [
        head_of("POST", "/", &["Content-Length: 1024"]) + &body,
        head_of("POST", "/", &["Transfer-Encoding: chunked"]) + &chunked,
    ] {
        client.send_request("POST", request).await;
        let mut call = soon("the request", upstream.next()).await;
        assert_eq!(call.body().await.unwrap().bytes.len(), 1024);
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_waiter_whose_body_grows_too_large_leaves_the_queue() {
    let mut upstream = Upstream::start().await;
    let gate = bounded(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let mut client = gate.client().await;
    client.send_request("POST", head_of("POST", "/", &["Transfer-Encoding: chunked"]) + "401\r\n").await;
    client.send(TOO_LARGE).await;
    client.answer().await.expect(413, "body_too_large");
    let next = gate.waiting("/next").await;
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    let call = soon("the next one", upstream.next()).await;
    assert_eq!(call.path(), "/next");
    call.respond(200, "").await;
    drop(next);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_body_that_grows_too_large_behind_its_answer_is_cut_on_both_sides() {
    let mut upstream = Upstream::start().await;
    let gate = bounded(&upstream).await;
    let mut client = gate.client().await;
    client.send_request("POST", head_of("POST", "/", &["Transfer-Encoding: chunked"]) + "1\r\nx\r\n").await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(call.piece().await.unwrap().unwrap(), b"x");
    call.start_streaming(&[]).await;
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    client.send([b"401\r\n", &TOO_LARGE[..]].concat()).await;
    assert!(call.body().await.is_err(), "what is cut is not complete");
    assert!(client.body(&mut head.answer_framing("POST")).await.is_err(), "and neither is its answer");
    call.close();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_large_upload_beyond_the_bound_sees_its_answer_and_not_a_reset() {
    let upstream = Upstream::start().await;
    let gate = bounded(&upstream).await;
    let mut client = gate.client().await;
    client.post("/", vec![b'x'; 5 << 20]).await;
    let answer = client.answer().await;
    answer.expect(413, "body_too_large");
    assert!(answer.closes());
    client.expect_closed().await;
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn the_health_path_is_answered_before_routes_and_limits_until_the_drain() {
    let mut upstream = Upstream::start().await;
    let server = "health_path = \"/healthy\"\ndrain_delay = \"20s\"";
    let gate = Sluicegate::with_limit(1).queue(0).server(server).in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    // All permits are taken, and nobody may wait.
    gate.get("/healthy/not").await.answer().await.expect(503, "no_permit");
    let mut client = gate.client().await;
    assert_eq!(healths(&mut client).await, [(200, "ok\n".to_owned()), (200, String::new())]);
    let post = head_of("POST", "/healthy", &["Content-Length: 0"]);
    client.send_request("POST", post).await;
    client.answer().await.expect(503, "no_permit");
    let http2 = Http2::connect(gate.address).await;
    let answer = http2.get("/healthy?now").await.answer().await;
    assert_eq!((answer.head.status().as_u16(), &answer.body[..]), (200, &b"ok\n"[..]));

    gate.terminate();
    crate::support::until("the drain to have begun", async || health(&gate).await.status == 503).await;
    health(&gate).await.expect(503, "draining");
    assert_eq!(healths(&mut client).await, [(503, "draining\n".to_owned()), (503, String::new())]);
    let answer = http2.get("/healthy").await.answer().await;
    answer.expect(503, "draining");
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    assert_eq!(upstream.total(), 1);
}

async fn health(gate: &Sluicegate) -> Answer {
    gate.get("/healthy").await.answer().await
}

/// What GET and HEAD are told on one connection.
async fn healths(client: &mut Client) -> [(u16, String); 2] {
    let mut healths = Vec::new();
    for method in ["GET", "HEAD"] {
        client.request(method, "/healthy", &[]).await;
        let answer = client.answer().await;
        healths.push((answer.status, answer.body.text()));
    }
    healths.try_into().expect("two of them")
}
