//! Bodies of HTTP/1 requests that can be read in two ways, or not at all (RFC 9112 §7.1): the upload ends upstream
//! without looking complete, the client's connection ends, and nothing behind it is a request.

use crate::support::client::head_of;
use crate::support::{Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

/// Sent behind a good chunk.
const FAULTS: &[(&str, &str)] = &[
    ("a size that is no number", "zz\r\nhello\r\n"),
    ("no size", "\r\n"),
    ("no size but an extension", ";a=b\r\nhello\r\n"),
    ("a negative size", "-1\r\n"),
    ("a signed size", "+5\r\nhello\r\n"),
    ("a size with a prefix", "0x5\r\nhello\r\n"),
    ("a size with an underscore", "1_0\r\n"),
    ("a size that is too large for a number", "fffffffffffffffff\r\n"),
    ("a size with too many zeros", "00000000000000005\r\nhello\r\n"),
    ("a space before the size", " 5\r\nhello\r\n"),
    ("a space after the size", "5 \r\nhello\r\n"),
    ("a tab after the size", "5\t\r\nhello\r\n"),
    ("a space before an extension", "5 ;a=b\r\nhello\r\n"),
    ("a lone LF behind the size", "5\nhello\r\n"),
    ("a lone CR behind the size", "5\rhello\r\n"),
    ("a lone LF behind the data", "5\r\nhello\n0\r\n\r\n"),
    ("a lone CR behind the data", "5\r\nhello\r0\r\n\r\n"),
    ("nothing behind the data", "5\r\nhello0\r\n\r\n"),
    ("more data than the size says", "5\r\nhello, too long\r\n"),
    ("a lone LF in an extension", "5;a\n=b\r\nhello\r\n"),
    ("a lone CR in an extension", "5;a\rb\r\nhello\r\n"),
    ("NUL in an extension", "5;a=\0\r\nhello\r\n"),
    ("a lone LF behind the last chunk", "0\n\n"),
    ("a lone LF at the end", "0\r\n\n"),
    ("a lone LF behind a trailer", "0\r\nx-a: b\n\r\n"),
    ("a folded trailer", "0\r\nx-a: b\r\n c\r\n\r\n"),
    ("a trailer that begins with a space", "0\r\n x-a: b\r\n\r\n"),
    ("NUL in a trailer", "0\r\nx-a: \0\r\n\r\n"),
    ("a trailer without a colon", "0\r\nx-a\r\n\r\n"),
    ("a space before a trailer's colon", "0\r\nx-a : b\r\n\r\n"),
    ("a trailer without a name", "0\r\n: b\r\n\r\n"),
];

#[tokio::test]
async fn a_fault_in_a_chunked_body_never_looks_like_its_end_and_nothing_behind_it_is_a_request() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    let large = [
        ("too large an extension", format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(9 << 10))),
        ("too many small extensions", "1;xxxxxxxx\r\na\r\n".repeat(2000) + "0\r\n\r\n"),
        ("too large a trailer", format!("0\r\nx-a: {}\r\n\r\n", "x".repeat(9 << 10))),
        ("too many trailers", format!("0\r\n{}\r\n", "x-a: b\r\n".repeat(2000))),
    ];
    let faults = FAULTS.iter().map(|(what, bytes)| (*what, (*bytes).to_owned())).chain(large);
    let mut wrong = Vec::new();
    for (what, fault) in faults {
        let mut client = gate.client().await;
        client.send(head_of("POST", "/", &["Transfer-Encoding: chunked"]) + "4\r\ngood\r\n").await;
        let mut call = soon("the request", upstream.next()).await;
        assert_eq!(soon("the good part", call.piece()).await.unwrap().unwrap(), b"good");
        // It may end while this is being sent.
        let _ = client.try_send(fault + &head_of("GET", "/smuggled", &[])).await;
        if let Ok(body) = call.body().await {
            wrong.push(format!("{what}: a complete body arrived: {:?}", body.text()));
        }
        call.close();
        let answered = String::from_utf8_lossy(&client.rest().await).into_owned();
        if answered.contains("HTTP/1.1 2") {
            wrong.push(format!("{what}: answered with {answered:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(nothing_comes(upstream.next()).await, "something was smuggled");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn odd_but_valid_chunks_arrive_whole() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    for body in [
        "5\r\nhello\r\n0\r\n\r\n",
        "0000000000000005\r\nhello\r\n000\r\n\r\n",
        "5;a;b=c;d=\"e f\"\r\nhello\r\n0;z\r\n\r\n",
        "2\r\nhe\r\n003\r\nllo\r\n0\r\nx-a: b\r\n\r\n",
        "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    ] {
        let mut client = gate.client().await;
        client
            .send(head_of("POST", "/", &["Transfer-Encoding: chunked"]) + body + &head_of("GET", "/behind", &[]))
            .await;
        let mut call = soon("the request", upstream.next()).await;
        let arrived = call.body().await.unwrap();
        assert_eq!((call.path(), arrived.text().as_str()), ("/", "hello"), "{body:?}");
        for (name, _) in &arrived.trailers {
            assert!(!["transfer-encoding", "content-length"].contains(&name.as_str()), "{body:?}");
        }
        call.respond(200, "").await;
        client.answer().await;
        let call = soon("the request behind it", upstream.next()).await;
        assert_eq!(call.path(), "/behind", "{body:?}");
        call.respond(200, "").await;
        client.answer().await;
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}
