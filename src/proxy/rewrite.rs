//! What a route changes about its requests and answers because the operator wrote so.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::route::PathPrefix;
use crate::upstream;

/// What a route changes. By default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rewrite {
    /// Taken off the path before the upstream's own path goes before it.
    pub strip_prefix: Option<PathPrefix>,
    /// Fields that its requests get, in place of the client's and over the upstream's.
    pub set_headers: Fields,
    /// Fields that its answers get, in place of the upstream's. On answers of our own, what we say of them stays.
    pub set_response_headers: Fields,
}

/// Names and values, no name twice.
pub type Fields = Vec<(HeaderName, HeaderValue)>;

/// Puts each of `fields` in place of those of its name.
pub(super) fn set(headers: &mut HeaderMap, fields: &[(HeaderName, HeaderValue)]) {
    for (name, value) in fields {
        headers.insert(name.clone(), value.clone());
    }
}

/// Sets what the upstream and the route want their requests to have: the narrower later, and the secrets last.
pub(super) fn set_on_request(headers: &mut HeaderMap, upstream: &upstream::Settings, route: &Rewrite) {
    set(headers, &upstream.set_headers);
    set(headers, &route.set_headers);
    for secret in &upstream.secret_headers {
        headers.insert(secret.name().clone(), secret.value());
    }
}
