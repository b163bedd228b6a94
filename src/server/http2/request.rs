//! What HTTP/2 lets through and we do not, and what has to look as it does in HTTP/1.

use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request};

use super::super::wire::{MAX_FIELDS, is_host};
use crate::proxy::Refusal;

/// Looks at a request that h2 has found well-formed, and joins what HTTP/2 takes apart.
pub(super) fn accept<B>(request: &mut Request<B>, max_header_bytes: usize) -> Result<(), Refusal> {
    let crumbs = check(request, max_header_bytes)?;
    if crumbs > 1 {
        join_cookies(request.headers_mut());
    }
    Ok(())
}

/// What the fields say that matters here: taken in one look, since most requests have few of them.
#[derive(Default)]
struct Fields<'a> {
    /// What they would be in HTTP/1.
    size: usize,
    host: Option<&'a HeaderValue>,
    length: Option<&'a HeaderValue>,
    crumbs: usize,
    /// Whether there is more than one of those that there may be one of.
    hosts: bool,
    lengths: bool,
}

impl<'a> Fields<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = Fields::default();
        for (name, value) in headers {
            fields.size += name.as_str().len() + value.len() + ": \r\n".len();
            match *name {
                HOST => fields.hosts |= fields.host.replace(value).is_some(),
                CONTENT_LENGTH => fields.lengths |= fields.length.replace(value).is_some(),
                COOKIE => fields.crumbs += 1,
                _ => {}
            }
        }
        fields
    }
}

/// How many crumbs of a cookie there are, if it passes.
fn check<B>(request: &Request<B>, max_header_bytes: usize) -> Result<usize, Refusal> {
    let malformed = |what| Err(Refusal::Malformed(what));
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if method == Method::CONNECT || method == Method::TRACE {
        return malformed("CONNECT and TRACE are not supported.");
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if !(target.starts_with('/') || target == "*" && method == Method::OPTIONS) {
        return malformed("The request's target has bytes or a form that HTTP does not allow.");
    }
    let Fields { size, host, length, crumbs, hosts, lengths } = Fields::of(headers);
    // The head as it would be in HTTP/1: one bound for both.
    let line = method.as_str().len() + target.len() + "  HTTP/1.1\r\n".len();
    if line + size + "\r\n".len() > max_header_bytes {
        return Err(Refusal::HeaderTooLarge);
    }
    if !matches!(uri.scheme_str(), None | Some("http" | "https")) {
        return malformed("The scheme is neither http nor https.");
    }
    let same = match (uri.authority(), host) {
        (Some(authority), host) if is_host(authority.as_str().as_bytes()) => {
            // RFC 9113 §8.3.1: they must not differ.
            host.is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()))
        }
        (None, Some(host)) => is_host(host.as_bytes()),
        _ => false,
    };
    if !same || hosts {
        return malformed("There is not exactly one host.");
    }
    let number = |length: &HeaderValue| !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    if lengths || !length.is_none_or(number) {
        return malformed("The Content-Length is no number, or there are several.");
    }
    // The crumbs of a cookie are one field.
    if headers.len() - crumbs.saturating_sub(1) > MAX_FIELDS {
        return Err(Refusal::HeaderTooLarge);
    }
    Ok(crumbs)
}

/// RFC 9113 §8.2.3: crumbs are joined before they go where HTTP/1 is spoken, and nobody there has to know of it.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let cookie = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).expect("parts of values make a value");
    headers.insert(COOKIE, cookie);
}

#[cfg(test)]
#[path = "../../../fuzz/http2.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(method: &str, uri: &str, fields: &[(&'static str, &str)]) -> String {
        let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        match accept(&mut request, 1 << 12) {
            Ok(()) => "ok".into(),
            Err(Refusal::Malformed(_)) => "400".into(),
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    #[test]
    fn what_http_1_would_refuse_is_refused() {
        let long = "1".repeat(1 << 12);
        for (method, uri, fields, expected) in [
            ("GET", "http://a/b?c", &[][..], "ok"),
            ("GET", "https://a/", &[("host", "A")][..], "ok"),
            ("GET", "/", &[("host", "a")][..], "ok"),
            ("OPTIONS", "*", &[("host", "a")][..], "ok"),
            ("GET", "/", &[][..], "400"),
            ("GET", "http://a/", &[("host", "b")][..], "400"),
            ("GET", "/", &[("host", "a"), ("host", "a")][..], "400"),
            ("GET", "/", &[("host", "u@a")][..], "400"),
            ("GET", "http://u@a/", &[][..], "400"),
            ("GET", "*", &[("host", "a")][..], "400"),
            ("GET", "ftp://a/", &[][..], "400"),
            ("CONNECT", "a:1", &[][..], "400"),
            ("TRACE", "http://a/", &[][..], "400"),
            ("POST", "http://a/", &[("content-length", "1"), ("content-length", "1")][..], "400"),
            ("POST", "http://a/", &[("content-length", "")][..], "400"),
            ("POST", "http://a/", &[("content-length", "+1")][..], "400"),
            ("GET", "http://a/", &[("x", long.as_str())][..], "HeaderTooLarge"),
            ("GET", "http://a/", &[("x", ""); 101][..], "HeaderTooLarge"),
            ("GET", "http://a/", &[("cookie", ""); 101][..], "ok"),
        ] {
            assert_eq!(verdict(method, uri, fields), expected, "{method} {uri} {fields:?}");
        }
    }

    #[test]
    fn crumbs_make_a_cookie() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2", "c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }
}
