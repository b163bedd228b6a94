//! The harness itself, without a proxy: what it claims to see must be so.

use std::time::Duration;

use crate::support::message::Framing;
use crate::support::{Client, Upstream, nothing_comes, soon};

#[tokio::test]
async fn the_upstream_counts_a_request_until_its_answer_is_sent() {
    let mut upstream = Upstream::start().await;
    let mut client = Client::connect(upstream.address).await;
    client.get("/a").await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!((call.method(), call.path(), upstream.inside()), ("GET", "/a", 1));
    call.respond(200, "hello").await;
    assert_eq!((upstream.inside(), upstream.peak(), upstream.total()), (0, 1, 1));
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.text().as_str()), (200, "hello"));
    // The connection was kept.
    client.get("/b").await;
    soon("the second request", upstream.next()).await.respond(204, "").await;
    assert_eq!(client.answer().await.status, 204);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn the_upstream_works_on_when_its_client_has_left() {
    let mut upstream = Upstream::start().await;
    let mut client = Client::connect(upstream.address).await;
    client.post("/", "body").await;
    let mut call = soon("the request", upstream.next()).await;
    assert!(nothing_comes(call.until_hung_up()).await);
    client.abort();
    soon("the reset", call.until_hung_up()).await;
    assert_eq!(upstream.inside(), 1, "it works on");
    call.respond(200, "for nobody").await;
    upstream.until_inside(0).await;
}

#[tokio::test]
async fn the_upstream_can_answer_a_half_closed_client() {
    let mut upstream = Upstream::start().await;
    let mut client = Client::connect(upstream.address).await;
    client.get("/").await;
    client.half_close().await;
    let mut call = soon("the request", upstream.next()).await;
    soon("the half-close", call.until_hung_up()).await;
    call.respond(200, "still").await;
    assert_eq!(client.answer().await.body.text(), "still");
    client.expect_closed().await;
}

#[tokio::test]
async fn an_upstream_that_heeds_a_hang_up_ends_at_once() {
    let upstream = Upstream::that_heeds_a_hang_up(Duration::from_secs(3600)).await;
    let mut client = Client::connect(upstream.address).await;
    client.get("/").await;
    upstream.until_inside(1).await;
    client.leave();
    upstream.until_inside(0).await;
}

#[tokio::test]
async fn chunks_arrive_one_by_one_in_both_directions() {
    let mut upstream = Upstream::start().await;
    let mut client = Client::connect(upstream.address).await;
    client.request("POST", "/", &["Transfer-Encoding: chunked"]).await;
    let mut call = soon("the request", upstream.next()).await;
    client.send("3\r\none\r\n").await;
    assert_eq!(call.piece().await.unwrap().unwrap(), b"one");
    client.send("0\r\nx-after: 1\r\n\r\n").await;
    assert_eq!(call.body().await.unwrap().trailers, [("x-after".to_owned(), b"1".to_vec())]);
    call.start_streaming(&[]).await;
    let mut framing = client.head().await.answer_framing("POST");
    assert_eq!(framing, Framing::Chunked);
    call.chunk("two").await.unwrap();
    assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), b"two");
    assert_eq!(upstream.inside(), 1);
    call.finish().await;
    assert_eq!(client.piece(&mut framing).await.unwrap(), None);
}

#[tokio::test]
async fn a_cut_body_is_told_from_a_complete_one() {
    let mut upstream = Upstream::start().await;
    let mut client = Client::connect(upstream.address).await;
    client.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    call.close();
    assert!(client.try_answer().await.is_err());

    let mut client = Client::connect(upstream.address).await;
    client.request("POST", "/", &["Content-Length: 10"]).await;
    let mut call = soon("the request", upstream.next()).await;
    client.leave();
    assert!(call.body().await.is_err());
}

#[tokio::test]
async fn settled_means_that_the_peer_has_taken_everything() {
    let mut upstream = Upstream::start().await;
    let mut client = Client::connect(upstream.address).await;
    client.get("/").await;
    client.settled().await;
    assert!(!nothing_comes(upstream.next()).await);
}
