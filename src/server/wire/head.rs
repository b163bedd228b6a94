//! Looking at a request's head before hyper does.
//!
//! hyper is lenient where RFC 9112 lets it be, and what it overlooks is gone by the time a service sees the request.
//! A proxy can't be lenient about framing: whoever reads a message differently from the one behind it can be smuggled
//! past. So what can be read in two ways is refused here, and so is what hyper would refuse without a reason.

use bytes::{Buf, BytesMut};
use memchr::{memchr, memchr_iter, memrchr};

use super::chunked::Chunked;
use crate::eights::{any, below, equal};
use crate::proxy::Refusal;

/// What a head says about its message.
#[derive(Debug)]
pub(super) struct Head {
    /// Bytes of the head, with its empty line.
    pub(super) len: usize,
    pub(super) framing: Framing,
    /// Whether it is of HTTP/1.0.
    pub(super) old: bool,
    /// Whether the client wants to go on after this message.
    pub(super) keep_alive: bool,
}

/// Where a message ends.
#[derive(Debug)]
pub(super) enum Framing {
    /// With its head.
    Bodiless,
    /// After so many bytes.
    Length(u64),
    /// Where its chunks end.
    Chunked(Chunked),
}

#[derive(Debug)]
pub(super) enum Scan {
    /// The head has not ended before this offset; look on from there.
    Incomplete(usize),
    Complete(Head),
    Refused(Refusal),
}

/// hyper's own bound on fields.
pub(crate) const MAX_FIELDS: usize = 100;

/// Far below where hyper keeps numbers for itself.
const MAX_LENGTH: u64 = u64::MAX >> 1;

/// Looks at `bytes`, of which the first `seen` were looked at before, for a head of at most `max` bytes.
pub(super) fn scan(bytes: &[u8], seen: usize, max: usize) -> Scan {
    let mut line_start = memrchr(b'\n', &bytes[..seen]).map_or(0, |end| end + 1);
    for at in memchr_iter(b'\n', &bytes[seen..]) {
        let end = seen + at;
        if end == line_start || bytes[end - 1] != b'\r' {
            return malformed("A line of the head does not end in CR LF.");
        }
        if end == line_start + 1 {
            return match end + 1 {
                len if len > max => Scan::Refused(Refusal::HeaderTooLarge),
                len => parse(&bytes[..len]),
            };
        }
        line_start = end + 1;
    }
    if bytes.len() >= max { Scan::Refused(Refusal::HeaderTooLarge) } else { Scan::Incomplete(bytes.len()) }
}

fn malformed(what: &'static str) -> Scan {
    Scan::Refused(Refusal::Malformed(what))
}

/// Reads a whole head, all of whose lines end in CR LF.
fn parse(head: &[u8]) -> Scan {
    let mut lines = Lines(head);
    let version = match lines.next().map(request_line) {
        Some(Ok(version)) => version,
        Some(Err(what)) => return malformed(what),
        None => return malformed("The request line is missing."),
    };
    let mut fields = Fields { keep_alive: version == Version::Http11, ..Fields::default() };
    let mut count = 0;
    for line in lines {
        count += 1;
        if count > MAX_FIELDS {
            return Scan::Refused(Refusal::HeaderTooLarge);
        }
        if let Err(what) = fields.take(line) {
            return malformed(what);
        }
    }
    match fields.framing(version) {
        Ok(framing) => Scan::Complete(Head {
            len: head.len(),
            framing,
            old: version == Version::Http10,
            keep_alive: fields.keep_alive,
        }),
        Err(refusal) => Scan::Refused(refusal),
    }
}

/// The lines of a head without their ends, up to the empty one.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr(b'\n', self.0)?;
        let line = &self.0[..end - 1];
        self.0 = &self.0[end + 1..];
        (!line.is_empty()).then_some(line)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

fn request_line(line: &[u8]) -> Result<Version, &'static str> {
    let (first, last) = match (memchr(b' ', line), memrchr(b' ', line)) {
        (Some(first), Some(last)) if first < last => (first, last),
        _ => return Err("The request line is not `method target version`."),
    };
    let (method, target) = (&line[..first], &line[first + 1..last]);
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err("The method is not a token.");
    }
    if method == b"CONNECT" || method == b"TRACE" {
        return Err("CONNECT and TRACE are not supported.");
    }
    if !is_target(method, target) {
        return Err("The request's target has bytes or a form that HTTP does not allow.");
    }
    match &line[last + 1..] {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ => Err("The version is neither HTTP/1.0 nor HTTP/1.1."),
    }
}

/// Origin form, absolute form, or `*` for OPTIONS (RFC 9112 §3.2). A fragment is none of them.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    // The http crate's own bound.
    if target.len() > usize::from(u16::MAX) - 1 || any(target, |eight| below(eight, b'!') | equal(eight, 0x7f)) {
        return false;
    }
    match target.first() {
        Some(b'/') => {
            let (path, query) = target.split_at(memchr(b'?', target).unwrap_or(target.len()));
            let brackets = |eight| equal(eight, b'<') | equal(eight, b'>') | equal(eight, b'#');
            let clean = !any(path, |eight| brackets(eight) | equal(eight, b'`'))
                && !any(query, |eight| brackets(eight) | equal(eight, b'"'));
            clean && (target.is_ascii() || str::from_utf8(target).is_ok())
        }
        Some(b'*') => target.len() == 1 && method == b"OPTIONS",
        _ => {
            let uri = str::from_utf8(target).ok().filter(|target| !target.contains('#'));
            uri.and_then(|target| target.parse::<http::Uri>().ok()).is_some_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri.authority().is_some_and(|authority| is_host(authority.as_str().as_bytes()))
            })
        }
    }
}

/// What the fields say that matters here.
#[derive(Debug, Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    transfer_encoding: Option<bool>,
    keep_alive: bool,
}

impl Fields {
    fn take(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let colon = memchr(b':', line).ok_or("A field has no colon.")?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        // This also refuses a folded line, which begins with a space, and a space before the colon.
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err("A field's name is not a token.");
        }
        // A tab is rare.
        let is_suspect = any(value, |eight| below(eight, b' ') | equal(eight, 0x7f));
        if is_suspect && !value.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)) {
            return Err("A field's value has a control character in it.");
        }
        // By length first: most fields are none of these.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                if !is_host(value) {
                    return Err("The Host is not a host.");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = str::from_utf8(value).ok().filter(|v| v.bytes().all(|digit| digit.is_ascii_digit()));
                let length: Option<u64> = length.and_then(|digits| digits.parse().ok());
                let length = length.filter(|length| *length <= MAX_LENGTH).ok_or("The Content-Length is no number.")?;
                if self.length.replace(length).is_some() {
                    return Err("There is more than one Content-Length.");
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let chunked = value.eq_ignore_ascii_case(b"chunked") && self.transfer_encoding.is_none();
                self.transfer_encoding = Some(chunked);
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if word.eq_ignore_ascii_case(b"close") {
                        self.keep_alive = false;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112 §6.3, without its leniencies.
    fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        if version == Version::Http11 && self.hosts != 1 || self.hosts > 1 {
            return Err(Refusal::Malformed("There is not exactly one Host."));
        }
        match (self.transfer_encoding, self.length) {
            (Some(_), Some(_)) => Err(Refusal::Malformed("There are both a Transfer-Encoding and a Content-Length.")),
            (Some(_), None) if version == Version::Http10 => {
                Err(Refusal::Malformed("HTTP/1.0 knows no Transfer-Encoding."))
            }
            (Some(true), None) => Ok(Framing::Chunked(Chunked::default())),
            (Some(false), None) => Err(Refusal::TransferCoding),
            (None, Some(0) | None) => Ok(Framing::Bodiless),
            (None, Some(length)) => Ok(Framing::Length(length)),
        }
    }
}

/// Without the white space around it, which is spaces and tabs only (RFC 9110 §5.6.3).
fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// RFC 9110 §5.6.2.
#[inline]
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

static TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");

/// Letters, digits and `others`.
const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// RFC 3986 §3.2.2 and a port, without user information. It may be empty.
pub(crate) fn is_host(value: &[u8]) -> bool {
    static HOST: [bool; 256] = table(b"-._~:[]%!$&'()*+,;=");
    value.iter().all(|byte| HOST[usize::from(*byte)])
}

/// An empty line or two before a request line are ignored (RFC 9112 §2.2).
pub(super) fn skip_empty_lines(held: &mut BytesMut, seen: &mut usize) {
    while *seen <= 1 && held.starts_with(b"\r\n") {
        held.advance(2);
        *seen = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(head: &str) -> String {
        match scan(head.as_bytes(), 0, 1 << 15) {
            Scan::Complete(head) => match head.framing {
                Framing::Bodiless => "none".into(),
                Framing::Length(length) => length.to_string(),
                Framing::Chunked(_) => "chunked".into(),
            },
            Scan::Incomplete(_) => "incomplete".into(),
            Scan::Refused(Refusal::Malformed(_)) => "400".into(),
            Scan::Refused(refusal) => format!("{refusal:?}"),
        }
    }

    #[test]
    fn heads_and_what_becomes_of_them() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n";
        for (head, expected) in [
            (format!("{get}\r\n"), "none"),
            (format!("{get}Content-Length: 5\r\n\r\nhello"), "5"),
            (format!("{get}content-length:0\r\n\r\n"), "none"),
            (format!("{get}Transfer-Encoding: Chunked\r\n\r\n"), "chunked"),
            (get.into(), "incomplete"),
            ("GET / HTTP/1.0\r\n\r\n".into(), "none"),
            ("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n".into(), "none"),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".into(), "none"),
            ("GET /\u{e9}\"?{x} HTTP/1.1\r\nHost: a\r\n\r\n".into(), "none"),
            (format!("{get}X: \u{e9}\t!\r\n\r\n"), "none"),
            // Two readings.
            (format!("{get}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), "400"),
            (format!("{get}Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), "400"),
            (format!("{get}Content-Length: 5, 5\r\n\r\n"), "400"),
            (format!("{get}Content-Length: +5\r\n\r\n"), "400"),
            (format!("{get}Content-Length: 99999999999999999999\r\n\r\n"), "400"),
            (format!("{get}Content-Length: \r\n\r\n").replace(": \r", ":\r"), "400"),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), "400"),
            (format!("{get}X: a\r\n b\r\n\r\n"), "400"),
            (format!("{get}X : a\r\n\r\n"), "400"),
            (format!("{get}X\r\n\r\n"), "400"),
            (format!("{get}: a\r\n\r\n"), "400"),
            (format!("{get}X: a\0b\r\n\r\n"), "400"),
            (format!("{get}X: a\rb\r\n\r\n"), "400"),
            (format!("{get}X: a\x0c\r\n\r\n"), "400"),
            (format!("{get}X: a\r\r\n\r\n"), "400"),
            (format!("{get}Content-Length: 18446744073709551614\r\n\r\n"), "400"),
            ("GET / HTTP/1.1\nHost: a\n\n".into(), "400"),
            (format!("{get}\n"), "400"),
            // Transfer codings that we do not have.
            (format!("{get}Transfer-Encoding: gzip, chunked\r\n\r\n"), "TransferCoding"),
            (format!("{get}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), "TransferCoding"),
            // Not requests.
            ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET  HTTP/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET a HTTP/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET / http/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET /\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\n\r\n".into(), "400"),
            (format!("{get}Host: a\r\n\r\n"), "400"),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".into(), "400"),
            ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            (format!("{get}{}\r\n", "X: 1\r\n".repeat(100)), "HeaderTooLarge"),
            (format!("{get}X: {}\r\n\r\n", "1".repeat(1 << 15)), "HeaderTooLarge"),
        ] {
            assert_eq!(verdict(&head), expected, "{head:?}");
        }
    }

    #[test]
    fn it_makes_no_difference_where_the_bytes_are_cut() {
        let head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
        for cut in 0..head.len() {
            let Scan::Incomplete(seen) = scan(&head[..cut], 0, 1 << 15) else { panic!("complete at {cut}") };
            assert!(
                matches!(scan(head, seen, 1 << 15), Scan::Complete(Head { len, .. }) if len == head.len()),
                "{cut}"
            );
        }
    }

    #[test]
    fn what_passes_here_passes_the_parser_of_targets() {
        for byte in 0..=u8::MAX {
            for target in [vec![b'/', byte, b'a'], vec![b'/', b'?', byte], vec![byte], vec![b'h', b't', byte]] {
                if is_target(b"GET", &target) {
                    assert!(http::Uri::try_from(target.as_slice()).is_ok(), "{:?}", target.escape_ascii().to_string());
                }
            }
        }
    }

    #[test]
    fn close_ends_keep_alive() {
        for (head, keep) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
        ] {
            assert!(matches!(scan(head.as_bytes(), 0, 1 << 15), Scan::Complete(h) if h.keep_alive == keep), "{head:?}");
        }
    }
}
