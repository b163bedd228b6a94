//! `buffer_response`: an answer is read ahead of its client, so that a slow reader holds no permit.

use crate::support::http2::Http2;
use crate::support::message::Framing;
use crate::support::{Http2Upstream, Setup, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

fn buffering(size: &str) -> Setup {
    Sluicegate::with_limit(1).queue(2).route(&format!("buffer_response = \"{size}\""))
}

/// More than sockets hold.
fn large() -> Vec<u8> {
    (0..12_000_000_u32).map(|byte| (byte / 5) as u8).collect()
}

#[tokio::test]
async fn a_slow_reader_holds_no_permit() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("16MiB").in_front_of(&upstream).await;
    let mut slow = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    soon("the upstream to get rid of its answer", call.respond(200, large())).await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
    let answer = slow.answer().await;
    assert_eq!(answer.head.field("content-length").as_deref(), Some("12000000"));
    assert!(answer.body.bytes == large());
    slow.get("/again").await;
    soon("the next request", upstream.next()).await.respond(200, "again").await;
    assert_eq!(slow.answer().await.body.text(), "again");
}

#[tokio::test]
async fn a_slow_reader_over_http_2_holds_no_permit() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("16MiB").in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let asked = client.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    soon("the upstream to get rid of its answer", call.chunk(large())).await.unwrap();
    call.finish().await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert!(asked.answer().await.body == large());
}

#[tokio::test]
async fn a_slow_reader_holds_no_stream_of_an_upstream_of_http_2() {
    let mut upstream = Http2Upstream::start().await;
    let gate = buffering("16MiB").in_front_of_url(&upstream.url()).await;
    let mut slow = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    soon("the upstream to get rid of its answer", call.respond(200, large())).await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert!(slow.answer().await.body.bytes == large());
}

#[tokio::test]
async fn what_is_larger_than_the_buffer_goes_at_the_clients_pace() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    let mut slow = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let sending = tokio::spawn(call.respond(200, [large(), large()].concat()));
    let mut next = gate.waiting("/next").await;
    assert!(nothing_comes(upstream.next()).await, "its permit came back before its answer was read");
    assert!(!sending.is_finished());
    assert!(slow.answer().await.body.bytes == [large(), large()].concat());
    soon("the next request", upstream.next()).await.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
}

#[tokio::test]
async fn a_stream_passes_frame_by_frame() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[("Content-Type", "text/event-stream")]).await;
    assert_eq!(client.head().await.status(), 200);
    let mut framing = Framing::Chunked;
    for event in ["data: 1\n\n", "data: 22\n\n", "data: 333\n\n"] {
        call.chunk(event).await.unwrap();
        assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), event.as_bytes());
    }
    call.finish().await;
    assert_eq!(client.piece(&mut framing).await.unwrap(), None);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn trailers_and_bodiless_answers_pass() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.request("GET", "/", &["TE: trailers", "Connection: TE"]).await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[("Trailer", "x-sum")]).await;
    call.chunk("hello").await.unwrap();
    call.respond_raw("0\r\nx-sum: 42\r\n\r\n").await;
    let body = client.answer().await.body;
    assert_eq!((body.text().as_str(), body.trailers), ("hello", vec![("x-sum".to_owned(), b"42".to_vec())]));
    client.request("HEAD", "/", &[]).await;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    soon("the HEAD", upstream.next()).await.respond_raw(head).await;
    let answer = client.answer().await;
    assert_eq!(answer.head.field("content-length").as_deref(), Some("5"));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_answer_that_is_cut_never_looks_complete() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    for fields in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut client = gate.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        call.send_raw(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello")).await.unwrap();
        call.reset();
        client.try_answer().await.expect_err("it broke off");
        let client = Http2::connect(gate.address).await;
        let asked = client.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        call.send_raw(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello")).await.unwrap();
        call.reset();
        asked.try_answer().await.expect_err("it broke off");
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_exchange_honestly() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("64KiB").in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    call.chunk("some").await.unwrap();
    client.head().await;
    client.leave();
    soon("the upstream to be told", call.until_hung_up()).await;
    let mut next = gate.waiting("/next").await;
    assert!(nothing_comes(upstream.next()).await, "somebody was let in although the upstream works on");
    call.finish().await;
    soon("the next request", upstream.next()).await.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_reader_that_leaves_after_the_exchange_leaves_nothing_behind() {
    let mut upstream = Upstream::start().await;
    let gate = buffering("16MiB").in_front_of(&upstream).await;
    for abort in [false, true] {
        let client = gate.get("/").await;
        let call = soon("the request", upstream.next()).await;
        soon("the upstream to get rid of its answer", call.respond(200, large())).await;
        if abort {
            client.abort();
        } else {
            client.leave();
        }
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn readers_that_read_nothing_cost_the_buffer_and_no_more() {
    let upstream = Upstream::that(|mut call| async move {
        call.start_streaming(&[]).await;
        while call.chunk([b'x'; 10_000]).await.is_ok() {}
    })
    .await;
    let gate = Sluicegate::with_limit(10).route("buffer_response = \"4MiB\"").in_front_of(&upstream).await;
    let Some(before) = gate.resident() else { return };
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(gate.get("/").await);
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let each = gate.resident().unwrap().saturating_sub(before) / 10;
    // The rest is what connections read and write at once.
    assert!(each < 6 << 20, "{each} bytes for a buffer of 4 MiB");
}
