//! A permit outlives its client until the upstream has ended the exchange, or `abort_grace` is over.

use std::time::{Duration, Instant};

use crate::support::client::head_of;
use crate::support::quiet::alone;
use crate::support::{Call, Client, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

#[tokio::test]
async fn abort_tells_the_upstream_and_keeps_the_permit_until_it_has_ended() {
    let Abandoned { gate, upstream, mut call } = Abandoned::start("").await;
    soon("the upstream to be told", call.until_hung_up()).await;
    keeps_its_permit_until(gate, upstream, || call.respond(200, "for nobody")).await;
}

#[tokio::test]
async fn a_client_that_resets_keeps_its_permit_like_one_that_closes() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    let client = gate.get("/abandoned").await;
    let mut call = soon("the request", upstream.next()).await;
    client.abort();
    soon("the upstream to be told", call.until_hung_up()).await;
    keeps_its_permit_until(gate, upstream, || call.respond(200, "for nobody")).await;
}

#[tokio::test]
async fn an_upstream_that_closes_without_an_answer_has_ended_the_exchange() {
    let Abandoned { gate, upstream, mut call } = Abandoned::start("").await;
    soon("the upstream to be told", call.until_hung_up()).await;
    keeps_its_permit_until(gate, upstream, || async { call.close() }).await;
}

#[tokio::test]
async fn an_upstream_that_resets_has_ended_the_exchange() {
    let Abandoned { gate, upstream, mut call } = Abandoned::start("").await;
    soon("the upstream to be told", call.until_hung_up()).await;
    keeps_its_permit_until(gate, upstream, || async { call.reset() }).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_upload_keeps_its_permit_until_the_upstream_has_ended() {
    for leave in [Client::leave as fn(Client), Client::abort] {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
        let mut client = gate.client().await;
        client.send(head_of("POST", "/abandoned", &["Content-Length: 1000"]) + "a part").await;
        let mut call = soon("the request", upstream.next()).await;
        assert_eq!(soon("the part", call.piece()).await.unwrap().unwrap(), b"a part");
        leave(client);
        assert!(call.body().await.is_err(), "a cut upload is not a complete one");
        keeps_its_permit_until(gate, upstream, || call.respond(200, "for nobody")).await;
    }
}

#[tokio::test]
async fn a_chunked_upload_cut_by_its_client_never_gets_its_last_chunk() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/abandoned", &["Transfer-Encoding: chunked"]) + "4\r\npart\r\n").await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(soon("the part", call.piece()).await.unwrap().unwrap(), b"part");
    client.leave();
    assert!(call.body().await.is_err(), "a cut upload is not a complete one");
    keeps_its_permit_until(gate, upstream, || call.respond(200, "for nobody")).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_answer_keeps_its_permit_until_the_upstream_has_ended() {
    for leave in [Client::leave as fn(Client), Client::abort] {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
        let mut client = gate.get("/abandoned").await;
        let mut call = soon("the request", upstream.next()).await;
        call.start_streaming(&[]).await;
        call.chunk("a part").await.unwrap();
        let mut framing = client.head().await.answer_framing("GET");
        client.piece(&mut framing).await.unwrap();
        leave(client);
        soon("the upstream to be told", call.until_hung_up()).await;
        call.chunk("more, read and dropped").await.unwrap();
        keeps_its_permit_until(gate, upstream, || call.finish()).await;
    }
}

#[tokio::test]
async fn a_half_closed_client_counts_as_gone() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    let mut client = gate.get("/abandoned").await;
    let mut call = soon("the request", upstream.next()).await;
    client.half_close().await;
    soon("the upstream to be told", call.until_hung_up()).await;
    keeps_its_permit_until(gate, upstream, || call.respond(200, "for nobody")).await;
}

#[tokio::test]
async fn a_client_with_pipelined_bytes_behind_its_request_is_missed_all_the_same() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send(head_of("GET", "/abandoned", &[]) + &head_of("GET", "/never", &[])).await;
    let mut call = soon("the request", upstream.next()).await;
    client.leave();
    soon("the upstream to be told", call.until_hung_up()).await;
    keeps_its_permit_until(gate, upstream, || call.respond(200, "for nobody")).await;
}

#[tokio::test]
async fn an_upstream_that_heeds_the_hint_gives_the_permit_back_within_50_ms() {
    let _alone = alone();
    let upstream = Upstream::that_heeds_a_hang_up(Duration::from_secs(3600)).await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    let mut client = gate.get("/0").await;
    upstream.until_inside(1).await;
    let mut times = Vec::new();
    for n in 1..=9 {
        let next = gate.waiting(&format!("/{n}")).await;
        let left = Instant::now();
        client.leave();
        crate::support::until("the next one inside", async || upstream.total() == n + 1).await;
        let (started, _) = *upstream.events().last().expect("somebody started");
        times.push(started - left);
        client = next;
    }
    times.sort();
    assert!(times[4] < Duration::from_millis(50), "median of {times:?}");
    assert_eq!(upstream.peak(), 1);
}

#[tokio::test]
async fn reset_gives_the_permit_back_at_once() {
    let Abandoned { gate, mut upstream, mut call } = Abandoned::start("on_client_gone = \"reset\"").await;
    soon("the upstream's connection to be closed", call.until_hung_up()).await;
    let mut next = gate.get("/next").await;
    let second = soon("the permit, although the upstream works on", upstream.next()).await;
    assert_eq!(upstream.inside(), 2, "where promise 1 ends");
    second.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    call.close();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn finish_does_not_tell_the_upstream_and_keeps_the_permit_until_it_has_answered() {
    let Abandoned { gate, upstream, mut call } = Abandoned::start("on_client_gone = \"finish\"").await;
    assert!(nothing_comes(call.until_hung_up()).await, "the upstream was told");
    keeps_its_permit_until(gate, upstream, || call.respond(200, "for nobody")).await;
}

#[tokio::test]
async fn finish_of_an_incomplete_upload_is_abort() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).route("on_client_gone = \"finish\"").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/abandoned", &["Content-Length: 1000"]) + "a part").await;
    let mut call = soon("the request", upstream.next()).await;
    client.leave();
    assert!(call.body().await.is_err(), "the upstream is told that no more comes");
    keeps_its_permit_until(gate, upstream, || call.respond(200, "for nobody")).await;
}

#[tokio::test]
async fn an_exchange_that_never_ends_gives_its_permit_back_after_abort_grace() {
    for mode in ["abort", "finish"] {
        let grace = "abort_grace = \"600ms\"\non_client_gone = ";
        let left = Instant::now();
        let Abandoned { gate, mut upstream, mut call } = Abandoned::start(&format!("{grace}\"{mode}\"")).await;
        let mut next = gate.waiting("/next").await;
        let second = soon("the permit, although the upstream works on", upstream.next()).await;
        let took = left.elapsed();
        assert!(took > Duration::from_millis(600), "{mode}: back after only {took:?}");
        assert!(took < Duration::from_millis(5000), "{mode}: back only after {took:?}");
        soon("the abandoned connection to be reset", call.until_hung_up()).await;
        second.respond(200, "").await;
        assert_eq!(next.answer().await.status, 200);
        call.close();
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn the_connection_of_an_abandoned_exchange_is_not_used_again() {
    let Abandoned { gate, mut upstream, mut call } = Abandoned::start("").await;
    soon("the upstream to be told", call.until_hung_up()).await;
    call.respond(200, "for nobody").await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert!(upstream.connections() >= 2);
}

/// What is no answer: a head that is none, a body that is none in its first piece, and one that is none further on.
const NO_ANSWERS: [&[&str]; 3] = [
    &["HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n"],
    &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "zz\r\n"],
];

#[tokio::test]
async fn an_upstream_that_sends_no_answer_keeps_the_permit_until_it_has_ended() {
    for mode in ["abort", "finish"] {
        for pieces in NO_ANSWERS {
            let (gate, upstream, mut call) = answered_by_none(pieces, mode).await;
            // Also where it may finish: it may never close by itself, and has no other end.
            soon("the upstream to be told", call.until_hung_up()).await;
            // What it sends now is nothing either, not even an answer.
            let _ = call.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok0\r\n\r\n").await;
            keeps_its_permit_until(gate, upstream, || async { call.close() }).await;
        }
    }
}

#[tokio::test]
async fn reset_closes_the_connection_of_an_upstream_that_sends_no_answer() {
    for pieces in NO_ANSWERS {
        let (gate, mut upstream, mut call) = answered_by_none(pieces, "reset").await;
        soon("the connection to be closed", call.until_hung_up()).await;
        permits_are_all_back(&gate, &mut upstream, 1).await;
        assert_eq!(upstream.inside(), 1, "it works on");
    }
}

#[tokio::test]
async fn what_is_no_answer_ends_no_abandoned_exchange() {
    for mode in ["abort", "finish"] {
        for pieces in NO_ANSWERS {
            let route = format!("on_client_gone = \"{mode}\"");
            let Abandoned { gate, upstream, mut call } = Abandoned::start(&route).await;
            if mode == "abort" {
                soon("the upstream to be told", call.until_hung_up()).await;
            }
            for piece in pieces {
                call.send_raw(piece).await.unwrap();
            }
            soon("the upstream to be told at the latest now", call.until_hung_up()).await;
            keeps_its_permit_until(gate, upstream, || async { call.close() }).await;
        }
    }
}

/// Limit 1, queue 1, and a request inside whose client has had what there was of these pieces of an answer.
async fn answered_by_none(pieces: &[&str], on_client_gone: &str) -> (Sluicegate, Upstream, Call) {
    let mut upstream = Upstream::start().await;
    let route = format!("on_client_gone = \"{on_client_gone}\"");
    let gate = Sluicegate::with_limit(1).queue(1).route(&route).in_front_of(&upstream).await;
    let mut client = gate.get("/none").await;
    let mut call = soon("the request", upstream.next()).await;
    let (last, first) = pieces.split_last().expect("there is one");
    for piece in first {
        call.send_raw(piece).await.unwrap();
    }
    if first.is_empty() {
        call.send_raw(last).await.unwrap();
        client.answer().await.expect(502, "upstream_protocol");
    } else {
        let mut framing = client.head().await.answer_framing("GET");
        assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), b"part");
        call.send_raw(last).await.unwrap();
        assert!(client.body(&mut framing).await.is_err(), "it looks complete");
    }
    (gate, upstream, call)
}

/// Limit 1, queue 1, and a request inside whose client has left.
struct Abandoned {
    gate: Sluicegate,
    upstream: Upstream,
    call: Call,
}

impl Abandoned {
    async fn start(route: &str) -> Self {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(1).route(route).in_front_of(&upstream).await;
        let client = gate.get("/abandoned").await;
        let call = soon("the request", upstream.next()).await;
        client.leave();
        Abandoned { gate, upstream, call }
    }
}

/// The permit is not free, then the upstream ends, then it is, once.
async fn keeps_its_permit_until<F: Future<Output = ()>>(
    gate: Sluicegate,
    mut upstream: Upstream,
    end: impl FnOnce() -> F,
) {
    let mut next = gate.waiting("/next").await;
    assert!(nothing_comes(upstream.next()).await, "somebody was let in although the upstream works on");
    gate.get("/probe").await.answer().await.expect(503, "queue_full");
    assert_eq!(upstream.inside(), 1);
    end().await;
    let call = soon("the permit, now that the upstream has ended", upstream.next()).await;
    assert_eq!((call.path(), upstream.inside()), ("/next", 1));
    call.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert_eq!(upstream.peak(), 1);
}
