//! What an upstream of HTTP/1 sends that is no answer, or not all of one. Before the head is out it is a 502; behind it
//! the client's answer breaks off. In either case its connection is not used again, and the permit comes back.

use crate::support::http2::Http2;
use crate::support::{AccessLog, Call, Setup, Sluicegate, Upstream, permits_are_all_back, soon};

/// Heads that are none.
const HEADS: &[&str] = &[
    "garbage\r\n\r\n",
    "\0\0\0\x04\0\0\0\0\0",
    "HTTP/1.1\r\n\r\n",
    "HTTP/1.1 \r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 2x0 OK\r\n\r\n",
    "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    " HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
];

/// Bodies that break off, or are none.
const BODIES: &[(&str, &str)] = &[
    ("Content-Length: 10", "hello"),
    ("Content-Length: 10", ""),
    ("Transfer-Encoding: chunked", ""),
    ("Transfer-Encoding: chunked", "5\r\nhel"),
    ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
    ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n"),
    ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nx-a: b\r\n"),
    ("Transfer-Encoding: chunked", "5\r\nhello0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "zz\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "-5\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
];

#[tokio::test]
async fn a_head_that_is_none_is_a_502_and_its_connection_is_not_used_again() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = [
        format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "x".repeat(1 << 20)),
        format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n"),
    ];
    let mut wrong = Vec::new();
    for (n, head) in HEADS.iter().map(|head| (*head).to_owned()).chain(large).enumerate() {
        let mut client = gate.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        assert_eq!(upstream.connections(), n + 1, "a connection was used again before {head:?}");
        let _ = call.send_raw(&head).await;
        let answer = client.answer().await;
        if (answer.status, answer.reason().as_deref()) != (502, Some("upstream_protocol")) {
            let head: String = head.chars().take(80).collect();
            wrong.push(format!("{head:?}: {:?}", answer.head));
        }
        call.close();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

/// Bodies of which the first piece shows that they are none.
const NO_BODIES: &[&str] = &[
    "zz\r\n",
    "5;a\nb\r\nhello",
    "2\r\nokX\r\n",
    "2\r\nok\r\nzz\r\n",
    "fffffffffffffffff\r\n",
    "0\r\nno field\r\n\r\n",
];

#[tokio::test]
async fn an_answer_whose_body_is_none_from_its_beginning_is_a_502() {
    let mut upstream = Upstream::start().await;
    let log = AccessLog::new("no-bodies");
    let gate = one_permit().server(&log.table()).in_front_of(&upstream).await;
    for body in NO_BODIES {
        let mut client = gate.get("/none").await;
        let mut call = soon("the request", upstream.next()).await;
        call.send_raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}")).await.unwrap();
        client.answer().await.expect(502, "upstream_protocol");
        call.close();
    }
    for line in log.about("/none", NO_BODIES.len()).await {
        assert_eq!((&line["status"], &line["reason"]), (&502.into(), &"upstream_protocol".into()), "{line}");
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_answer_without_a_body_has_a_length_that_is_one() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    for length in ["", "+5", "5x", "5, 5", "9223372036854775808", "99999999999999999999999"] {
        for (method, status) in [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")] {
            let mut client = gate.client().await;
            client.request(method, "/", &[]).await;
            let call = soon("the request", upstream.next()).await;
            call.respond_raw(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n")).await;
            client.answer().await.expect(502, "upstream_protocol");
        }
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_complete_and_its_connection_is_not_used_again() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().in_front_of(&upstream).await;
    for (n, (framing, body)) in BODIES.iter().enumerate() {
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}");
        let begin = async |upstream: &mut Upstream| -> Call {
            let mut call = soon("the request", upstream.next()).await;
            let _ = call.send_raw(&answer).await;
            call
        };
        let mut client = gate.get("/").await;
        begin(&mut upstream).await.close();
        if let Ok(answer) = client.try_answer().await {
            assert_eq!(answer.status, 502, "{answer:?} for {framing} {body:?}");
        }
        let http2 = Http2::connect(gate.address).await;
        let asked = http2.get("/").await;
        begin(&mut upstream).await.close();
        if let Ok(answer) = asked.try_answer().await {
            assert_eq!(answer.head.status(), 502, "{answer:?} for {framing} {body:?}");
        }
        assert_eq!(upstream.connections(), 2 * (n + 1), "a connection was used again at {framing} {body:?}");
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn what_comes_behind_an_answer_belongs_to_nobody() {
    let mut upstream = Upstream::start().await;
    // With its retries: the connection that the upstream closes may be taken by a worker that has not heard of that yet.
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    for (n, behind) in ["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned", "x", "\r\n\r\n"].iter().enumerate() {
        let mut client = gate.get("/").await;
        let call = soon("the request", upstream.next()).await;
        call.respond_raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood{behind}")).await;
        assert_eq!(client.answer().await.body.text(), "good");
        let mut next = gate.get("/").await;
        let call = soon("the next request", upstream.next()).await;
        call.respond_then_close(200, "also good").await;
        assert_eq!(next.answer().await.body.text(), "also good");
        assert_eq!(upstream.connections(), 2 * (n + 1), "a connection was used again behind {behind:?}");
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn interim_answers_without_end_are_no_answer() {
    let mut upstream = Upstream::start().await;
    let gate = one_permit().upstream("response_timeout = \"2s\"").in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    let informing = async {
        while call.send_raw("HTTP/1.1 102 Processing\r\n\r\n").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // The proxy may be done with it before its answer is read.
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = client.answer() => answer,
        () = informing => unreachable!("it does not end"),
    };
    answer.expect(504, "upstream_timeout");
    drop(call);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

fn one_permit() -> Setup {
    Sluicegate::with_limit(1).queue(1).upstream("retries = 0")
}
