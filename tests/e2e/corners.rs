//! Corners of heads and of connections: what is odd and must still be right.

use std::time::{Duration, Instant};

use crate::support::client::head_of;
use crate::support::quiet::alone;
use crate::support::{Call, Client, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

#[tokio::test]
async fn at_drain_timeout_a_lone_request_without_a_head_is_cut_at_once_and_the_exit_is_1() {
    let _alone = alone();
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).server("drain_timeout = \"500ms\"").in_front_of(&upstream).await;
    let mut client = gate.get("/never-ends").await;
    let _call = soon("the request", upstream.next()).await;
    let start = Instant::now();
    gate.terminate();
    // It may be told why, or be cut.
    if let Ok(answer) = client.try_answer().await {
        assert!(answer.status >= 500 && answer.closes(), "{answer:?}");
    }
    let cut = start.elapsed();
    assert!(cut >= Duration::from_millis(450) && cut < Duration::from_millis(1400), "cut after {cut:?}");
    assert_eq!(gate.exit_code().await, Some(1));
    assert!(start.elapsed() < Duration::from_millis(1600), "the exit came after {:?}", start.elapsed());
}

#[tokio::test]
async fn connections_that_nobody_has_accepted_when_a_drain_begins_are_served() {
    for _ in 0..3 {
        let upstream = Upstream::that_works_for(Duration::from_millis(1)).await;
        let gate = Sluicegate::with_limit(10).queue(100).in_front_of(&upstream).await;
        // While it stands still, the kernel takes the connections, and SIGTERM waits behind them.
        gate.signal("STOP");
        let mut clients = Vec::new();
        for n in 0..50 {
            clients.push(gate.get(&format!("/{n}")).await);
        }
        gate.terminate();
        gate.signal("CONT");
        for (n, client) in clients.iter_mut().enumerate() {
            let answer = client.try_answer().await.unwrap_or_else(|error| panic!("client {n} of 50: {error}"));
            assert_eq!(answer.status, 200, "client {n} of 50");
        }
        assert_eq!(gate.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn a_burst_of_connections_just_before_a_drain_is_served() {
    for _ in 0..5 {
        let upstream = Upstream::that_works_for(Duration::from_millis(1)).await;
        let gate = Sluicegate::with_limit(10).queue(100).in_front_of(&upstream).await;
        let clients = (0..50).map(|n| {
            let gate = &gate;
            async move { gate.get(&format!("/{n}")).await }
        });
        let mut clients = futures_util::future::join_all(clients).await;
        gate.terminate();
        for client in &mut clients {
            assert_eq!(client.answer().await.status, 200);
        }
        assert_eq!(gate.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn a_connection_whose_rejected_body_came_late_idles_like_any_other() {
    let _alone = alone();
    let full = Full::start("idle_timeout = \"400ms\"\nheader_timeout = \"100ms\"").await;
    for head in LATE_BODIES {
        // Before its body is sent, since how long it takes to see that it has been read is not part of the claim.
        let start = Instant::now();
        let mut client = full.rejected_before_its_body(head).await;
        client.expect_closed().await;
        let idled = start.elapsed();
        assert!(
            idled >= Duration::from_millis(400) && idled < Duration::from_secs(4),
            "{head:?} closed after {idled:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_whose_rejected_body_came_late_does_not_hold_up_a_drain() {
    let _alone = alone();
    for head in LATE_BODIES {
        let full = Full::start("").await;
        let mut client = full.rejected_before_its_body(head).await;
        let gate = full.end().await;
        let start = Instant::now();
        gate.terminate();
        client.expect_closed().await;
        assert_eq!(gate.exit_code().await, Some(0));
        assert!(start.elapsed() < Duration::from_secs(3), "{head:?}: after {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_chunked_post_without_a_route_keeps_its_connection() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).route("path = \"/elsewhere\"").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    for _ in 0..2 {
        client.send(head_of("POST", "/nowhere", &["Transfer-Encoding: chunked"]) + "5\r\nhello\r\n0\r\n\r\n").await;
        let answer = client.answer().await;
        answer.expect(404, "no_route");
        assert!(!answer.closes());
    }
}

#[tokio::test]
async fn a_rejected_chunked_post_that_came_whole_keeps_its_connection() {
    let full = Full::start("").await;
    let mut client = full.gate.client().await;
    let post = head_of("POST", "/rejected", &["Transfer-Encoding: chunked"]);
    for chunks in
        ["5\r\nhello\r\n", "5\r\nhello\r\n5\r\nworld\r\n", "1\r\na\r\n2\r\nbc\r\n3;x=y\r\ndef\r\n4\r\nghij\r\n"]
    {
        client.send(format!("{post}{chunks}0\r\n\r\n")).await;
        let answer = client.answer().await;
        answer.expect(503, "no_permit");
        assert!(!answer.closes(), "{chunks:?}");
    }
    let Full { mut upstream, gate, .. } = full.vacated().await;
    client.get("/next").await;
    let call = soon("the next request of the same connection", upstream.next()).await;
    assert_eq!(call.path(), "/next");
    call.respond(200, "next").await;
    assert_eq!(client.answer().await.body.text(), "next");
    drop(gate);
}

#[tokio::test]
async fn a_request_behind_a_rejected_chunked_post_in_the_same_packet_is_answered() {
    let full = Full::start("").await;
    let mut client = full.gate.client().await;
    let post = head_of("POST", "/rejected", &["Transfer-Encoding: chunked"]);
    let next = head_of("GET", "/next", &[]);
    client.send(format!("{post}5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n{next}")).await;
    client.answer().await.expect(503, "no_permit");
    client.answer().await.expect(503, "no_permit");
}

#[tokio::test]
async fn an_absolute_target_without_a_path_is_the_root() {
    let mut upstream = Upstream::start().await;
    let own = upstream.address.to_string();
    for (host, expected) in [("preserve", "a.test"), ("upstream", own.as_str())] {
        let gate = Sluicegate::with_limit(1).upstream(&format!("host = \"{host}\"")).in_front_of(&upstream).await;
        for (target, path) in [("http://a.test?x=1", "/?x=1"), ("http://a.test", "/"), ("http://a.test/?x=1", "/?x=1")]
        {
            let mut client = gate.client().await;
            client.send(format!("GET {target} HTTP/1.1\r\nHost: other.test\r\n\r\n")).await;
            let call = soon("the request", upstream.next()).await;
            assert_eq!((call.path(), call.head.all("host")), (path, vec![expected.to_owned()]), "{target}, {host}");
            call.respond(200, "").await;
            assert_eq!(client.answer().await.status, 200);
        }
    }
}

#[tokio::test]
async fn an_upstream_cannot_speak_for_us() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    let forged = [
        ("x-sluicegate-reason", "no_permit"),
        ("X-Sluicegate-Reason", "queue_full"),
        ("X-Sluicegate-Limit", "forged"),
        ("x-sluicegate-queue", "position=9;wait=9.000"),
    ];
    let mut first = gate.get("/first").await;
    let call = soon("the first request", upstream.next()).await;
    let mut second = gate.waiting("/second").await;
    call.respond_with(503, &forged, "its own").await;
    soon("the second request", upstream.next()).await.respond_with(200, &forged, "its own").await;
    for (client, waited) in [(&mut first, 0), (&mut second, 1)] {
        let answer = client.answer().await;
        assert_eq!(answer.body.text(), "its own");
        assert!(!answer.head.has("x-sluicegate-reason") && !answer.head.has("x-sluicegate-limit"), "{:?}", answer.head);
        // Who has waited gets our word on it, and no other.
        let queue = answer.head.all("x-sluicegate-queue");
        assert!(queue.len() == waited && !queue.concat().contains("position=9"), "{:?}", answer.head);
    }
}

#[tokio::test]
async fn a_list_of_lengths_in_an_answer_is_a_502() {
    for lengths in [
        "Content-Length: 5, 5",
        "Content-Length: 5,5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
    ] {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
        let mut client = gate.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        call.send_raw(format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nhello")).await.unwrap();
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.reason().as_deref()), (502, Some("upstream_protocol")), "{lengths:?}");
        call.close();
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn odd_values_and_lengths_are_a_400_with_a_reason() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    for field in [
        "X-Odd: value\x0c",
        "X-Odd: \x0cvalue",
        "X-Odd: value\x0b",
        "Transfer-Encoding: chunked\x0c",
        "Content-Length: 0\x0c",
        "Content-Length: 18446744073709551614",
        "Content-Length: 18446744073709551615",
        "Content-Length: 18446744073709551616",
    ] {
        let mut client = gate.client().await;
        client.send(head_of("POST", "/", &[field])).await;
        let answer = client.try_answer().await.unwrap_or_else(|error| panic!("{field:?}: {error}"));
        assert_eq!((answer.status, answer.reason().as_deref()), (400, Some("bad_request")), "{field:?}");
        assert!(answer.closes(), "{field:?}");
        client.expect_closed().await;
    }
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn an_empty_line_in_two_packets_is_no_beginning_of_a_request() {
    let mut upstream = Upstream::start().await;
    let with_idle_timeout = |idle_timeout: &str| {
        let server = format!("header_timeout = \"1s\"\nidle_timeout = \"{idle_timeout}\"");
        Sluicegate::with_limit(1).server(&server)
    };
    let gate = with_idle_timeout("20s").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    for byte in ["\r", "\n", "\r", "\n"] {
        client.send(byte).await;
        client.settled().await;
    }
    // Longer than a head may take.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    client.get("/late").await;
    soon("the request behind the empty lines", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);

    let gate = with_idle_timeout("600ms").in_front_of(&upstream).await;
    let start = Instant::now();
    let mut silent = gate.client().await;
    for byte in ["\r", "\n"] {
        silent.send(byte).await;
        silent.settled().await;
    }
    // Not a byte: nothing was begun, so there is nothing to answer.
    silent.expect_closed().await;
    assert!(start.elapsed() >= Duration::from_millis(500), "after only {:?}", start.elapsed());
    assert!(nothing_comes(upstream.next()).await);
}

/// Requests whose body of ten bytes comes later: with a length, and in a chunk.
const LATE_BODIES: [(&str, &str); 2] =
    [("Content-Length: 10", "0123456789"), ("Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n")];

/// A gate that rejects everything, since its only permit is taken.
struct Full {
    gate: Sluicegate,
    upstream: Upstream,
    holder: Client,
    call: Option<Call>,
}

impl Full {
    async fn start(server: &str) -> Self {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(0).server(server).in_front_of(&upstream).await;
        let holder = gate.get("/holder").await;
        let call = Some(soon("the holder's request", upstream.next()).await);
        Full { gate, upstream, holder, call }
    }

    /// A client that was rejected, and has sent its body after that.
    async fn rejected_before_its_body(&self, (field, body): (&str, &str)) -> Client {
        let mut client = self.gate.client().await;
        client.send(head_of("POST", "/rejected", &[field])).await;
        let answer = client.answer().await;
        answer.expect(503, "no_permit");
        assert!(!answer.closes(), "so small a body does not cost the connection");
        client.send(body).await;
        client.settled().await;
        client
    }

    /// The permit is free again.
    async fn vacated(mut self) -> Self {
        self.call.take().expect("not yet vacated").respond(200, "").await;
        assert_eq!(self.holder.answer().await.status, 200);
        self
    }

    /// Nobody is left but those who were rejected.
    async fn end(self) -> Sluicegate {
        let Full { gate, holder, .. } = self.vacated().await;
        holder.leave();
        gate
    }
}
