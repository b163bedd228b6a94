//! Requests that never become one.

use http::StatusCode;

/// Why the server refuses what a client sent, before or instead of routing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The head or the framing is not valid HTTP, or can be read in two ways.
    Malformed(&'static str),
    /// A transfer coding other than `chunked` alone.
    TransferCoding,
    /// The head is larger than `max_header_bytes`, or has more than a hundred fields.
    HeaderTooLarge,
    /// The body is larger than `max_body`.
    BodyTooLarge,
    /// The head, or the rest of the body, did not come in time.
    Timeout,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
            Refusal::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Refusal::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }
}
