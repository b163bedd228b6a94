//! A request of HTTP/2 that is accepted is one in HTTP/1, too, when it is written as one.

use http::Request;

use super::super::super::wire::passes_as_head;
use super::accept;
use crate::fuzz::{fields, fuzz};

const SEEDS: &[&str] = &[
    "GET http://a/b?c=d\nx-a: b\ncookie: a=1\ncookie: b=2",
    "POST /a\nhost: a:80\ncontent-length: 5\nte: trailers",
    "OPTIONS *\nhost: [::1]",
    "get https://a.b/%2f//..\nhost: A.B",
];

const WORDS: &[&str] = &[
    "\nhost: a",
    "\ncontent-length: 5",
    "\ncontent-length: +5",
    "\ntransfer-encoding: chunked",
    "http://",
    "https://",
    "@",
    "/",
    "*",
    "?",
    " ",
    ":",
    "\t",
    "CONNECT",
    "TRACE",
    "[::1]",
    "%",
    "\u{e9}",
    "\ncookie: ",
];

#[test]
fn what_is_accepted_from_http_2_is_a_head_of_http_1() {
    fuzz("http2", SEEDS, WORDS, |bytes| {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let space = bytes[..end].iter().position(|byte| *byte == b' ').unwrap_or(end);
        let target = bytes[..end].get(space + 1..).unwrap_or_default();
        let Ok(mut request) = Request::builder().method(&bytes[..space]).uri(target).body(()) else { return "none" };
        *request.headers_mut() = fields(&bytes[end..]);
        // h2 has refused these before.
        if ["connection", "transfer-encoding", "upgrade", "keep-alive"]
            .iter()
            .any(|n| request.headers().contains_key(*n))
        {
            return "h2's";
        }
        if accept(&mut request, 1 << 12).is_err() {
            return "refused";
        }
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let host = request.uri().authority().map(|authority| authority.as_str().as_bytes().to_vec());
        let host = host.or_else(|| request.headers().get("host").map(|host| host.as_bytes().to_vec()));
        let mut head = format!("{} {target} HTTP/1.1\r\nhost: ", request.method()).into_bytes();
        head.extend_from_slice(&host.expect("one was asked for"));
        for (name, value) in request.headers().iter().filter(|(name, _)| *name != "host") {
            head.extend_from_slice(&[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
        }
        head.extend_from_slice(b"\r\n\r\n");
        assert!(passes_as_head(&head), "{}", head.escape_ascii());
        "accepted"
    });
}
