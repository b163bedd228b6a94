//! A corpus of good and bad answers, cut wherever they can be cut.

use http::Method;
use proptest::prelude::*;

use super::super::chunked::{Chunked, Next};
use super::{End, Outcome, hypers, ours};
use crate::server::StrictChunks;

/// Answers that both make the same of.
const CORPUS: &[&str] = &[
    // Framing.
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more",
    "HTTP/1.1 200 OK\r\n\r\nuntil it closes",
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n0A\r\n0123456789\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0;c\r\nx-sum: 1\r\nx-sum: 2\r\ny:\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \t\r\nhello\r\n0 ;x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: 1\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 5\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno field\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: \u{1}\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    // Lengths.
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5a\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nhello",
    // Statuses.
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\nhello",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 999 Whatever\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 099 Whatever\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 gr\u{fc}n\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 abc OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    // Whether it goes on.
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello",
    // Heads.
    "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-b:2\r\nX-a:   3  \r\nx-c:\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A: \u{e9}\t\u{a0}\"\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno field\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX(A): a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A: \x7f\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9 200 OK\r\n\r\n",
    "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/1.1 200 OK\r\nContent-Le",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
    "H",
    "",
];

/// Where ours is another, and why.
const DIFFERENT: &[(&str, End, &str)] = &[
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000005\r\nhello\r\n0\r\n\r\n",
        End::Failed,
        "a size is sixteen digits at most: whoever sends more wants to see what we do with it",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello",
        End::Failed,
        "a length is a number that fits into 63 bits",
    ),
];

#[test]
fn all_answers_are_what_they_are_to_hyper_wherever_they_are_cut() {
    let mut wrong = Vec::new();
    for method in [Method::GET, Method::HEAD] {
        for answer in CORPUS {
            for closes in [true, false] {
                let bytes = answer.as_bytes();
                let whole = hypers(&method, &[bytes], closes);
                let single: Vec<_> = bytes.chunks(1).collect();
                let agrees = |pieces: &[&[u8]]| ours(&method, pieces, closes) == whole;
                let cut = |at| <[&[u8]; 2]>::from(bytes.split_at(at));
                if !(agrees(&single) && (0..=bytes.len()).all(|at| agrees(&cut(at)))) {
                    let ours = ours(&method, &[bytes], closes);
                    wrong.push(format!("{method} {answer:?}, closed: {closes}:\nours {ours:?}\nhyper's {whole:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn where_ours_is_another_it_is_stricter() {
    for (answer, end, why) in DIFFERENT {
        let Outcome { end: ours, .. } = ours(&Method::GET, &[answer.as_bytes()], false);
        assert_eq!(ours, *end, "{answer:?}: {why}");
        assert_ne!(hypers(&Method::GET, &[answer.as_bytes()], false).end, *end, "{answer:?} is no difference any more");
    }
}

/// How many bytes belong to the body, and whether it has ended.
fn follow(bytes: &[u8]) -> Option<(usize, bool)> {
    let (mut body, mut input) = (Chunked::default(), bytes::BytesMut::from(bytes));
    loop {
        match body.next(&mut input).ok()? {
            Next::Data(_) => {}
            Next::Trailers(_) | Next::End => return Some((bytes.len() - input.len(), true)),
            Next::More => return Some((bytes.len() - input.len(), false)),
        }
    }
}

proptest! {
    /// The one for clients is stricter.
    #[test]
    fn what_a_client_may_send_in_chunks_an_upstream_may(parts in prop::collection::vec(
        prop::sample::select(vec!["5\r\nhello\r\n", "0\r\n", "\r\n", "a", "x: y\r\n", ";z=1\r\n", " ", "1\r\n", "\n", "F\r\n0123456789abcde\r\n"]),
        0..8,
    )) {
        let bytes = parts.concat().into_bytes();
        if let Some(strict) = StrictChunks::follow(&bytes) {
            prop_assert_eq!(follow(&bytes), Some(strict));
        }
    }
}
