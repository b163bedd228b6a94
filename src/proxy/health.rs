//! Saying whether the proxy wants to be sent requests.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, EXPECT};
use http::{HeaderValue, Request, Response, StatusCode};

use super::arrival::is_costly;
use super::body::Body;
use super::handle::Proxy;
use super::record::Record;
use super::reply::X_REASON;
use super::request_body::RequestBody;

impl Proxy {
    /// Answers a load balancer that asks whether requests are welcome. It asks all the time, so this leaves no line in the
    /// access log.
    pub fn say_health(request: &Request<RequestBody>, draining: bool) -> Response<Body> {
        let (status, text) = match draining {
            false => (StatusCode::OK, "ok\n"),
            true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        };
        let mut response = Response::new(Body::own(Bytes::from_static(text.as_bytes()), Record::UNKEPT));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if draining {
            headers.insert(X_REASON, HeaderValue::from_static("draining"));
        }
        if is_costly(request.body(), request.headers().contains_key(EXPECT)) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
