//! Our own answers in the words of gRPC.
//!
//! A gRPC client looks at the status of HTTP only when there is none of gRPC's. So an answer is *trailers-only*: status
//! 200, no body, and in the head what otherwise comes after it (PROTOCOL-HTTP2 of the gRPC project, "Responses").

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// When to come back, in milliseconds: gRFC A6, "Pushback".
const RETRY_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The content type of a gRPC request (gRPC-Web's too), which an answer has to have as well.
pub(super) fn content_type<B>(request: &Request<B>) -> Option<HeaderValue> {
    if request.method() != Method::POST {
        return None;
    }
    request.headers().get(CONTENT_TYPE).filter(|value| is_grpc_type(value)).cloned()
}

/// Whether a request is one of gRPC's.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(is_grpc_type)
}

fn is_grpc_type(value: &HeaderValue) -> bool {
    value.as_bytes().starts_with(b"application/grpc")
}

/// Says `reason` in the head of an answer.
pub(super) fn set_status(headers: &mut HeaderMap, reason: &'static str, retry_after: Option<u64>) {
    headers.insert(STATUS, HeaderValue::from(status_of(reason)));
    headers.insert(MESSAGE, HeaderValue::from_static(reason));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_PUSHBACK, HeaderValue::from(seconds * 1000));
    }
}

/// gRPC's status code for a reason.
fn status_of(reason: &str) -> u16 {
    match reason {
        "no_permit" | "queue_full" | "queue_timeout" | "evicted" | "flushed" | "key_limit" | "key_queue_full"
        | "body_too_large" => RESOURCE_EXHAUSTED,
        "draining" | "upstream_paused" | "no_endpoint" | "connect_failed" | "upstream_reset" | "upstream_protocol" => {
            UNAVAILABLE
        }
        "upstream_timeout" | "deadline_unmeetable" | "deadline_expired" => DEADLINE_EXCEEDED,
        "cost" => INVALID_ARGUMENT,
        "no_route" => UNIMPLEMENTED,
        _ => INTERNAL,
    }
}

const INVALID_ARGUMENT: u16 = 3;
const DEADLINE_EXCEEDED: u16 = 4;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, content_type: &str) -> Request<()> {
        Request::builder().method(method).header(CONTENT_TYPE, content_type).body(()).unwrap()
    }

    #[test]
    fn a_request_is_grpc_by_its_content_type() {
        for (method, value, grpc) in [
            ("POST", "application/grpc", true),
            ("POST", "application/grpc+proto", true),
            ("POST", "application/grpc-web-text", true),
            ("POST", "application/json", false),
            ("GET", "application/grpc", false),
        ] {
            assert_eq!(content_type(&request(method, value)).is_some(), grpc, "{method} {value}");
        }
    }

    #[test]
    fn a_reason_says_when_to_come_back() {
        let mut headers = HeaderMap::new();
        set_status(&mut headers, "queue_full", Some(3));
        assert_eq!(headers["grpc-status"], "8");
        assert_eq!(headers["grpc-message"], "queue_full");
        assert_eq!(headers["grpc-retry-pushback-ms"], "3000");
        let mut headers = HeaderMap::new();
        set_status(&mut headers, "internal", None);
        assert_eq!((headers["grpc-status"].as_bytes(), headers.len()), (&b"13"[..], 2));
    }
}
