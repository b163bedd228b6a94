//! What HTTP/2 lets through and we do not, and what has to look as it does in HTTP/1.

use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request};

use super::super::wire::{MAX_FIELDS, is_host};
use crate::proxy::Refusal;

/// Looks at a request that h2 has found well-formed, and joins what HTTP/2 takes apart.
pub(super) fn accept<B>(request: &mut Request<B>, max_header_bytes: usize) -> Result<(), Refusal> {
    check(request, max_header_bytes)?;
    join_cookies(request.headers_mut());
    Ok(())
}

fn check<B>(request: &Request<B>, max_header_bytes: usize) -> Result<(), Refusal> {
    let malformed = |what| Err(Refusal::Malformed(what));
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if method == Method::CONNECT || method == Method::TRACE {
        return malformed("CONNECT and TRACE are not supported.");
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if !(target.starts_with('/') || target == "*" && method == Method::OPTIONS) {
        return malformed("The request's target has bytes or a form that HTTP does not allow.");
    }
    if size(method, target, headers) > max_header_bytes {
        return Err(Refusal::HeaderTooLarge);
    }
    if !matches!(uri.scheme_str(), None | Some("http" | "https")) {
        return malformed("The scheme is neither http nor https.");
    }
    let mut hosts = headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next().is_some());
    let same = match (uri.authority(), host) {
        (Some(authority), host) if is_host(authority.as_str().as_bytes()) => {
            // RFC 9113 §8.3.1: they must not differ.
            host.is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()))
        }
        (None, Some(host)) => is_host(host.as_bytes()),
        _ => false,
    };
    if !same || more {
        return malformed("There is not exactly one host.");
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let number = |length: &HeaderValue| !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    if !lengths.next().is_none_or(number) || lengths.next().is_some() {
        return malformed("The Content-Length is no number, or there are several.");
    }
    // The crumbs of a cookie are one field.
    let crumbs = headers.get_all(COOKIE).iter().count().saturating_sub(1);
    if headers.len() - crumbs > MAX_FIELDS {
        return Err(Refusal::HeaderTooLarge);
    }
    Ok(())
}

/// What the head would be in HTTP/1: one bound for both.
fn size(method: &Method, target: &str, headers: &HeaderMap) -> usize {
    let line = method.as_str().len() + target.len() + "  HTTP/1.1\r\n".len();
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + fields.sum::<usize>() + "\r\n".len()
}

/// RFC 9113 §8.2.3: crumbs are joined before they go where HTTP/1 is spoken, and nobody there has to know of it.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if crumbs.nth(1).is_none() {
        return;
    }
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
