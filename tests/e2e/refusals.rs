//! A head whose framing or target is ambiguous is refused and never forwarded.

use std::time::Duration;

use crate::support::client::head_of;
use crate::support::{Answer, Client, Sluicegate, Upstream, nothing_comes, soon};

#[tokio::test]
async fn an_ambiguous_head_is_a_400_and_never_reaches_the_upstream() {
    let table: &[(&str, &str)] = &[
        ("length with coding", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("coding with length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
        ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        ("the same length twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello"),
        ("a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"),
        ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello"),
        ("a length in hex", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello"),
        ("an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nhello"),
        ("an endless length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\nhello"),
        ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n"),
        ("a line folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tc\r\n\r\n"),
        ("a folded first line", "GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n"),
        ("space before a colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n"),
        (
            "space before the coding's colon",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        ),
        ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n"),
        ("no name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
        ("a bare LF in the fields", "GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n"),
        ("a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        ("a bare LF as the head's end", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        ("bare LFs only", "GET / HTTP/1.1\nHost: a\n\n"),
        ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n"),
        ("NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\0A: b\r\n\r\n"),
        ("a bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rX-B: c\r\n\r\n"),
        ("a bare CR in the request line", "GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a method that is no token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("no method", " / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("two spaces in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("no version", "GET /\r\nHost: a\r\n\r\n"),
        ("another protocol", "GET / HTP/1.1\r\nHost: a\r\n\r\n"),
        ("another version", "GET / HTTP/3.7\r\nHost: a\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\nX-A: b\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("the same host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("a coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a target without a slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
        ("TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("garbage", "\x16\x03\x01\x02hello there, is this TLS?\r\n\r\n"),
    ];
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    let mut wrong = Vec::new();
    for (what, head) in table {
        // Behind it stands what a smuggler would want to be a request of its own.
        let mut client = gate.client().await;
        client.send([head, head_of("GET", "/smuggled", &[]).as_str()].concat()).await;
        match refused(&mut client).await {
            Ok(answer) if is_refusal(&answer, 400, "bad_request") => {}
            Ok(answer) => wrong.push(format!("{what}: {:?}", answer.head)),
            Err(how) => wrong.push(format!("{what}: {how}")),
        }
        if let Ok(call) = tokio::time::timeout(Duration::ZERO, upstream.next()).await {
            wrong.push(format!("{what}: {:?} reached the upstream", call.head));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(nothing_comes(upstream.next()).await);
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn an_unknown_transfer_coding_is_a_501() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    for coding in ["gzip, chunked", "gzip", "identity", "chunked, gzip"] {
        let mut client = gate.client().await;
        client.send(head_of("POST", "/", &[&format!("Transfer-Encoding: {coding}")]) + "0\r\n\r\n").await;
        let answer = refused(&mut client).await.unwrap();
        assert!(is_refusal(&answer, 501, "bad_request"), "{coding}: {answer:?}");
    }
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_a_431() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).server("max_header_bytes = \"8KiB\"").in_front_of(&upstream).await;
    let long = "x".repeat(9000);
    let many: String = (0..1200).map(|n| format!("X-{n}: y\r\n")).collect();
    for head in [
        format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        // Without an end: it is refused as soon as it is too large.
        format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {long}"),
    ] {
        let mut client = gate.client().await;
        client.send(head).await;
        let answer = refused(&mut client).await.unwrap();
        assert!(is_refusal(&answer, 431, "header_too_large"), "{answer:?}");
    }
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn a_head_just_below_the_bound_passes() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).server("max_header_bytes = \"8KiB\"").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.request("GET", "/", &[&format!("X-A: {}", "x".repeat(8000))]).await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn empty_lines_before_a_request_are_ignored() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send("\r\n".to_owned() + &head_of("GET", "/", &[])).await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_refusal_behind_a_good_request_comes_after_the_good_answer() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let mut client = gate.client().await;
    let bad = "GET /bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    client.send(head_of("GET", "/good", &[]) + bad).await;
    let call = soon("the good request", upstream.next()).await;
    assert_eq!(call.path(), "/good");
    assert!(client.hears_nothing().await, "the refusal overtook the answer");
    call.respond(200, "good").await;
    assert_eq!(client.answer().await.body.text(), "good");
    let answer = refused(&mut client).await.unwrap();
    assert!(is_refusal(&answer, 400, "bad_request"), "{answer:?}");
    assert_eq!(upstream.total(), 1);
}

#[tokio::test]
async fn a_refusal_behind_a_body_comes_after_the_good_answer() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let bad = "GET /bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    for body in [
        head_of("POST", "/", &["Content-Length: 5"]) + "hello",
        head_of("POST", "/", &["Transfer-Encoding: chunked"]) + "5;ext=1\r\nhello\r\n0\r\nx-after: 1\r\n\r\n",
    ] {
        let mut client = gate.client().await;
        client.send(body + bad).await;
        let mut call = soon("the good request", upstream.next()).await;
        assert_eq!(call.body().await.unwrap().text(), "hello");
        call.respond(200, "good").await;
        assert_eq!(client.answer().await.body.text(), "good");
        let answer = refused(&mut client).await.unwrap();
        assert!(is_refusal(&answer, 400, "bad_request"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_fault_in_a_streaming_body_ends_the_upstream_exchange_incomplete() {
    for fault in ["zz\r\nhello\r\n", "-1\r\n", "5\r\nhello, too long\r\n", "fffffffffffffffff\r\n", "\r\n"] {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
        let mut client = gate.client().await;
        client.send(head_of("POST", "/", &["Transfer-Encoding: chunked"]) + "4\r\ngood\r\n").await;
        let mut call = soon("the request", upstream.next()).await;
        assert_eq!(soon("the good part", call.piece()).await.unwrap().unwrap(), b"good");
        client.send(fault).await;
        let cut = call.body().await;
        assert!(cut.is_err(), "{fault:?} must not look like a complete body: {cut:?}");
        call.close();
        // Its connection is over, with or without an answer.
        client.rest().await;
        crate::support::permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

/// The answer, after which the connection must be closed.
async fn refused(client: &mut Client) -> Result<Answer, String> {
    let answer = tokio::time::timeout(Duration::from_secs(5), client.try_answer()).await;
    let answer = answer.map_err(|_| "no answer")?.map_err(|error| error.to_string())?;
    let rest = tokio::time::timeout(Duration::from_secs(8), client.rest()).await;
    match rest.map_err(|_| "answered, but not closed")? {
        rest if rest.is_empty() => Ok(answer),
        rest => Err(format!("more came after the answer: {:?}", String::from_utf8_lossy(&rest))),
    }
}

fn is_refusal(answer: &Answer, status: u16, reason: &str) -> bool {
    answer.status == status && answer.reason().as_deref() == Some(reason) && answer.closes()
}
