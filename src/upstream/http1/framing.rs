//! Where the body of an answer ends (RFC 9112 §6.3), and what is wrong with answers.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{StatusCode, Version};

/// Why what came is no answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub(in crate::upstream) enum Malformed {
    #[error("the head is malformed: {0}")]
    Head(httparse::Error),
    #[error("the head is too large")]
    TooLong,
    #[error("there is no such status")]
    Status,
    #[error("a field is malformed")]
    Field,
    #[error("there are too many interim answers")]
    Interim,
    #[error("its length is no length, or there are several")]
    Length,
    #[error("HTTP/1.0 has no transfer codings")]
    Coding,
    #[error("a chunk is malformed")]
    Chunk,
    #[error("the chunks' extensions are too large")]
    Extension,
    #[error("the trailers are malformed or too large")]
    Trailers,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// How the body behind a head ends. An answer to HEAD has none.
///
/// # Errors
/// Nobody can tell.
pub(super) fn framing(
    status: StatusCode,
    version: Version,
    headers: &HeaderMap,
    head_only: bool,
) -> Result<Framing, Malformed> {
    if head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Length(0));
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Framing::UntilClose);
    }
    if let Some(coding) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        return match version {
            Version::HTTP_10 => Err(Malformed::Coding),
            // Not the last of the codings: then the close is the end.
            _ if !is_chunked(coding) => Ok(Framing::UntilClose),
            _ => Ok(Framing::Chunked),
        };
    }
    let mut length = None;
    for said in headers.get_all(CONTENT_LENGTH) {
        for number in said.as_bytes().split(|byte| *byte == b',') {
            let number = declared_length(number.trim_ascii()).ok_or(Malformed::Length)?;
            if *length.get_or_insert(number) != number {
                return Err(Malformed::Length);
            }
        }
    }
    Ok(length.map_or(Framing::UntilClose, Framing::Length))
}

/// Nobody has more, and whoever counts in signed numbers would be led astray.
const LONGEST: u64 = i64::MAX as u64;

fn is_chunked(coding: &HeaderValue) -> bool {
    let last = coding.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// The length that an answer declares with this.
pub(in crate::upstream) fn declared_length(bytes: &[u8]) -> Option<u64> {
    digits(bytes).filter(|length| *length <= LONGEST)
}

/// A number as HTTP writes it: digits and nothing else.
pub(super) fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
