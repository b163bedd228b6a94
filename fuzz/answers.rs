//! What we take for an answer of an upstream, hyper's client takes for the same.

use http::Method;

use super::tests::{End, Outcome, hypers, ours};
use crate::fuzz::fuzz;

const SEEDS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: \u{e9}\t\"\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx-a: b\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Well\r\nConnection: close\r\n\r\n",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello",
    "HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n",
];

const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    "\0",
    ":",
    ",",
    ";",
    "0",
    "0\r\n\r\n",
    "chunked",
    "gzip",
    "close",
    "keep-alive",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: ",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/1.1 103 A\r\n\r\n",
    "204",
    "304",
    "x-a: b\r\n",
    "+",
];

#[test]
fn what_is_an_answer_to_us_is_the_same_answer_to_hyper() {
    fuzz("answers", SEEDS, WORDS, |bytes| {
        let closes = bytes.len().is_multiple_of(2);
        let method = if bytes.len().is_multiple_of(3) { Method::HEAD } else { Method::GET };
        let whole = ours(&method, &[bytes], closes);
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(ours(&method, &single, closes), whole, "by the byte");
        let switches = whole.head.as_ref().is_some_and(|(status, ..)| *status == 101);
        // What follows a 101 is up to whoever asked for it.
        if let End::Complete { reusable } = whole.end
            && !switches
        {
            let hypers = hypers(&method, &[bytes], closes);
            // Where hyper does not go on, we may not either.
            let end = End::Complete { reusable: reusable && hypers.end == whole.end };
            assert_eq!(Outcome { end, ..hypers }, whole);
        }
        whole.head.map(|(status, _, fields)| (status, fields.len(), whole.end, whole.trailers.is_some()))
    });
}
