//! Upstreams that are not there, are not HTTP/2, refuse, or break off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use h2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::client::head_of;
use crate::support::{Http2Upstream, Setup, Sluicegate, Upstream, permits_are_all_back, soon};

#[tokio::test]
async fn an_upstream_that_is_down_is_a_502() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gate = Sluicegate::with_limit(3).queue(0).in_front_of_url(&format!("h2c://{gone}")).await;
    for _ in 0..5 {
        gate.get("/").await.answer().await.expect(502, "connect_failed");
        let mut client = gate.client().await;
        client.post("/", "body").await;
        client.answer().await.expect(502, "connect_failed");
    }
}

#[tokio::test]
async fn an_upstream_that_never_speaks_is_a_502_for_all_who_waited_within_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("h2c://{}", silent.local_addr().unwrap());
    let gate = Sluicegate::with_limit(3).upstream("connect_timeout = \"300ms\"").in_front_of_url(&url).await;
    let sent = Instant::now();
    let mut clients = vec![gate.get("/").await, gate.get("/").await, gate.get("/").await];
    for client in &mut clients {
        client.answer().await.expect(502, "connect_failed");
    }
    assert!((300..2000).contains(&sent.elapsed().as_millis()), "{:?}", sent.elapsed());
}

#[tokio::test]
async fn an_http_1_server_is_a_502_and_quickly() {
    for keeps in [true, false] {
        let mut upstream = Upstream::start().await;
        let gate = one_permit().in_front_of_url(&format!("h2c://{}", upstream.address)).await;
        let sent = Instant::now();
        let mut client = gate.get("/").await;
        // The preface is made to look like a request.
        let call = soon("the preface", upstream.next()).await;
        assert_eq!(call.head.start, "PRI * HTTP/2.0");
        if keeps {
            call.respond(400, "what is this?").await;
        } else {
            call.respond_then_close(400, "what is this?").await;
        }
        client.answer().await.expect(502, "upstream_protocol");
        assert!(sent.elapsed() < Duration::from_secs(1), "after {:?}", sent.elapsed());
    }
}

#[tokio::test]
async fn an_upstream_that_closes_without_a_word_is_a_502() {
    let (address, _) = raw_upstream(None).await;
    let gate = one_permit().in_front_of_url(&format!("h2c://{address}")).await;
    gate.get("/").await.answer().await.expect(502, "connect_failed");
}

#[tokio::test]
async fn garbage_in_the_middle_is_a_502() {
    // A HEADERS frame whose block is none.
    let (address, _) = raw_upstream(Some(b"\x00\x00\x04\x01\x04\x00\x00\x00\x01\xff\xff\xff\xff")).await;
    let gate = one_permit().upstream("retries = 0").in_front_of_url(&format!("h2c://{address}")).await;
    gate.get("/").await.answer().await.expect(502, "upstream_protocol");
    gate.get("/").await.answer().await.expect(502, "upstream_protocol");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_a_502_and_harms_nobody_else() {
    let (gate, mut upstream) = start("").await;
    let mut client = gate.get("/").await;
    let large = "x".repeat(15_000);
    let fields: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().map(|name| (name, large.as_str())).collect();
    soon("the request", upstream.next()).await.respond_bare(200, &fields);
    client.answer().await.expect(502, "upstream_protocol");
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn an_answer_whose_length_is_not_its_length_is_a_fault() {
    let (gate, mut upstream) = start("").await;
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.respond_bare(200, &[("content-length", "5")]);
    client.answer().await.expect(502, "upstream_protocol");
    for fields in [&[("content-length", "5"), ("content-length", "5")][..], &[("content-length", "+5")]] {
        let mut client = gate.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        call.start_streaming(fields);
        client.answer().await.expect(502, "upstream_protocol");
        call.until_reset().await;
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_stream_reset_before_its_head_is_a_502_and_gives_its_permit_back() {
    let (gate, mut upstream) = start("").await;
    for method in ["GET", "POST"] {
        // Some of them on a connection that was used before: it is not the connection that has ended.
        for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR, Reason::PROTOCOL_ERROR] {
            let mut client = gate.client().await;
            client.request(method, "/", &[]).await;
            soon("the request", upstream.next()).await.reset(reason);
            client.answer().await.expect(502, "upstream_reset");
        }
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert_eq!(upstream.connections(), 1, "the connection lives on");
}

#[tokio::test]
async fn a_connection_closed_before_the_head_is_a_502_for_each_of_its_streams() {
    let mut upstream = Http2Upstream::start().await;
    let setup = Sluicegate::with_limit(3).queue(1).upstream("retries = 0");
    let gate = setup.in_front_of_url(&upstream.url()).await;
    let mut clients = vec![gate.get("/").await, gate.get("/").await, gate.get("/").await];
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(soon("a request", upstream.next()).await);
    }
    upstream.close_connections();
    for client in &mut clients {
        client.answer().await.expect(502, "upstream_reset");
    }
    drop(calls);
    permits_are_all_back(&gate, &mut upstream, 3).await;
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_whatever_its_method_but_not_without_end() {
    let (gate, mut upstream) = start("").await;
    for method in ["GET", "POST", "DELETE"] {
        let mut client = gate.client().await;
        client.request(method, "/", &[]).await;
        soon("the request", upstream.next()).await.reset(Reason::REFUSED_STREAM);
        let again = soon("the request again", upstream.next()).await;
        assert_eq!((again.method(), upstream.inside()), (method, 1));
        again.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
    let mut client = gate.get("/").await;
    for _ in 0..2 {
        soon("the request", upstream.next()).await.reset(Reason::REFUSED_STREAM);
    }
    client.answer().await.expect(502, "upstream_reset");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_request_beyond_the_last_stream_of_a_goaway_is_sent_again() {
    for method in ["GET", "POST"] {
        // Last stream 0, NO_ERROR.
        let go_away = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
        let (address, connections) = raw_upstream(Some(go_away)).await;
        let gate = one_permit().in_front_of_url(&format!("h2c://{address}")).await;
        let mut client = gate.client().await;
        client.request(method, "/", &[]).await;
        client.answer().await.expect(502, "upstream_reset");
        assert_eq!(connections.load(Ordering::Relaxed), 5, "{method}: three detours and a retry");
    }
}

#[tokio::test]
async fn an_idempotent_request_on_a_reused_connection_is_sent_again_when_that_closes() {
    let (gate, mut upstream) = start("").await;
    for (method, again) in [("GET", true), ("POST", false)] {
        let mut client = gate.get("/before").await;
        soon("the request", upstream.next()).await.respond(200, "").await;
        client.answer().await;
        client.request(method, "/", &[]).await;
        let call = soon("the request", upstream.next()).await;
        upstream.close_connections();
        if again {
            soon("the request again", upstream.next()).await.respond(200, "").await;
            assert_eq!(client.answer().await.status, 200);
        } else {
            client.answer().await.expect(502, "upstream_reset");
        }
        drop(call);
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_answer_cut_by_the_upstream_is_cut_for_the_client_whatever_the_reason() {
    let (gate, mut upstream) = start("").await;
    for length in [&[("content-length", "100")][..], &[]] {
        for reason in [Some(Reason::NO_ERROR), Some(Reason::CANCEL), Some(Reason::INTERNAL_ERROR), None] {
            let mut client = gate.get("/").await;
            let mut call = soon("the request", upstream.next()).await;
            call.start_streaming(length);
            call.chunk("half").await.unwrap();
            let mut framing = client.head().await.answer_framing("GET");
            assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), b"half");
            match reason {
                Some(reason) => call.reset(reason),
                None => upstream.close_connections(),
            }
            assert!(client.body(&mut framing).await.is_err(), "{reason:?}: a cut body must not look complete");
            permits_are_all_back(&gate, &mut upstream, 1).await;
        }
    }
}

#[tokio::test]
async fn a_host_that_can_be_no_authority_is_the_clients_fault() {
    let (gate, mut upstream) = start("").await;
    for host in ["user@a", "a b", "a/b"] {
        let mut client = gate.client().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(client.answer().await.status, 400, "{host}");
    }
    let mut client = gate.client().await;
    client.send(head_of("GET", "/", &[])).await;
    soon("a good request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(upstream.total(), 1);
}

fn one_permit() -> Setup {
    Sluicegate::with_limit(1).queue(1)
}

async fn start(settings: &str) -> (Sluicegate, Http2Upstream) {
    let upstream = Http2Upstream::start().await;
    let gate = one_permit().upstream(settings).in_front_of_url(&upstream.url()).await;
    (gate, upstream)
}

/// An upstream that answers the first head on each connection with these bytes, and counts its connections. Without
/// bytes it closes each at once.
async fn raw_upstream(answer: Option<&'static [u8]>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let Some(answer) = answer else { continue };
            tokio::spawn(async move {
                until_headers(&mut stream).await;
                let _ = stream.write_all(answer).await;
                while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
            });
        }
    });
    (address, connections)
}

/// Sends empty settings, and reads until the head of a request has begun.
async fn until_headers(stream: &mut TcpStream) {
    stream.write_all(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00").await.expect("the peer is there");
    let mut read = Vec::new();
    // A HEADERS frame with END_STREAM and END_HEADERS on stream 1.
    while !read.windows(6).any(|bytes| bytes == b"\x01\x05\x00\x00\x00\x01") {
        let n = stream.read_buf(&mut read).await.expect("the peer is there");
        assert!(n > 0, "closed before a request");
    }
}
