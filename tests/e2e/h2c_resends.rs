//! What an HTTP/2 upstream has certainly not begun with is sent again, with its body, at most `retries` times.

use std::time::Duration;

use h2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::client::head_of;
use crate::support::{
    A_MOMENT, Http2Upstream, Setup, Sluicegate, StreamCall, nothing_comes, permits_are_all_back, soon,
};

/// What is kept of a body until its answer has begun.
const KEPT: usize = 64 << 10;

#[tokio::test]
async fn a_refused_request_is_sent_again_with_its_body() {
    let (gate, mut upstream) = start().await;
    let large = "x".repeat(KEPT - 100);
    for body in ["x", "some more of it", &large] {
        for method in ["POST", "PUT"] {
            let mut client = gate.client().await;
            let length = format!("Content-Length: {}", body.len());
            client.send(head_of(method, "/", &[&length]) + body).await;
            soon("the request", upstream.next()).await.reset(Reason::REFUSED_STREAM);
            let mut again = soon("the request again", upstream.next()).await;
            assert_eq!((again.method(), again.all("content-length")), (method, vec![body.len().to_string()]));
            assert_eq!(again.body().await.unwrap().text(), body);
            again.respond(200, "").await;
            assert_eq!(client.answer().await.status, 200);
        }
    }
    assert_eq!((upstream.connections(), upstream.peak()), (1, 1));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_body_that_was_refused_on_its_way_is_sent_from_its_start_with_the_rest_and_its_trailers() {
    let (gate, mut upstream) = start().await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Transfer-Encoding: chunked"]) + "5\r\nfirst\r\n").await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(soon("a piece", call.piece()).await.unwrap().unwrap(), b"first");
    client.send("6\r\nsecond\r\n").await;
    assert_eq!(soon("a piece", call.piece()).await.unwrap().unwrap(), b"second");
    call.reset(Reason::REFUSED_STREAM);
    let mut again = soon("the request again", upstream.next()).await;
    assert_eq!(pieces(&mut again, 11).await, b"firstsecond");
    client.send("5\r\nthird\r\n0\r\nx-last: 1\r\n\r\n").await;
    let rest = again.body().await.unwrap();
    assert_eq!((rest.text().as_str(), rest.trailers), ("third", vec![("x-last".to_owned(), b"1".to_vec())]));
    again.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_request_with_a_body_is_sent_again_as_often_as_retries_says_and_with_one_permit() {
    let upstream = Http2Upstream::start().await;
    let setup = one_permit().upstream("retries = 3");
    let (gate, mut upstream) = (setup.in_front_of_url(&upstream.url()).await, upstream);
    let mut client = gate.client().await;
    client.post("/", "body").await;
    for _ in 0..4 {
        let mut call = soon("the request", upstream.next()).await;
        assert_eq!(call.body().await.unwrap().text(), "body");
        call.reset(Reason::REFUSED_STREAM);
    }
    client.answer().await.expect(502, "upstream_reset");
    assert_eq!((upstream.total(), upstream.peak()), (4, 1));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn what_is_too_much_to_be_kept_is_not_sent_again() {
    let (gate, mut upstream) = start().await;
    let mut client = gate.client().await;
    client.post("/", "x".repeat(KEPT + 1)).await;
    let mut call = soon("the request", upstream.next()).await;
    pieces(&mut call, KEPT + 1).await;
    call.reset(Reason::REFUSED_STREAM);
    client.answer().await.expect(502, "upstream_reset");
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert_eq!(upstream.total(), 3);
}

#[tokio::test]
async fn an_upload_cut_by_its_client_is_not_sent_again() {
    let (gate, mut upstream) = start().await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Content-Length: 1000"]) + "a part").await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(soon("a piece", call.piece()).await.unwrap().unwrap(), b"a part");
    client.leave();
    call.until_reset().await;
    call.reset(Reason::REFUSED_STREAM);
    assert!(nothing_comes(upstream.next()).await);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_request_with_a_body_beyond_the_last_stream_of_a_goaway_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        for n in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00").await.unwrap();
            let mut read = Vec::new();
            // A DATA frame of four bytes on stream 1, with END_STREAM.
            while !read.windows(13).any(|bytes| bytes == b"\x00\x00\x04\x00\x01\x00\x00\x00\x01body") {
                assert!(stream.read_buf(&mut read).await.unwrap() > 0, "closed before a request");
            }
            if n == 1 {
                // 200 on stream 1, with END_STREAM.
                stream.write_all(b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88").await.unwrap();
                return read;
            }
            // Last stream 0, NO_ERROR.
            let go_away = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
            stream.write_all(go_away).await.unwrap();
        }
        unreachable!()
    });
    let gate = one_permit().in_front_of_url(&url).await;
    let mut client = gate.client().await;
    client.post("/", "body").await;
    assert_eq!(client.answer().await.status, 200);
    soon("the upstream to have served", serving).await.unwrap();
}

#[tokio::test]
async fn a_post_on_a_connection_that_the_upstream_has_just_closed_goes_elsewhere() {
    for request_first in [true, false] {
        for _ in 0..5 {
            let mut upstream = Http2Upstream::start().await;
            // On one worker: what comes while it stands still is seen at once. With two, the one that has the client may be
            // ahead of the one that has the connection, and nobody can tell then.
            let one_worker = ["--threads", "1", "--limit", "1", "--listen", "127.0.0.1:0", "--upstream"];
            let gate = Sluicegate::run(&[&one_worker[..], &[&upstream.url()]].concat()).await;
            let mut client = gate.get("/before").await;
            soon("the request", upstream.next()).await.respond(200, "").await;
            client.answer().await;
            // All is quiet, and then both come to it at once.
            tokio::time::sleep(A_MOMENT).await;
            gate.freeze().await;
            let request = head_of("POST", "/", &["Content-Length: 4"]) + "body";
            if request_first {
                client.send(&request).await;
            }
            upstream.close_connections();
            tokio::time::sleep(Duration::from_millis(20)).await;
            if !request_first {
                client.send(&request).await;
            }
            gate.signal("CONT");
            let mut call = soon("the request", upstream.next()).await;
            assert_eq!(call.body().await.unwrap().text(), "body");
            call.respond(200, "").await;
            assert_eq!(client.answer().await.status, 200);
            assert_eq!(upstream.connections(), 2);
        }
    }
}

async fn pieces(call: &mut StreamCall, len: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < len {
        read.extend(soon("a piece", call.piece()).await.unwrap().expect("there is more"));
    }
    read
}

fn one_permit() -> Setup {
    Sluicegate::with_limit(1).queue(1)
}

async fn start() -> (Sluicegate, Http2Upstream) {
    let upstream = Http2Upstream::start().await;
    (one_permit().in_front_of_url(&upstream.url()).await, upstream)
}
