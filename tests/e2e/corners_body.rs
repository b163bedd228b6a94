//! Corners of bodies: uploads that nobody reads or that break, and answers that are no answers.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::support::client::head_of;
use crate::support::message::Framing;
use crate::support::quiet::alone;
use crate::support::{Call, Client, Setup, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

#[tokio::test]
async fn a_body_that_drips_costs_a_waiter_little_more_than_its_bytes() {
    const CLIENTS: usize = 100;
    const DRIPS: usize = 200;
    let length = (head_of("POST", "/waiter", &["Content-Length: 100000"]), "x");
    let chunks = (head_of("POST", "/waiter", &["Transfer-Encoding: chunked"]), "1\r\nx\r\n");
    for (head, drip) in [length, chunks] {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(CLIENTS).in_front_of(&upstream).await;
        let _holder = gate.get("/holder").await;
        let _call = soon("the holder's request", upstream.next()).await;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = gate.client().await;
            client.send(&head).await;
            clients.push(client);
        }
        clients[CLIENTS - 1].settled().await;
        let Some(before) = gate.resident() else { return };
        for _ in 0..DRIPS {
            for client in &mut clients {
                client.send(drip).await;
            }
            // So that the next drips arrive by themselves.
            clients[CLIENTS - 1].settled().await;
        }
        gate.get("/probe").await.answer().await.expect(503, "queue_full");
        let grown = gate.resident().expect("just seen").saturating_sub(before);
        assert!(grown < 8 << 20, "{drip:?}: {CLIENTS} times {DRIPS} drips cost {} KiB", grown >> 10);
    }
}

#[tokio::test]
async fn an_upload_that_was_answered_and_is_never_read_ends_on_both_sides() {
    let _alone = alone();
    for keep_sending in [true, false] {
        let mut upstream = Upstream::start().await;
        let gate = one_permit().in_front_of(&upstream).await;
        let (mut client, mut call) = unread_upload(&gate, &mut upstream).await;
        call.send_raw("HTTP/1.1 413 Told\r\nContent-Length: 8\r\n\r\ntoo much").await.unwrap();
        let answered = Instant::now();
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.body.text().as_str()), (413, "too much"));

        let mut next = gate.get("/next").await;
        let second = soon("the permit", upstream.next()).await;
        assert!(answered.elapsed() < Duration::from_secs(1), "the permit was back after {:?}", answered.elapsed());
        second.respond(200, "").await;
        assert_eq!(next.answer().await.status, 200);

        within_2s("the upstream's connection to end", answered, call.until_hung_up_unread()).await;
        if keep_sending {
            // It may be read away or refused; the end comes all the same.
            let _ = soon("an end of the sending", client.try_send(vec![b'x'; LARGE])).await;
        }
        client.expect_closed().await;
        assert!(answered.elapsed() < Duration::from_secs(6), "the client's end came after {:?}", answered.elapsed());
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn reset_reaches_an_upstream_that_never_reads() {
    let _alone = alone();
    for leave in [Client::leave as fn(Client), Client::abort] {
        let mut upstream = Upstream::start().await;
        let gate = one_permit().route("on_client_gone = \"reset\"").in_front_of(&upstream).await;
        let (client, call) = unread_upload(&gate, &mut upstream).await;
        let left = Instant::now();
        leave(client);
        within_2s("the upstream's connection to end", left, call.until_hung_up_unread()).await;
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn an_upload_that_breaks_after_its_answer_began_ends_incomplete_on_both_sides() {
    let _alone = alone();
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    let (mut client, mut framing, mut call) = half_way(&gate, &mut upstream).await;
    let broken = Instant::now();
    client.send("what?\r\nno chunk").await;
    assert!(call.body().await.is_err(), "the upstream must not take the upload for complete");
    assert!(client.body(&mut framing).await.is_err(), "the client must not take the answer for complete");
    assert!(broken.elapsed() < Duration::from_secs(1), "the ends came after {:?}", broken.elapsed());
    call.close();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_upload_that_stalls_after_its_answer_began_ends_incomplete_on_both_sides() {
    let _alone = alone();
    let mut upstream = Upstream::start().await;
    let gate = one_permit().server("body_idle_timeout = \"500ms\"").in_front_of(&upstream).await;
    let (mut client, mut framing, mut call) = half_way(&gate, &mut upstream).await;
    let stalled = Instant::now();
    assert!(call.body().await.is_err(), "the upstream must not take the upload for complete");
    assert!(client.body(&mut framing).await.is_err(), "the client must not take the answer for complete");
    let took = stalled.elapsed();
    assert!(took > Duration::from_millis(350) && took < Duration::from_millis(1500), "the ends came after {took:?}");
    call.close();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_http_1_0_client_sees_that_its_answer_was_cut() {
    for reset in [true, false] {
        let mut upstream = Upstream::start().await;
        let gate = one_permit().in_front_of(&upstream).await;
        let mut client = gate.client().await;
        client.send("GET / HTTP/1.0\r\nHost: api.test\r\n\r\n").await;
        let mut call = soon("the request", upstream.next()).await;
        call.start_streaming(&[]).await;
        call.chunk("a part").await.unwrap();
        let mut framing = client.head().await.answer_framing("GET");
        assert_eq!(framing, Framing::UntilClose);
        assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), b"a part");
        if reset {
            call.reset()
        } else {
            call.close()
        }
        let end = client.body(&mut framing).await;
        assert_eq!(end.expect_err("an orderly end would make it look complete").kind(), ErrorKind::ConnectionReset);
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn a_request_with_trailers_leaves_a_connection_that_is_used_again() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    for _ in 0..3 {
        let head = head_of("POST", "/", &["Transfer-Encoding: chunked", "Trailer: x-sum"]);
        client.send(head + "5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n").await;
        let mut call = soon("the request", upstream.next()).await;
        let body = call.body().await.unwrap();
        assert_eq!((body.text().as_str(), body.trailers), ("hello", vec![("x-sum".to_owned(), b"42".to_vec())]));
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
    client.get("/").await;
    soon("the last request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn an_ambiguous_answer_is_a_502_at_once_and_keeps_its_permit_until_the_upstream_has_ended() {
    for orderly in [true, false] {
        let mut upstream = Upstream::start().await;
        let gate = one_permit().in_front_of(&upstream).await;
        let mut client = gate.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n";
        call.send_raw(format!("{head}5\r\nhello\r\n")).await.unwrap();
        // The upstream goes on with its body; the client need not wait for it.
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.reason().as_deref()), (502, Some("upstream_protocol")));
        let mut next = gate.waiting("/next").await;
        assert!(nothing_comes(upstream.next()).await, "somebody was let in although the upstream works on");
        call.chunk("more of it").await.unwrap();
        assert!(nothing_comes(upstream.next()).await, "somebody was let in although the upstream works on");
        if orderly {
            call.finish().await;
        } else {
            call.close();
        }
        soon("the permit, now that the upstream has ended", upstream.next()).await.respond(200, "").await;
        assert_eq!(next.answer().await.status, 200);
        assert_eq!(upstream.peak(), 1);
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

/// More than all socket buffers on the way hold.
const LARGE: usize = 30 << 20;

fn one_permit() -> Setup {
    Sluicegate::with_limit(1).queue(1)
}

/// A client in the middle of a large upload of which the upstream has read nothing but the head. The buffers
/// between it and the proxy are full; what the client sent last has reached the proxy's side, and waits there.
async fn unread_upload(gate: &Sluicegate, upstream: &mut Upstream) -> (Client, Call) {
    let mut client = gate.client().await;
    client.send(head_of("POST", "/upload", &[&format!("Content-Length: {}", 2 * LARGE)])).await;
    let call = soon("the request", upstream.next()).await;
    let mut sent = 0;
    while {
        client.send(vec![b'x'; 128 << 10]).await;
        client.settled().await
    } {
        sent += 128 << 10;
        assert!(sent < LARGE, "so much was not to be taken");
    }
    (client, call)
}

/// A client in the middle of a chunked upload, and an upstream in the middle of its answer to it.
async fn half_way(gate: &Sluicegate, upstream: &mut Upstream) -> (Client, Framing, Call) {
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Transfer-Encoding: chunked"]) + "4\r\npart\r\n").await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(soon("the part", call.piece()).await.unwrap().unwrap(), b"part");
    call.start_streaming(&[]).await;
    call.chunk("a part").await.unwrap();
    let mut framing = client.head().await.answer_framing("POST");
    assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), b"a part");
    (client, framing, call)
}

async fn within_2s(what: &str, since: Instant, future: impl Future<Output = ()>) {
    soon(what, future).await;
    assert!(since.elapsed() < Duration::from_secs(2), "{what}: after {:?}", since.elapsed());
}
