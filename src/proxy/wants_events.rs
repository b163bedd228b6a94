//! Who can be told of its wait by events.

use http::header::{ACCEPT, CONTENT_TYPE, EXPECT};
use http::{HeaderValue, Method, Request};
use http_body::Body;
use serde::Deserialize;

use super::queue_events::is_event_stream;
use super::request_ahead::Ahead;
use crate::upstream::headers::requested_upgrade;

/// Whether a request asks for an event stream: by its `Accept`, or by a JSON body, read whole, with `"stream": true`.
///
/// One that has asked for something else before its answer, or instead of it, can't have the answer begun for it.
pub(super) fn wants_events<B: Body>(request: &Request<B>, ahead: Option<&Ahead>) -> bool {
    let headers = request.headers();
    let whole = request.body().is_end_stream();
    let fit = *request.method() != Method::HEAD
        && requested_upgrade(headers).is_none()
        && (whole || !headers.contains_key(EXPECT));
    let json = || ahead.is_some() && whole && headers.get(CONTENT_TYPE).is_some_and(is_json);
    fit && (headers.get_all(ACCEPT).iter().any(names_event_stream) || json() && ahead.is_some_and(asks_for_stream))
}

fn names_event_stream(accept: &HeaderValue) -> bool {
    let ranges = accept.as_bytes().split(|byte| *byte == b',');
    ranges.filter_map(|range| HeaderValue::from_bytes(range).ok()).any(|range| is_event_stream(&range))
}

fn is_json(value: &HeaderValue) -> bool {
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json" || essence.ends_with(b"+json")
}

/// What we look for in a body.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    stream: bool,
}

fn asks_for_stream(ahead: &Ahead) -> bool {
    let data = ahead.data().trim_ascii_start();
    // An array would be read as the fields of an object.
    data.starts_with(b"{") && serde_json::from_slice::<Asked>(data).is_ok_and(|asked| asked.stream)
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::*;

    fn wants(method: &str, fields: &[(&'static str, &str)], body: Option<&'static str>) -> bool {
        let mut request = Request::builder().method(method).body(Empty::<bytes::Bytes>::new()).unwrap();
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        wants_events(&request, body.map(Ahead::of).as_ref())
    }

    #[test]
    fn accept_names_it() {
        for (value, expected) in [
            ("text/event-stream", true),
            ("application/json, Text/Event-Stream;q=0.5", true),
            ("*/*", false),
            ("text/*", false),
            ("text/event-streams", false),
        ] {
            assert_eq!(wants("GET", &[("accept", value)], None), expected, "{value}");
        }
        assert!(!wants("HEAD", &[("accept", "text/event-stream")], None));
        let upgrade = [("accept", "text/event-stream"), ("connection", "upgrade"), ("upgrade", "x")];
        assert!(!wants("GET", &upgrade, None));
    }

    #[test]
    fn a_json_body_asks_for_it() {
        for (content_type, body, expected) in [
            ("application/json", r#"{"model": "m", "stream": true}"#, true),
            ("application/vnd.x+json; charset=utf-8", r#" {"stream":true}"#, true),
            ("text/plain", r#"{"stream": true}"#, false),
            ("application/json", r#"{"stream": false}"#, false),
            ("application/json", r#"{"a": {"stream": true}}"#, false),
            ("application/json", r#"{"stream": "true"}"#, false),
            ("application/json", "[true]", false),
            ("application/json", r#"{"stream": true"#, false),
            ("application/json", "", false),
        ] {
            assert_eq!(wants("POST", &[("content-type", content_type)], Some(body)), expected, "{body}");
        }
    }
}
