//! HTTP/2 requests that would be something else in HTTP/1, or are nothing in either (RFC 9113 §8): none of them reaches an
//! upstream, and the connection's other streams go on where the fault is one stream's own.

use crate::support::http2::{DATA, END_HEADERS, END_STREAM, Frames, GET, GOAWAY, HEADERS, RST_STREAM, frame};
use crate::support::{Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

type Field = (&'static str, &'static str);

const METHOD: Field = (":method", "GET");
const SCHEME: Field = (":scheme", "http");
const PATH: Field = (":path", "/");
const AUTHORITY: Field = (":authority", "a");

/// Heads with nothing behind them.
const HEADS: &[(&str, &[Field])] = &[
    ("no method", &[SCHEME, PATH, AUTHORITY]),
    ("no scheme", &[METHOD, PATH, AUTHORITY]),
    ("no path", &[METHOD, SCHEME, AUTHORITY]),
    ("no authority and no host", &[METHOD, SCHEME, PATH]),
    ("two methods", &[METHOD, (":method", "POST"), SCHEME, PATH, AUTHORITY]),
    ("two paths", &[METHOD, SCHEME, PATH, (":path", "/b"), AUTHORITY]),
    ("two authorities", &[METHOD, SCHEME, PATH, AUTHORITY, (":authority", "b")]),
    ("a pseudo-field behind a field", &[METHOD, SCHEME, AUTHORITY, ("x-a", "b"), PATH]),
    ("a pseudo-field of answers", &[METHOD, SCHEME, PATH, AUTHORITY, (":status", "200")]),
    ("a pseudo-field that nobody knows", &[METHOD, SCHEME, PATH, AUTHORITY, (":x", "y")]),
    ("a method that is no token", &[(":method", "G T"), SCHEME, PATH, AUTHORITY]),
    ("a method that is a line", &[(":method", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET"), SCHEME, PATH, AUTHORITY]),
    ("an empty method", &[(":method", ""), SCHEME, PATH, AUTHORITY]),
    ("CONNECT", &[(":method", "CONNECT"), AUTHORITY]),
    ("CONNECT with a path", &[(":method", "CONNECT"), SCHEME, PATH, AUTHORITY]),
    ("TRACE", &[(":method", "TRACE"), SCHEME, PATH, AUTHORITY]),
    ("an empty path", &[METHOD, SCHEME, (":path", ""), AUTHORITY]),
    ("a path without a slash", &[METHOD, SCHEME, (":path", "a"), AUTHORITY]),
    ("a star for GET", &[METHOD, SCHEME, (":path", "*"), AUTHORITY]),
    ("a space in the path", &[METHOD, SCHEME, (":path", "/a HTTP/1.1"), AUTHORITY]),
    ("a line end in the path", &[METHOD, SCHEME, (":path", "/ HTTP/1.1\r\nx: y\r\n\r\n"), AUTHORITY]),
    ("NUL in the path", &[METHOD, SCHEME, (":path", "/\0"), AUTHORITY]),
    ("another scheme", &[METHOD, (":scheme", "ftp"), PATH, AUTHORITY]),
    ("a scheme that is a URL", &[METHOD, (":scheme", "http://b/?"), PATH, AUTHORITY]),
    ("a user in the authority", &[METHOD, SCHEME, PATH, (":authority", "u@a")]),
    ("a path in the authority", &[METHOD, SCHEME, PATH, (":authority", "a/b")]),
    ("an authority that is a line", &[METHOD, SCHEME, PATH, (":authority", "a\r\nx: y")]),
    ("a host that is not the authority", &[METHOD, SCHEME, PATH, AUTHORITY, ("host", "b")]),
    ("two hosts", &[METHOD, SCHEME, PATH, ("host", "a"), ("host", "a")]),
    ("a name in upper case", &[METHOD, SCHEME, PATH, AUTHORITY, ("X-A", "b")]),
    ("an empty name", &[METHOD, SCHEME, PATH, AUTHORITY, ("", "b")]),
    ("a name with a colon", &[METHOD, SCHEME, PATH, AUTHORITY, ("x-a:", "b")]),
    ("a name with a space", &[METHOD, SCHEME, PATH, AUTHORITY, ("x a", "b")]),
    ("a name that is a line", &[METHOD, SCHEME, PATH, AUTHORITY, ("x: y\r\nz", "b")]),
    ("a line end in a value", &[METHOD, SCHEME, PATH, AUTHORITY, ("x-a", "b\r\nx: y")]),
    ("a lone LF in a value", &[METHOD, SCHEME, PATH, AUTHORITY, ("x-a", "b\nx: y")]),
    ("a lone CR in a value", &[METHOD, SCHEME, PATH, AUTHORITY, ("x-a", "b\rx: y")]),
    ("NUL in a value", &[METHOD, SCHEME, PATH, AUTHORITY, ("x-a", "b\0")]),
    ("connection", &[METHOD, SCHEME, PATH, AUTHORITY, ("connection", "close")]),
    ("keep-alive", &[METHOD, SCHEME, PATH, AUTHORITY, ("keep-alive", "timeout=5")]),
    ("proxy-connection", &[METHOD, SCHEME, PATH, AUTHORITY, ("proxy-connection", "close")]),
    ("transfer-encoding", &[METHOD, SCHEME, PATH, AUTHORITY, ("transfer-encoding", "chunked")]),
    ("upgrade", &[METHOD, SCHEME, PATH, AUTHORITY, ("upgrade", "websocket")]),
    ("te that is not trailers", &[METHOD, SCHEME, PATH, AUTHORITY, ("te", "gzip")]),
    ("a length of something that has nothing", &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "5")]),
    ("two lengths", &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "0"), ("content-length", "0")]),
    ("a signed length", &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "+0")]),
    ("a list of lengths", &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "0, 0")]),
    ("an empty length", &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "")]),
];

#[tokio::test]
async fn a_head_that_is_none_in_http_1_reaches_no_upstream() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).in_front_of(&upstream).await;
    let mut wrong = Vec::new();
    for (what, fields) in HEADS {
        let mut frames = Frames::connect(gate.address).await;
        frames.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields))).await;
        match outcome(&mut frames).await {
            Outcome::Refused => {}
            // Of one stream only: the next one is served.
            Outcome::Reset | Outcome::Answered => {
                frames.send(&frame(HEADERS, END_STREAM | END_HEADERS, 3, GET)).await;
                match tokio::time::timeout(std::time::Duration::from_secs(5), upstream.next()).await {
                    Ok(call) if call.head.all("host") == ["a"] && !call.head.has("x") => call.respond(200, "").await,
                    Ok(call) => wrong.push(format!("{what}: {:?} reached the upstream", call.head)),
                    Err(_) => wrong.push(format!("{what}: the next request did not reach the upstream")),
                }
            }
            Outcome::Wrong(how) => wrong.push(format!("{what}: {how}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(nothing_comes(upstream.next()).await, "something else reached the upstream");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_never_looks_complete() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).in_front_of(&upstream).await;
    let head = block(&[(":method", "POST"), SCHEME, PATH, AUTHORITY, ("content-length", "5")]);
    let trailer = block(&[("x-sum", "1")]);
    let pseudo = block(&[(":path", "/b")]);
    for (what, last) in [
        ("too short", frame(DATA, END_STREAM, 1, b"six")),
        ("too long", frame(DATA, END_STREAM, 1, b"hello!")),
        ("too short before trailers", frame(HEADERS, END_STREAM | END_HEADERS, 1, &trailer)),
        ("a pseudo-field as a trailer", frame(HEADERS, END_STREAM | END_HEADERS, 1, &pseudo)),
        ("trailers that do not end it", frame(HEADERS, END_HEADERS, 1, &trailer)),
    ] {
        let mut frames = Frames::connect(gate.address).await;
        frames.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
        let mut call = soon("the request", upstream.next()).await;
        frames.send(&last).await;
        let arrived = call.body().await;
        assert!(arrived.is_err(), "{what}: {arrived:?}");
        call.close();
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

enum Outcome {
    /// The connection has ended.
    Refused,
    Reset,
    /// By us, with a 400.
    Answered,
    Wrong(String),
}

/// What becomes of the first stream.
async fn outcome(frames: &mut Frames) -> Outcome {
    loop {
        match frames.next().await {
            None | Some((GOAWAY, ..)) => return Outcome::Refused,
            Some((RST_STREAM, _, 1, _)) => return Outcome::Reset,
            // The entry of HPACK's static table that says 400.
            Some((HEADERS, _, 1, block)) => match block.first() {
                Some(0x8c) => return Outcome::Answered,
                _ => return Outcome::Wrong(format!("answered: {}", block.escape_ascii())),
            },
            Some(_) => {}
        }
    }
}

/// Fields in HPACK, each a literal that is not indexed (RFC 7541 §6.2.2).
fn block(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|len| *len < 127).expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}
