//! Every way in which a request can end gives its permit back, once.

use std::time::{Duration, Instant};

use crate::support::client::head_of;
use crate::support::message::Framing;
use crate::support::{Answer, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

#[tokio::test]
async fn an_answer_with_a_length_gives_its_permit_back() {
    let answer = ends("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(answer.body.text(), "hello");
}

#[tokio::test]
async fn a_chunked_answer_gives_its_permit_back() {
    let answer = ends("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").await;
    assert_eq!(answer.body.text(), "hello");
}

#[tokio::test]
async fn an_empty_answer_gives_its_permit_back() {
    ends("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    ends("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn an_answer_to_head_gives_its_permit_back() {
    let answer = ends("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await;
    assert_eq!(answer.head.field("content-length").as_deref(), Some("1234"));
    ends("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    ends("HEAD", b"HTTP/1.1 200 OK\r\n\r\n").await;
}

#[tokio::test]
async fn an_answer_without_content_gives_its_permit_back() {
    assert_eq!(ends("GET", b"HTTP/1.1 204 No Content\r\n\r\n").await.status, 204);
    assert_eq!(ends("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n").await.status, 204);
}

#[tokio::test]
async fn an_unmodified_answer_gives_its_permit_back() {
    assert_eq!(ends("GET", b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n").await.status, 304);
    assert_eq!(ends("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n").await.status, 304);
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_gives_its_permit_back() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"] {
        let mut client = gate.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        call.send_raw(format!("{head}hello")).await.unwrap();
        call.close();
        assert_eq!(client.answer().await.body.text(), "hello");
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_a_502_and_gives_its_permit_back() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of_url(&format!("http://{gone}")).await;
    for _ in 0..5 {
        let answer = gate.get("/").await.answer().await;
        answer.expect(502, "connect_failed");
        assert_eq!(answer.json()["reason"], "connect_failed");
        let mut client = gate.client().await;
        client.post("/", "body").await;
        client.answer().await.expect(502, "connect_failed");
    }
}

#[tokio::test]
async fn an_upstream_that_resets_before_its_head_is_a_502_and_gives_its_permit_back() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    for reset in [true, false] {
        for method in ["GET", "POST"] {
            let mut client = gate.client().await;
            client.request(method, "/", &[]).await;
            let call = soon("the request", upstream.next()).await;
            if reset {
                call.reset()
            } else {
                call.close()
            }
            client.answer().await.expect(502, "upstream_reset");
            permits_are_all_back(&gate, &mut upstream, 1).await;
            // Nothing idle is left over from that, so that the next exchange is on a connection of its own.
            drop(client);
            close_idle_connection(&gate, &mut upstream).await;
        }
    }
}

#[tokio::test]
async fn an_upstream_that_resets_in_its_head_is_a_502_and_gives_its_permit_back() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.send_raw("HTTP/1.1 200 OK\r\nContent-Le").await.unwrap();
    call.close();
    let answer = client.answer().await;
    assert_eq!(answer.status, 502);
    assert!(matches!(answer.reason().as_deref(), Some("upstream_reset" | "upstream_protocol")), "{answer:?}");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_upstream_that_sends_garbage_is_a_502_and_gives_its_permit_back() {
    for garbage in [
        "what is this?\r\n\r\n",
        "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    ] {
        let mut upstream = Upstream::start().await;
        let gate = one_permit().in_front_of(&upstream).await;
        let mut client = gate.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        call.send_raw(garbage).await.unwrap();
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.reason().as_deref()), (502, Some("upstream_protocol")), "{garbage:?}");
        call.close();
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_too_slow_is_a_504_and_keeps_its_permit_until_it_ends() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().upstream("response_timeout = \"200ms\"").in_front_of(&upstream).await;
    let sent = Instant::now();
    let mut client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    client.answer().await.expect(504, "upstream_timeout");
    assert!(sent.elapsed() >= Duration::from_millis(200));
    soon("the upstream to be told", call.until_hung_up()).await;
    let mut next = gate.waiting("/next").await;
    assert!(nothing_comes(upstream.next()).await, "somebody was let in although the upstream works on");
    call.respond(200, "too late").await;
    soon("the permit, now that the upstream has ended", upstream.next()).await.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    assert_eq!(upstream.peak(), 1);
}

#[tokio::test]
async fn an_upstream_that_never_ends_after_its_timeout_gives_its_permit_back_after_abort_grace() {
    let mut upstream = Upstream::start().await;
    let setup = one_permit().upstream("response_timeout = \"200ms\"").route("abort_grace = \"500ms\"");
    let gate = setup.in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    client.answer().await.expect(504, "upstream_timeout");
    let told = Instant::now();
    let mut next = gate.waiting("/next").await;
    let second = soon("the permit, although the upstream works on", upstream.next()).await;
    assert!(told.elapsed() > Duration::from_millis(450), "back after only {:?}", told.elapsed());
    second.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    call.close();
}

#[tokio::test]
async fn a_slow_upload_does_not_count_as_a_slow_upstream() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().upstream("response_timeout = \"300ms\"").in_front_of(&upstream).await;
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
async fn an_answer_cut_by_the_upstream_is_cut_for_the_client_and_gives_its_permit_back() {
    for head in ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        for reset in [true, false] {
            let mut upstream = Upstream::start().await;
            let gate = one_permit().in_front_of(&upstream).await;
            let mut client = gate.get("/").await;
            let mut call = soon("the request", upstream.next()).await;
            call.send_raw(format!("HTTP/1.1 200 OK\r\n{head}")).await.unwrap();
            let mut framing = client.head().await.answer_framing("GET");
            assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), b"half");
            if reset {
                call.reset()
            } else {
                call.close()
            }
            assert!(client.body(&mut framing).await.is_err(), "{head:?}: a cut body must not look complete");
            permits_are_all_back(&gate, &mut upstream, 1).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut_and_gives_its_permit_back_when_the_upstream_ends() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().upstream("read_idle_timeout = \"300ms\"").in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    call.chunk("a part").await.unwrap();
    let mut framing = client.head().await.answer_framing("GET");
    client.piece(&mut framing).await.unwrap();
    assert!(client.body(&mut framing).await.is_err());
    soon("the upstream to be told", call.until_hung_up()).await;
    call.close();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_permit_is_held_until_the_client_has_taken_the_answer() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    let mut reader = gate.get("/large").await;
    let call = soon("the request", upstream.next()).await;
    let sending = tokio::spawn(async move { call.respond(200, vec![b'x'; LARGE]).await });
    let mut framing = reader.head().await.answer_framing("GET");
    let mut next = gate.waiting("/next").await;
    assert!(nothing_comes(upstream.next()).await, "an answer on its way is in flight");
    assert_eq!(reader.body(&mut framing).await.unwrap().bytes.len(), LARGE);
    soon("the permit, now that the answer is taken", upstream.next()).await.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    sending.await.unwrap();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_unread_streaming_answer_keeps_its_permit_until_its_client_leaves() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    let mut client = gate.get("/endless").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    let streaming = tokio::spawn(async move {
        while call.chunk([b'x'; 10_000]).await.is_ok() {}
        call.close();
    });
    client.head().await;
    let mut next = gate.waiting("/next").await;
    assert!(nothing_comes(upstream.next()).await);
    client.leave();
    // An abandoned answer is read and dropped, without end here: this upstream heeds only a broken connection.
    assert!(nothing_comes(upstream.next()).await, "the upstream works on");
    streaming.abort();
    soon("the permit, now that the upstream has ended", upstream.next()).await.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_after_write_idle_timeout() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().server("write_idle_timeout = \"400ms\"").in_front_of(&upstream).await;
    let mut client = gate.get("/endless").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    let streaming = tokio::spawn(async move {
        tokio::select! {
            () = async { while call.chunk([b'x'; 10_000]).await.is_ok() {} } => {}
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
        call.close();
    });
    let mut framing = client.head().await.answer_framing("GET");
    let mut next = gate.get("/next").await;
    soon("the permit of a client that reads nothing", upstream.next()).await.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    assert!(client.body(&mut framing).await.is_err(), "its connection was cut");
    streaming.await.unwrap();
}

#[tokio::test]
async fn a_client_that_keeps_its_connection_keeps_no_permit() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    let mut idle = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    idle.answer().await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
    idle.get("/").await;
    soon("the next request", upstream.next()).await.respond(200, "").await;
    assert_eq!(idle.answer().await.status, 200);
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_reaches_the_client_and_gives_its_permit_back() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Content-Length: 5000000"]) + "a part").await;
    soon("the request", upstream.next()).await.respond(413, "too much").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.text().as_str()), (413, "too much"));
    client.leave();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_upload_that_stalls_ends_and_gives_its_permit_back() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().server("body_idle_timeout = \"300ms\"").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Content-Length: 1000"]) + "a part").await;
    let mut call = soon("the request", upstream.next()).await;
    assert!(call.body().await.is_err(), "the upstream is told that no more comes");
    call.close();
    client.rest().await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

/// More than all socket buffers on the way hold.
const LARGE: usize = 30 << 20;

fn one_permit() -> crate::support::Setup {
    Sluicegate::with_limit(1).queue(1)
}

/// One exchange with this answer, after which the permit is back.
async fn ends(method: &str, answer: &[u8]) -> Answer {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.request(method, "/", &[]).await;
    soon("the request", upstream.next()).await.respond_raw(answer).await;
    let got = client.answer().await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
    // The connection is in order: what was sent as an answer was all of it.
    client.get("/again").await;
    soon("the next request", upstream.next()).await.respond(200, "again").await;
    assert_eq!(client.answer().await.body.text(), "again");
    got
}

async fn close_idle_connection(gate: &Sluicegate, upstream: &mut Upstream) {
    let mut client = gate.get("/last").await;
    soon("the request", upstream.next()).await.respond_then_close(200, "").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.head.answer_framing("GET")), (200, Framing::Done));
}
