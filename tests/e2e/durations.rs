//! `timeout` and `max_duration`: how long an exchange may take from its admission on.

use std::time::{Duration, Instant};

use h2::Reason;

use crate::support::http2::Http2;
use crate::support::{
    AccessLog, Call, Http2Upstream, Setup, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon,
};

/// Both are one deadline to an exchange of HTTP, with what is buffered and without.
const KEYS: [&str; 3] = [
    "timeout = \"1s\"\nmax_duration = \"1h\"",
    "max_duration = \"1s\"",
    "timeout = \"1s\"\nbuffer_response = \"1MiB\"",
];

fn with(keys: &str) -> Setup {
    Sluicegate::with_limit(1).queue(2).route(keys)
}

/// The upstream is told of the end, and holds the permit until it has ended itself.
async fn told_and_kept(gate: &Sluicegate, upstream: &mut Upstream, mut call: Call) {
    soon("the upstream to be told", call.until_hung_up()).await;
    let mut next = gate.waiting("/next").await;
    assert!(nothing_comes(upstream.next()).await, "somebody was let in although the upstream works on");
    call.close();
    soon("the permit", upstream.next()).await.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    permits_are_all_back(gate, upstream, 1).await;
}

#[tokio::test]
async fn an_answer_that_has_not_begun_in_time_is_a_504() {
    for keys in KEYS {
        let mut upstream = Upstream::start().await;
        let gate = with(keys).in_front_of(&upstream).await;
        let sent = Instant::now();
        let mut client = gate.get("/").await;
        let call = soon("the request", upstream.next()).await;
        client.answer().await.expect(504, "upstream_timeout");
        assert!(sent.elapsed() >= Duration::from_secs(1));
        told_and_kept(&gate, &mut upstream, call).await;

        let client = Http2::connect(gate.address).await;
        let asked = client.get("/").await;
        let call = soon("the request", upstream.next()).await;
        asked.answer().await.expect(504, "upstream_timeout");
        call.close();
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_is_cut_and_never_looks_complete() {
    for (n, keys) in KEYS.into_iter().enumerate() {
        let log = AccessLog::new(&format!("durations-{n}"));
        let mut upstream = Upstream::start().await;
        let gate = with(keys).server(&log.table()).in_front_of(&upstream).await;
        for fields in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
            let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello\r\n");
            let mut client = gate.get("/cut-1").await;
            let mut call = soon("the request", upstream.next()).await;
            call.send_raw(&head).await.unwrap();
            client.try_answer().await.expect_err("it is cut");
            told_and_kept(&gate, &mut upstream, call).await;

            let client = Http2::connect(gate.address).await;
            let asked = client.get("/cut-2").await;
            let mut call = soon("the request", upstream.next()).await;
            call.send_raw(&head).await.unwrap();
            asked.try_answer().await.expect_err("it is cut");
            call.close();
            permits_are_all_back(&gate, &mut upstream, 1).await;
        }
        let reason = if keys.starts_with("timeout") { "upstream_timeout" } else { "max_duration" };
        for path in ["/cut-1", "/cut-2"] {
            for line in log.about(path, 2).await {
                let said = (&line["status"], &line["reason"], &line["outcome"]);
                assert_eq!(said, (&200.into(), &reason.into(), &"failed".into()), "{line}");
            }
        }
    }
}

#[tokio::test]
async fn an_upstream_of_http_2_hears_cancel() {
    for keys in KEYS {
        for begun in [false, true] {
            let mut upstream = Http2Upstream::start().await;
            let gate = with(keys).in_front_of_url(&upstream.url()).await;
            let mut client = gate.get("/").await;
            let mut call = soon("the request", upstream.next()).await;
            if begun {
                call.start_streaming(&[]);
                call.chunk("a part").await.unwrap();
                client.try_answer().await.expect_err("it is cut");
            } else {
                client.answer().await.expect(504, "upstream_timeout");
            }
            assert_eq!(call.until_reset().await, Some(Reason::CANCEL));
            permits_are_all_back(&gate, &mut upstream, 1).await;
            assert_eq!(upstream.connections(), 1, "the connection lives on");
        }
    }
}

#[tokio::test]
async fn a_cut_answer_to_http_1_0_ends_in_a_reset() {
    let mut upstream = Upstream::start().await;
    let gate = with(KEYS[0]).in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    call.chunk("hello").await.unwrap();
    client.try_answer().await.expect_err("an orderly end would make it look complete");
    call.close();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_reader_that_has_stalled_does_not_hold_its_permit_beyond_the_deadline() {
    for keys in KEYS {
        let mut upstream = Upstream::start().await;
        let gate = with(keys).in_front_of(&upstream).await;
        let _stalled = gate.get("/").await;
        let call = soon("the request", upstream.next()).await;
        let sending = tokio::spawn(call.respond(200, vec![b'x'; 30_000_000]));
        permits_are_all_back(&gate, &mut upstream, 1).await;
        soon("the upstream to be rid of it", sending).await.unwrap();

        let client = Http2::connect(gate.address).await;
        let _stalled = client.get("/").await;
        let call = soon("the request", upstream.next()).await;
        let sending = tokio::spawn(call.respond(200, vec![b'x'; 30_000_000]));
        permits_are_all_back(&gate, &mut upstream, 1).await;
        soon("the upstream to be rid of it", sending).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_is_buffered_whole_is_cut_as_well() {
    let mut upstream = Upstream::start().await;
    let gate = with("timeout = \"700ms\"\nbuffer_response = \"32MiB\"").in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(200, vec![b'x'; 30_000_000]).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    client.try_answer().await.expect_err("it is cut");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn waiting_does_not_count() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(2).route("timeout = \"2s\"").in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let held = soon("the holder's request", upstream.next()).await;
    let mut waiter = gate.waiting("/waiter").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    held.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    let call = soon("the waiter's request", upstream.next()).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    call.respond(200, "in time").await;
    assert_eq!(waiter.answer().await.body.text(), "in time");
}

#[tokio::test]
async fn what_ends_in_time_ends_as_ever() {
    for keys in KEYS {
        let mut upstream = Upstream::start().await;
        let gate = with(keys).in_front_of(&upstream).await;
        let mut client = gate.client().await;
        for n in 0..5 {
            client.request("GET", "/", &["TE: trailers", "Connection: TE"]).await;
            let mut call = soon("the request", upstream.next()).await;
            call.start_streaming(&[("Trailer", "x-sum")]).await;
            call.chunk(format!("hello {n}")).await.unwrap();
            call.respond_raw("0\r\nx-sum: 42\r\n\r\n").await;
            let body = client.answer().await.body;
            assert_eq!((body.text(), body.trailers.len()), (format!("hello {n}"), 1));
        }
        permits_are_all_back(&gate, &mut upstream, 1).await;
        assert!(upstream.connections() <= 2, "connections are kept");
    }
}
