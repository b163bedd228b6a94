//! Heads on the wire: a request's out, a response's in.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{StatusCode, Version};
use hyper::ext::ReasonPhrase;

use super::framing::Malformed;
use super::input::take;
use super::sending::is_framed;

/// The head of an answer, but for its fields.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    /// Where it is not the usual one.
    pub(super) reason: Option<ReasonPhrase>,
    /// Whether the upstream means to keep the connection open behind it.
    pub(super) keep_alive: bool,
}

/// What of the answer's beginning has come.
#[derive(Debug)]
pub(super) enum Begun {
    Head(Head),
    /// An interim answer, which nobody wants and which is gone.
    Interim,
    /// Not all of it.
    Partial,
}

/// No head is larger than that, and none has more fields.
pub(super) const MAX_HEAD: usize = 32 << 10;
const MAX_FIELDS: usize = 100;

/// Writes a request's head behind what is in `out`. Without a body no coding is named for it; where there is one that
/// nothing frames, it is to go in chunks.
pub(super) fn write(parts: &Parts, has_body: bool, out: &mut Vec<u8>) {
    let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    for part in [parts.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in &parts.headers {
        if *name == TRANSFER_ENCODING && !has_body {
            continue;
        }
        write_field(name, value, out);
    }
    if has_body && !is_framed(&parts.headers) {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

pub(super) fn write_field(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Where a field stands: its name and its value, from and to. A head's length fits.
type Span = [u16; 4];

/// Takes the head of an answer, with the blank line behind it, off `input`. `fields` is emptied and filled; the values share
/// a buffer. A `Connection` that says no more than whether the connection goes on is not among them.
///
/// # Errors
/// It is none, or too large for one.
pub(super) fn read(
    input: &mut BytesMut,
    detached: bool,
    known: &mut Known,
    fields: &mut HeaderMap,
) -> Result<Begun, Malformed> {
    let mut spans: [Span; MAX_FIELDS] = [[0; 4]; MAX_FIELDS];
    let mut uninit = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let start = input.as_ptr() as usize;
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, input, &mut uninit)
        .map_err(Malformed::Head)?;
    let len = match parsed {
        httparse::Status::Complete(len) if len <= MAX_HEAD => len,
        httparse::Status::Partial if input.len() < MAX_HEAD => return Ok(Begun::Partial),
        _ => return Err(Malformed::TooLong),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed::Status)?;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        input.advance(len);
        return Ok(Begun::Interim);
    }
    let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let reason = response.reason.filter(|reason| Some(*reason) != status.canonical_reason());
    let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());
    let count = response.headers.len();
    for (span, field) in spans.iter_mut().zip(&*response.headers) {
        // Both lie within the input, at less than MAX_HEAD.
        let at = |part: &[u8]| (part.as_ptr() as usize).wrapping_sub(start) as u16;
        let (name, value) = (at(field.name.as_bytes()), at(field.value));
        *span = [name, name + field.name.len() as u16, value, value + field.value.len() as u16];
    }
    let bytes = take(input, len, detached);
    fields.clear();
    fields.reserve(count);
    let mut connection = None;
    for (at, span) in spans[..count].iter().enumerate() {
        let (name, value) = field(&bytes, *span, |name| known.name(at, name))?;
        if name == CONNECTION {
            let said = options(&value);
            connection = Some(connection.map_or(said, |before: Options| before.and(said)));
            if is_ours_alone(&value) {
                continue;
            }
        }
        fields.append(name, value);
    }
    let keep_alive = match connection.unwrap_or_default() {
        Options { close: true, .. } => false,
        Options { keep_alive, .. } => keep_alive || version == Version::HTTP_11,
    };
    Ok(Begun::Head(Head { status, version, reason, keep_alive }))
}

fn field(
    bytes: &Bytes,
    [name, name_end, value, value_end]: Span,
    named: impl FnOnce(&[u8]) -> Result<HeaderName, Malformed>,
) -> Result<(HeaderName, HeaderValue), Malformed> {
    let [name, name_end, value, value_end] = [name, name_end, value, value_end].map(usize::from);
    let name = named(&bytes[name..name_end])?;
    // An empty one may stand anywhere, and holds on to nothing.
    let value = if value == value_end { Bytes::new() } else { bytes.slice(value..value_end) };
    Ok((name, HeaderValue::from_maybe_shared(value).map_err(|_| Malformed::Field)?))
}

/// The names of the fields of the last answer on a connection, in their order and as they were written. The next one nearly
/// always has the same, and to see that takes less than to read a name.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<(Box<[u8]>, HeaderName)>);

/// No more names are kept for a connection, and none that are longer.
const MAX_KNOWN: usize = 16;
const MAX_KNOWN_NAME: usize = 64;

impl Known {
    /// The name of the field that is so far behind the first.
    #[inline]
    fn name(&mut self, at: usize, written: &[u8]) -> Result<HeaderName, Malformed> {
        match self.0.get(at) {
            Some((before, name)) if **before == *written => Ok(name.clone()),
            _ => self.read(at, written),
        }
    }

    fn read(&mut self, at: usize, written: &[u8]) -> Result<HeaderName, Malformed> {
        let name = HeaderName::from_bytes(written).map_err(|_| Malformed::Field)?;
        if written.len() <= MAX_KNOWN_NAME && at < MAX_KNOWN && at <= self.0.len() {
            let known = (written.into(), name.clone());
            match self.0.get_mut(at) {
                Some(before) => *before = known,
                None => self.0.push(known),
            }
        }
        Ok(name)
    }
}

/// What the fields `Connection` say.
#[derive(Debug, Clone, Copy, Default)]
struct Options {
    close: bool,
    keep_alive: bool,
}

impl Options {
    fn and(self, other: Options) -> Options {
        Options { close: self.close || other.close, keep_alive: self.keep_alive || other.keep_alive }
    }
}

/// Whether it says something to us, and names nothing that others would have to know of. Most do, and what is not put there
/// has to be taken out by nobody.
fn is_ours_alone(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

fn options(value: &HeaderValue) -> Options {
    let has =
        |word: &[u8]| value.as_bytes().split(|byte| *byte == b',').any(|w| w.trim_ascii().eq_ignore_ascii_case(word));
    Options { close: has(b"close"), keep_alive: has(b"keep-alive") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_own_names_whatever_the_last_one_had() {
        let long = "x".repeat(MAX_KNOWN_NAME + 1);
        let many: Vec<String> = (0..MAX_KNOWN + 4).map(|n| format!("X-Many-{n}")).collect();
        let mut known = Known::default();
        for names in [
            &["Server", "Date"][..],
            &["server", "DATE", "x-own", &long],
            &["date", "server"],
            &[&long, "x-own", "X-Owned"],
            &many.iter().map(String::as_str).collect::<Vec<_>>(),
            &["x-own"],
        ] {
            for _ in 0..2 {
                let lines: String = names.iter().map(|name| format!("{name}: value\r\n")).collect();
                let mut input = BytesMut::from(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes());
                let mut fields = HeaderMap::new();
                assert!(matches!(read(&mut input, false, &mut known, &mut fields), Ok(Begun::Head(_))), "{names:?}");
                let expected: Vec<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
                assert_eq!(fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), expected);
                assert!(known.0.len() <= MAX_KNOWN && known.0.iter().all(|(name, _)| name.len() <= MAX_KNOWN_NAME));
            }
        }
    }

    #[test]
    fn what_connection_says_to_the_reader_alone_is_not_passed_on() {
        for (value, passed_on) in [("close", false), ("Keep-Alive", false), ("upgrade", true), ("close, x-a", true)] {
            let mut input = BytesMut::from(format!("HTTP/1.1 200 OK\r\nConnection: {value}\r\n\r\n").as_bytes());
            let mut fields = HeaderMap::new();
            let Ok(Begun::Head(head)) = read(&mut input, false, &mut Known::default(), &mut fields) else {
                panic!("{value}")
            };
            assert_eq!(fields.contains_key(CONNECTION), passed_on, "{value}");
            assert_eq!(head.keep_alive, !value.starts_with("close"), "{value}");
        }
    }
}
