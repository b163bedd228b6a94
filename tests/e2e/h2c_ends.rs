//! Every way in which an exchange over HTTP/2 can end, seen from the upstream, gives its permit back, once.

use std::time::{Duration, Instant};

use h2::Reason;

use crate::support::client::head_of;
use crate::support::http2::Http2;
use crate::support::{Client, Http2Upstream, Setup, Sluicegate, StreamCall, nothing_comes, permits_are_all_back, soon};

#[tokio::test]
async fn a_client_that_leaves_resets_its_stream_and_its_permit_is_back_at_once() {
    for mode in ["abort", "reset"] {
        for leave in [Client::leave as fn(Client), Client::abort] {
            let Abandoned { gate, mut upstream, mut call } =
                Abandoned::start(&format!("on_client_gone = \"{mode}\""), leave).await;
            assert_eq!(call.until_reset().await, Some(Reason::CANCEL), "{mode}");
            let mut next = gate.get("/next").await;
            let second = soon("the permit, although the upstream may work on", upstream.next()).await;
            second.respond(200, "").await;
            assert_eq!(next.answer().await.status, 200);
            drop(call);
            permits_are_all_back(&gate, &mut upstream, 1).await;
            assert_eq!(upstream.connections(), 1, "the connection lives on");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_answer_resets_its_stream() {
    let (gate, mut upstream) = start(one_permit()).await;
    let mut client = gate.get("/abandoned").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]);
    call.chunk("a part").await.unwrap();
    let mut framing = client.head().await.answer_framing("GET");
    client.piece(&mut framing).await.unwrap();
    client.leave();
    assert_eq!(call.until_reset().await, Some(Reason::CANCEL));
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn finish_does_not_tell_the_upstream_and_keeps_the_permit_until_its_stream_has_ended() {
    for begun in [false, true] {
        let setup = one_permit().route("on_client_gone = \"finish\"");
        let (gate, mut upstream) = start(setup).await;
        let mut client = gate.get("/abandoned").await;
        let mut call = soon("the request", upstream.next()).await;
        if begun {
            call.start_streaming(&[]);
            call.chunk("a part").await.unwrap();
            client.head().await;
        }
        client.leave();
        assert!(call.is_not_reset().await, "the upstream was told");
        let mut next = gate.waiting("/next").await;
        assert!(nothing_comes(upstream.next()).await, "somebody was let in although the upstream works on");
        if begun {
            // More than a window: it is read and dropped.
            call.chunk(vec![b'x'; 1_000_000]).await.unwrap();
            call.finish();
        } else {
            call.respond(200, vec![b'x'; 1_000_000]).await;
        }
        soon("the permit, now that the upstream has ended", upstream.next()).await.respond(200, "").await;
        assert_eq!(next.answer().await.status, 200);
        permits_are_all_back(&gate, &mut upstream, 1).await;
        assert_eq!((upstream.peak(), upstream.connections()), (1, 1));
    }
}

#[tokio::test]
async fn finish_ends_with_abort_grace_at_the_latest() {
    let route = "on_client_gone = \"finish\"\nabort_grace = \"600ms\"";
    let left = Instant::now();
    let Abandoned { gate, mut upstream, mut call } = Abandoned::start(route, Client::leave).await;
    let mut next = gate.waiting("/next").await;
    let second = soon("the permit, although the upstream works on", upstream.next()).await;
    assert!(left.elapsed() > Duration::from_millis(600), "back after only {:?}", left.elapsed());
    assert_eq!(call.until_reset().await, Some(Reason::CANCEL));
    second.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn finish_ends_when_the_upstream_resets_its_stream_or_closes() {
    for close in [false, true] {
        let route = "on_client_gone = \"finish\"";
        let Abandoned { gate, mut upstream, call } = Abandoned::start(route, Client::leave).await;
        assert!(nothing_comes(upstream.next()).await);
        if close {
            upstream.close_connections();
        } else {
            call.reset(Reason::INTERNAL_ERROR);
        }
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn an_upload_cut_by_its_client_is_reset_and_never_complete() {
    for mode in ["abort", "reset", "finish"] {
        for request in [
            head_of("POST", "/abandoned", &["Content-Length: 1000"]) + "a part",
            head_of("POST", "/abandoned", &["Transfer-Encoding: chunked"]) + "6\r\na part\r\n",
            // A fault in the body.
            head_of("POST", "/abandoned", &["Transfer-Encoding: chunked"]) + "6\r\na part\r\nno size\r\n",
        ] {
            let (gate, mut upstream) = start(one_permit().route(&format!("on_client_gone = \"{mode}\""))).await;
            let mut client = gate.client().await;
            client.send(&request).await;
            let mut call = soon("the request", upstream.next()).await;
            if !request.ends_with("no size\r\n") {
                assert_eq!(soon("the part", call.piece()).await.unwrap().unwrap(), b"a part");
                client.leave();
            }
            assert!(call.body().await.is_err(), "{mode}: a cut upload is not a complete one");
            assert_eq!(call.until_reset().await, Some(Reason::CANCEL));
            drop(call);
            permits_are_all_back(&gate, &mut upstream, 1).await;
            assert_eq!(upstream.connections(), 1);
        }
    }
}

#[tokio::test]
async fn an_upload_that_the_upstream_does_not_take_is_reset_with_its_client() {
    for begun in [false, true] {
        let (gate, mut upstream) = start(one_permit()).await;
        let mut client = gate.client().await;
        client.send(head_of("POST", "/abandoned", &["Content-Length: 10000000"])).await;
        let mut call = soon("the request", upstream.next()).await;
        let _ = tokio::time::timeout(Duration::from_millis(300), client.try_send(vec![b'x'; 10_000_000])).await;
        if begun {
            call.start_streaming(&[]);
            call.chunk("a part").await.unwrap();
            client.head().await;
        }
        client.abort();
        assert_eq!(call.until_reset().await, Some(Reason::CANCEL), "begun: {begun}");
        permits_are_all_back(&gate, &mut upstream, 1).await;
        assert_eq!(upstream.connections(), 1);
    }
}

#[tokio::test]
async fn an_answer_before_the_body_was_taken_is_passed_on_and_the_rest_is_reset() {
    let (gate, mut upstream) = start(one_permit()).await;
    for size in [10, 5_000_000] {
        let mut client = gate.client().await;
        client.send(head_of("POST", "/", &["Content-Length: 5000000"])).await;
        let mut call = soon("the request", upstream.next()).await;
        let _ = tokio::time::timeout(Duration::from_millis(100), client.try_send(vec![b'x'; size])).await;
        call.start_streaming(&[("content-length", "8")]);
        call.chunk("too much").await.unwrap();
        let (mut sending, kept) = call.end_and_keep();
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.body.text().as_str()), (200, "too much"));
        let reset = soon("the upload to be reset", std::future::poll_fn(|cx| sending.poll_reset(cx))).await;
        assert_eq!(reset.unwrap(), Reason::CANCEL, "after {size} bytes");
        drop(kept);
        client.leave();
        permits_are_all_back(&gate, &mut upstream, 1).await;
        assert_eq!(upstream.connections(), 1, "the connection lives on");
    }
}

#[tokio::test]
async fn an_upstream_that_wants_no_more_of_the_body_says_so_after_its_answer() {
    let (gate, mut upstream) = start(one_permit()).await;
    for _ in 0..5 {
        let mut client = gate.client().await;
        client.send(head_of("POST", "/", &["Content-Length: 5000000"]) + "a part").await;
        // Dropped after its answer, the stream is reset with NO_ERROR (RFC 9113 §8.1).
        soon("the request", upstream.next()).await.respond(413, "too much").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.body.text().as_str()), (413, "too much"));
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn an_answer_without_a_body_keeps_its_permit_until_its_stream_has_ended_and_is_not_reset() {
    let (gate, mut upstream) = start(one_permit()).await;
    for (method, status, length) in [("HEAD", 200, "10"), ("HEAD", 404, "10"), ("GET", 204, ""), ("GET", 304, "10")] {
        let fields: &[_] = if length.is_empty() { &[] } else { &[("content-length", length)] };
        for over_http2 in [false, true] {
            let (mut over_1, over_2) = (gate.client().await, Http2::connect(gate.address).await);
            let asked = if over_http2 {
                Some(over_2.ask(over_2.request(method, "/", &[]), true).await)
            } else {
                over_1.request(method, "/", &[]).await;
                None
            };
            let mut call = soon("the request", upstream.next()).await;
            call.start_with(status, fields);
            let answered = match asked {
                Some(asked) => asked.answer().await.head.status().as_u16(),
                None => over_1.answer().await.status,
            };
            assert_eq!(answered, status);
            let mut next = gate.waiting("/next").await;
            assert!(call.is_not_reset().await, "{method} {status}: it was cut");
            assert!(nothing_comes(upstream.next()).await, "somebody was let in although the upstream works on");
            call.finish();
            soon("the permit", upstream.next()).await.respond(200, "").await;
            assert_eq!(next.answer().await.status, 200);
        }
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn an_answer_without_a_body_that_does_not_end_is_reset_after_abort_grace() {
    let (gate, mut upstream) = start(one_permit().route("abort_grace = \"300ms\"")).await;
    let mut client = gate.client().await;
    client.request("HEAD", "/", &[]).await;
    let mut call = soon("the request", upstream.next()).await;
    let begun = Instant::now();
    call.start_with(200, &[]);
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(call.until_reset().await, Some(Reason::CANCEL));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_upstream_that_is_too_slow_is_a_504_and_its_stream_is_reset() {
    let (gate, mut upstream) = start(one_permit().upstream("response_timeout = \"1s\"")).await;
    let sent = Instant::now();
    let mut client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    client.answer().await.expect(504, "upstream_timeout");
    assert!(sent.elapsed() >= Duration::from_secs(1));
    assert_eq!(call.until_reset().await, Some(Reason::CANCEL));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_slow_upload_does_not_count_as_a_slow_upstream() {
    let (gate, mut upstream) = start(one_permit().upstream("response_timeout = \"300ms\"")).await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Content-Length: 3"])).await;
    let mut call = soon("the request", upstream.next()).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.send("x").await;
    }
    assert_eq!(call.body().await.unwrap().bytes, b"xxx");
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_takes_nothing_of_an_upload_is_a_slow_one() {
    let (gate, mut upstream) = start(one_permit().upstream("response_timeout = \"1s\"")).await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Content-Length: 10000000"])).await;
    let mut call = soon("the request", upstream.next()).await;
    let _ = tokio::time::timeout(Duration::from_millis(100), client.try_send(vec![b'x'; 10_000_000])).await;
    client.answer().await.expect(504, "upstream_timeout");
    assert_eq!(call.until_reset().await, Some(Reason::CANCEL));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut_and_its_stream_reset() {
    let (gate, mut upstream) = start(one_permit().upstream("read_idle_timeout = \"300ms\"")).await;
    let mut client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]);
    call.chunk("a part").await.unwrap();
    let mut framing = client.head().await.answer_framing("GET");
    client.piece(&mut framing).await.unwrap();
    assert!(client.body(&mut framing).await.is_err());
    assert_eq!(call.until_reset().await, Some(Reason::CANCEL));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn thousands_of_clients_that_leave_disturb_no_other_stream_of_the_connection() {
    let mut upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(50).queue(100).in_front_of_url(&upstream.url()).await;
    let mut witness = gate.get("/witness").await;
    let mut watched = soon("the request", upstream.next()).await;
    watched.start_streaming(&[]);
    let mut framing = witness.head().await.answer_framing("GET");
    for _ in 0..60 {
        let mut leaving = Vec::new();
        for _ in 0..40 {
            leaving.push(gate.get("/leaves").await);
        }
        for _ in 0..40 {
            let mut call = soon("a request", upstream.next()).await;
            // Some of what they are sent crosses their resets.
            call.start_streaming(&[]);
            tokio::spawn(async move { while call.chunk(vec![b'x'; 5000]).await.is_ok() {} });
        }
        leaving.into_iter().for_each(Client::leave);
    }
    watched.chunk("undisturbed").await.unwrap();
    assert_eq!(witness.piece(&mut framing).await.unwrap().unwrap(), b"undisturbed");
    watched.finish();
    assert_eq!(witness.piece(&mut framing).await.unwrap(), None);
    upstream.until_inside(0).await;
    permits_are_all_back(&gate, &mut upstream, 50).await;
    assert_eq!(upstream.connections(), 1);
}

fn one_permit() -> Setup {
    Sluicegate::with_limit(1).queue(1)
}

async fn start(setup: Setup) -> (Sluicegate, Http2Upstream) {
    let upstream = Http2Upstream::start().await;
    (setup.in_front_of_url(&upstream.url()).await, upstream)
}

/// Limit 1, queue 1, and a request inside whose client has left.
struct Abandoned {
    gate: Sluicegate,
    upstream: Http2Upstream,
    call: StreamCall,
}

impl Abandoned {
    async fn start(route: &str, leave: fn(Client)) -> Self {
        let (gate, mut upstream) = start(one_permit().route(route)).await;
        let client = gate.get("/abandoned").await;
        let call = soon("the request", upstream.next()).await;
        leave(client);
        Abandoned { gate, upstream, call }
    }
}
