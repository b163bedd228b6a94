//! Heads on the wire: a request's out, a response's in.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{StatusCode, Version};
use hyper::ext::ReasonPhrase;

use super::framing::Malformed;

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
pub(super) fn write(parts: &Parts, has_body: bool, framed: bool, out: &mut Vec<u8>) {
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
    if has_body && !framed {
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
/// the buffer.
///
/// # Errors
/// It is none, or too large for one.
pub(super) fn read(input: &mut BytesMut, fields: &mut HeaderMap) -> Result<Begun, Malformed> {
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
    let bytes = input.split_to(len).freeze();
    fields.clear();
    fields.reserve(count);
    let mut connection = None;
    for span in &spans[..count] {
        let (name, value) = field(&bytes, *span)?;
        if name == CONNECTION {
            let said = options(&value);
            connection = Some(connection.map_or(said, |before: Options| before.and(said)));
        }
        fields.append(name, value);
    }
    let keep_alive = match connection.unwrap_or_default() {
        Options { close: true, .. } => false,
        Options { keep_alive, .. } => keep_alive || version == Version::HTTP_11,
    };
    Ok(Begun::Head(Head { status, version, reason, keep_alive }))
}

fn field(bytes: &Bytes, span: Span) -> Result<(HeaderName, HeaderValue), Malformed> {
    let [name, name_end, value, value_end] = span.map(usize::from);
    let name = HeaderName::from_bytes(&bytes[name..name_end]).map_err(|_| Malformed::Field)?;
    // An empty one may stand anywhere, and holds on to nothing.
    let value = if value == value_end { Bytes::new() } else { bytes.slice(value..value_end) };
    Ok((name, HeaderValue::from_maybe_shared(value).map_err(|_| Malformed::Field)?))
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

fn options(value: &HeaderValue) -> Options {
    let has =
        |word: &[u8]| value.as_bytes().split(|byte| *byte == b',').any(|w| w.trim_ascii().eq_ignore_ascii_case(word));
    Options { close: has(b"close"), keep_alive: has(b"keep-alive") }
}
