//! CORS preflights (Fetch §4.8): small questions that browsers ask before a request, and whose answers they wait for.

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{Method, Request};

/// What a CORS preflight takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preflight {
    /// A permit, ahead of every priority.
    #[default]
    First,
    /// A permit, as any other request.
    Count,
    /// None.
    Exempt,
}

/// Whether a request is one.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    *request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preflight_says_who_asks_and_for_what() {
        for (method, fields, expected) in [
            ("OPTIONS", &["origin", "access-control-request-method"][..], true),
            ("OPTIONS", &["origin"][..], false),
            ("OPTIONS", &["access-control-request-method"][..], false),
            ("GET", &["origin", "access-control-request-method"][..], false),
        ] {
            let mut request = Request::builder().method(method);
            for field in fields {
                request = request.header(*field, "x");
            }
            assert_eq!(is_preflight(&request.body(()).unwrap()), expected, "{method} {fields:?}");
        }
    }
}
