//! What a request says of its way: who asked for what, through whom, and when.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{FORWARDED, HOST, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use super::census::{Census, Field};
use super::client::Client;
use super::seldom::Seldom;
use crate::digits;
use crate::upstream::Forwarded;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");

/// Writes the forwarded fields as `mode` says: by default, appended to what a trusted peer sent, and in place of what
/// anybody else did.
///
/// `host` is what the client asked for, and `census` what it came with. Returns whether somebody who is not trusted said for whom it asks, which is not
/// passed on where it would have been of a trusted peer.
pub(super) fn set_forwarded(
    headers: &mut HeaderMap,
    client: &Client,
    host: Option<&HeaderValue>,
    mode: Forwarded,
    census: Census,
) -> bool {
    let mut disbelieved = false;
    if mode == Forwarded::Off {
        for name in [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, FORWARDED] {
            headers.remove(name);
        }
    } else if mode == Forwarded::Append && client.is_trusted() {
        let chain = match joined(headers, &X_FORWARDED_FOR) {
            Some(chain) => concat(&[&chain, b", ", client.address.as_bytes()]),
            None => client.address.clone(),
        };
        headers.insert(X_FORWARDED_FOR, chain);
        headers.entry(X_FORWARDED_PROTO).or_insert(scheme(client));
        if let Some(host) = host {
            headers.entry(X_FORWARDED_HOST).or_insert_with(|| host.clone());
        }
    } else {
        disbelieved = headers.insert(X_FORWARDED_FOR, client.address.clone()).is_some() && mode == Forwarded::Append;
        headers.insert(X_FORWARDED_PROTO, scheme(client));
        match host {
            Some(host) => headers.insert(X_FORWARDED_HOST, host.clone()),
            None => headers.remove(X_FORWARDED_HOST),
        };
        if census.has(Field::Forwarded) {
            headers.remove(FORWARDED);
        }
    }
    disbelieved
}

fn scheme(client: &Client) -> HeaderValue {
    // Looked at once, when it is compiled.
    match client.scheme {
        "https" => const { HeaderValue::from_static("https") },
        _ => const { HeaderValue::from_static("http") },
    }
}

/// Says once a minute that a peer is not believed: a load balancer whose address is not among the trusted ones is one
/// client to us, for keys and in every log.
pub(super) fn warn_of_disbelief(client: &Client, now: SystemTime) {
    static SAID: Seldom = Seldom::new();
    if SAID.is_time(now) {
        let peer = client.address.to_str().unwrap_or_default();
        tracing::warn!(
            peer,
            "a peer that is not in server.trusted_proxies sends x-forwarded-for, which is replaced; if it is a load \
             balancer of yours, add it there"
        );
    }
}

/// Adds us to `Via` (RFC 9110 §7.6.3).
pub(super) fn append_via(headers: &mut HeaderMap, version: http::Version, census: Census) {
    let received = match version {
        http::Version::HTTP_2 => const { HeaderValue::from_static("2.0 sluicegate") },
        http::Version::HTTP_10 => const { HeaderValue::from_static("1.0 sluicegate") },
        _ => const { HeaderValue::from_static("1.1 sluicegate") },
    };
    let via = match census.has(Field::Via).then(|| joined(headers, &VIA)).flatten() {
        Some(before) => concat(&[&before, b", ", received.as_bytes()]),
        None => received,
    };
    headers.insert(VIA, via);
}

/// Tells application monitoring when the request arrived here, so that it shows the queue.
pub(super) fn set_request_start(headers: &mut HeaderMap, client: &Client, arrived: SystemTime) {
    if client.is_trusted() && headers.contains_key(X_REQUEST_START) {
        return;
    }
    headers.insert(X_REQUEST_START, request_start(arrived));
}

/// `t=` and the milliseconds of Unix time.
fn request_start(arrived: SystemTime) -> HeaderValue {
    // As long as it is until the year 2286: what fits needs no more memory to be shared.
    let mut text = Vec::with_capacity(15);
    text.extend_from_slice(b"t=");
    digits::push(&mut text, arrived.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64);
    once(HeaderValue::from_maybe_shared(Bytes::from(text)).expect("digits"))
}

/// A value that hardly ever comes again. HTTP/2 is told to keep it out of the table of fields (RFC 7541 §6.2.3): it would push
/// out what does come again, and each new one would be compared with all before it.
pub(super) fn once(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// The client's request id, if it is at most 128 visible ASCII characters.
pub(super) fn client_request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(X_REQUEST_ID)?;
    ((1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)).then(|| once(id.clone()))
}

/// 128 random bits.
pub(super) fn new_request_id() -> HeaderValue {
    let id = HeaderValue::from_bytes(&digits::hex::<16, 32>(fastrand::u128(..).to_be_bytes()));
    once(id.expect("hexadecimal digits"))
}

/// The host that a request is for: of its target if that has one, else of its `Host` field (RFC 9112 §3.2.2).
pub(super) fn requested_host<B>(request: &Request<B>) -> Option<HeaderValue> {
    match request.uri().authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => request.headers().get(HOST).cloned(),
    }
}

/// All values of a field as one list.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut values = headers.get_all(name).iter();
    let mut list = values.next()?.as_bytes().to_vec();
    for value in values {
        list.extend_from_slice(b", ");
        list.extend_from_slice(value.as_bytes());
    }
    Some(list)
}

fn concat(parts: &[&[u8]]) -> HeaderValue {
    HeaderValue::from_bytes(&parts.concat()).expect("parts of values make a value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::TrustedProxies;

    fn client(trusted: bool) -> Client {
        let networks = if trusted { vec!["192.0.2.0/24".parse().unwrap()] } else { Vec::new() };
        Client::new("192.0.2.1".parse().unwrap(), &TrustedProxies::new(networks))
    }

    fn spoofed() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "203.0.113.9".parse().unwrap());
        headers.append("x-forwarded-for", "198.51.100.1".parse().unwrap());
        headers.append("x-forwarded-proto", "https".parse().unwrap());
        headers.append("forwarded", "for=203.0.113.9".parse().unwrap());
        headers
    }

    fn forward(headers: &mut HeaderMap, client: &Client, host: Option<&HeaderValue>, mode: Forwarded) -> bool {
        let census = Census::of(headers);
        set_forwarded(headers, client, host, mode, census)
    }

    fn via(headers: &mut HeaderMap, version: http::Version) {
        let census = Census::of(headers);
        append_via(headers, version, census);
    }

    #[test]
    fn fields_of_an_untrusted_peer_are_replaced() {
        let mut headers = spoofed();
        let host = HeaderValue::from_static("api.test");
        assert!(forward(&mut headers, &client(false), Some(&host), Forwarded::Append));
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "api.test");
        assert!(!headers.contains_key("forwarded"));
    }

    #[test]
    fn fields_of_a_trusted_peer_are_appended_to() {
        let mut headers = spoofed();
        let host = HeaderValue::from_static("api.test");
        assert!(!forward(&mut headers, &client(true), Some(&host), Forwarded::Append));
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 198.51.100.1, 192.0.2.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["forwarded"], "for=203.0.113.9");
    }

    #[test]
    fn fields_of_a_trusted_peer_are_replaced_or_removed_where_that_is_asked_for() {
        let mut headers = spoofed();
        let host = HeaderValue::from_static("api.test");
        assert!(!forward(&mut headers, &client(true), Some(&host), Forwarded::Replace));
        assert_eq!((&headers["x-forwarded-for"], headers.len()), (&HeaderValue::from_static("192.0.2.1"), 3));
        for trusted in [true, false] {
            let mut headers = spoofed();
            forward(&mut headers, &client(trusted), None, Forwarded::Off);
            assert!(headers.is_empty(), "{headers:?}");
        }
    }

    #[test]
    fn a_request_id_is_kept_only_if_it_is_short_and_visible() {
        let id = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            client_request_id(&headers)
        };
        assert_eq!(id("abc-123").unwrap(), "abc-123");
        assert_eq!(id(&"x".repeat(128)).unwrap().len(), 128);
        for bad in ["", "has space", "\u{e9}", &"x".repeat(129)] {
            assert_eq!(id(bad), None, "{bad:?}");
        }
        assert_eq!(new_request_id().len(), 32);
        assert_ne!(new_request_id(), new_request_id());
        assert!(id("a").unwrap().is_sensitive() && new_request_id().is_sensitive());
    }

    #[test]
    fn a_request_starts_at_a_number_of_milliseconds() {
        for millis in [0, 9, 10, 1_700_000_000_123, u64::MAX / 1_000_000 * 1_000] {
            let arrived = UNIX_EPOCH + std::time::Duration::from_millis(millis);
            assert_eq!(request_start(arrived), format!("t={millis}"));
        }
    }

    #[test]
    fn via_grows() {
        let mut headers = HeaderMap::new();
        via(&mut headers, http::Version::HTTP_10);
        via(&mut headers, http::Version::HTTP_11);
        assert_eq!(headers["via"], "1.0 sluicegate, 1.1 sluicegate");
    }
}
