//! Bodies and trailers pass as they come, in both directions, and nothing is buffered that nobody asked to.

use crate::forwarding::open;
use crate::support::client::head_of;
use crate::support::random::Random;
use crate::support::{Sluicegate, Upstream, nothing_comes, soon};

#[tokio::test]
async fn a_chunked_upload_arrives_piece_by_piece() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Transfer-Encoding: chunked"])).await;
    let mut call = soon("the request", upstream.next()).await;
    assert!(call.head.lists("transfer-encoding", "chunked"));
    for piece in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{piece}\r\n", piece.len())).await;
        assert_eq!(soon("the piece", call.piece()).await.unwrap().unwrap(), piece.as_bytes());
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(soon("the end", call.piece()).await.unwrap(), None);
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_get_with_a_chunked_body_keeps_its_body() {
    for method in ["GET", "DELETE", "OPTIONS"] {
        let mut upstream = Upstream::start().await;
        let gate = open().in_front_of(&upstream).await;
        let mut client = gate.client().await;
        client.send(head_of(method, "/", &["Transfer-Encoding: chunked"]) + "5\r\nhello\r\n0\r\n\r\n").await;
        let mut call = soon("the request", upstream.next()).await;
        assert_eq!(call.body().await.unwrap().text(), "hello", "{method}");
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_get_with_a_length_keeps_its_body() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send(head_of("GET", "/", &["Content-Length: 5"]) + "hello").await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(call.body().await.unwrap().text(), "hello");
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn trailers_of_a_request_arrive() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    let head = head_of("POST", "/", &["Transfer-Encoding: chunked", "Trailer: x-sum"]);
    client.send(head + "5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n").await;
    let mut call = soon("the request", upstream.next()).await;
    let body = call.body().await.unwrap();
    assert_eq!((body.text().as_str(), body.trailers), ("hello", vec![("x-sum".to_owned(), b"42".to_vec())]));
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn trailers_of_an_answer_arrive_where_they_are_wanted() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.request("GET", "/", &["TE: trailers", "Connection: TE"]).await;
    let mut call = soon("the request", upstream.next()).await;
    assert!(call.head.lists("te", "trailers"), "the upstream is told so: {:?}", call.head);
    call.start_streaming(&[("Trailer", "x-sum")]).await;
    call.chunk("hello").await.unwrap();
    call.respond_raw("0\r\nx-sum: 42\r\n\r\n").await;
    let body = client.answer().await.body;
    assert_eq!((body.text().as_str(), body.trailers), ("hello", vec![("x-sum".to_owned(), b"42".to_vec())]));
}

#[tokio::test]
async fn events_arrive_one_by_one_as_they_are_sent() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.request("GET", "/events", &["Accept: text/event-stream"]).await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[("Content-Type", "text/event-stream")]).await;
    let head = client.head().await;
    assert_eq!(head.field("content-type").as_deref(), Some("text/event-stream"));
    let mut framing = head.answer_framing("GET");
    for n in 0..20 {
        let event = format!("data: {n}\n\n");
        call.chunk(&event).await.unwrap();
        // The gate: the next one is sent only when this one has arrived.
        assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), event.as_bytes());
    }
    call.finish().await;
    assert_eq!(client.piece(&mut framing).await.unwrap(), None);
}

#[tokio::test]
async fn twenty_megabytes_arrive_intact_at_the_upstream() {
    let body = Random::from_seed(20).bytes(TWENTY_MEGABYTES);
    for chunked in [false, true] {
        let mut upstream = Upstream::start().await;
        let gate = open().in_front_of(&upstream).await;
        let mut client = gate.client().await;
        let sending = async {
            if chunked {
                client.send(head_of("POST", "/", &["Transfer-Encoding: chunked"])).await;
                for piece in body.chunks(70_000) {
                    let head = format!("{:x}\r\n", piece.len()).into_bytes();
                    client.send([&head, piece, b"\r\n"].concat()).await;
                }
                client.send("0\r\n\r\n").await;
            } else {
                client.post("/", &body).await;
            }
        };
        let receiving = async {
            let mut call = soon("the request", upstream.next()).await;
            let arrived = call.body().await.unwrap().bytes;
            call.respond(200, "").await;
            arrived
        };
        let ((), arrived) = tokio::join!(sending, receiving);
        assert!(arrived == body, "{} of {} bytes, or others", arrived.len(), body.len());
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn twenty_megabytes_arrive_intact_at_the_client() {
    let body = Random::from_seed(21).bytes(TWENTY_MEGABYTES);
    for chunked in [false, true] {
        let mut upstream = Upstream::start().await;
        let gate = open().in_front_of(&upstream).await;
        let mut client = gate.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        let sending = async {
            if chunked {
                call.start_streaming(&[]).await;
                for piece in body.chunks(70_000) {
                    call.chunk(piece).await.unwrap();
                }
                call.finish().await;
            } else {
                call.respond(200, &body).await;
            }
        };
        let ((), answer) = tokio::join!(sending, client.answer());
        assert!(answer.body.bytes == body, "{} of {} bytes, or others", answer.body.bytes.len(), body.len());
    }
}

#[tokio::test]
async fn a_client_is_told_to_continue_only_after_admission() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder's request", upstream.next()).await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Content-Length: 5", "Expect: 100-continue"])).await;
    client.settled().await;
    assert!(client.hears_nothing().await, "told to continue while it waits");
    call.respond(200, "").await;
    holder.answer().await;
    assert_eq!(client.head().await.status(), 100);
    client.send("hello").await;
    let mut call = soon("the request", upstream.next()).await;
    assert!(!call.head.has("expect"), "{:?}", call.head);
    assert_eq!(call.body().await.unwrap().text(), "hello");
    call.respond(200, "done").await;
    assert_eq!(client.answer().await.body.text(), "done");
}

#[tokio::test]
async fn a_rejected_client_is_never_told_to_continue() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let _holder = gate.get("/holder").await;
    let _call = soon("the holder's request", upstream.next()).await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Content-Length: 5", "Expect: 100-continue"])).await;
    let answer = client.answer().await;
    answer.expect(503, "no_permit");
    assert!(answer.interim.is_empty());
    // It may leave the body out or send it: nobody could tell what comes next from the body.
    assert!(answer.closes(), "{:?}", answer.head);
    client.expect_closed().await;
}

#[tokio::test]
async fn a_rejected_chunked_body_costs_the_connection_by_its_size_and_not_by_when_it_came() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let _holder = gate.get("/holder").await;
    let _call = soon("the holder's request", upstream.next()).await;
    let head = head_of("POST", "/", &["Transfer-Encoding: chunked"]);
    // 64 KiB with its framing, and a little more; a part of it, and none of it, behind the answer.
    for (chunks, is_kept) in [(64, true), (65, false)] {
        let chunk = format!("3f8\r\n{}\r\n", "x".repeat(0x3f8));
        let body = chunk.repeat(chunks) + "0\r\n\r\n";
        assert_eq!(body.len() <= 64 << 10, is_kept);
        for ahead in [body.len(), 8000, 0] {
            let mut client = gate.client().await;
            client.send_request("POST", head.clone() + &body[..ahead]).await;
            client.answer().await.expect(503, "no_permit");
            // It may have closed by now.
            let _ = client.try_send(&body[ahead..]).await;
            if is_kept {
                client.get("/next").await;
                client.answer().await.expect(503, "no_permit");
            } else {
                client.expect_closed().await;
            }
        }
    }
}

#[tokio::test]
async fn the_body_of_a_waiter_arrives_whole_after_its_wait() {
    a_waiters_body_arrives_whole("").await;
}

#[tokio::test]
async fn a_body_larger_than_the_queue_may_hold_still_arrives_whole() {
    a_waiters_body_arrives_whole("queue_bytes = \"64KiB\"").await;
}

async fn a_waiters_body_arrives_whole(keys: &str) {
    let body = Random::from_seed(7).bytes(3_000_000);
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).route(keys).in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder's request", upstream.next()).await;
    let mut client = gate.client().await;
    let waiting = async {
        client.post("/", &body).await;
        client.answer().await
    };
    let meanwhile = async {
        assert!(nothing_comes(upstream.next()).await);
        call.respond(200, "").await;
        let mut call = soon("the waiter's request", upstream.next()).await;
        let arrived = call.body().await.unwrap().bytes;
        call.respond(200, "done").await;
        arrived
    };
    let (answer, arrived) = tokio::join!(waiting, meanwhile);
    assert!(arrived == body, "{} of {} bytes, or others", arrived.len(), body.len());
    assert_eq!(answer.body.text(), "done");
    assert_eq!(holder.answer().await.status, 200);
}

const TWENTY_MEGABYTES: usize = 20 << 20;
