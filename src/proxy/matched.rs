//! What of a request routes are matched with: the one way for requests and for explanations.

use http::Request;
use http::header::HOST;

use crate::route::Table;

/// The host that a request asks for, as it wrote it, and its path.
pub(super) fn target<B>(request: &Request<B>) -> (Option<&str>, &str) {
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(HOST).and_then(|host| host.to_str().ok()),
    };
    (host, request.uri().path())
}

/// The route that takes a request for this host, if any does.
pub(super) fn matched<'t, T, B>(routes: &'t Table<T>, host: Option<&str>, request: &Request<B>) -> Option<&'t T> {
    routes.find(request.method(), host, request.uri().path(), request.headers())
}
