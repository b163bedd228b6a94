//! The fields that concern one connection only, and must not be passed on (RFC 9110 §7.6.1).

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};

/// Connection-specific whether or not `Connection` names them.
static HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];
const CONNECTION_INDEX: usize = 0;

/// Removes the fields of the connection that the message came on, and those that its `Connection` fields name.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none of them or one, and looking is cheaper than removing.
    let present = headers.keys().filter_map(hop_by_hop).fold(0_u8, |present, index| present | 1 << index);
    if present == 0 {
        return;
    }
    if present & 1 << CONNECTION_INDEX != 0 {
        let nominated: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(tokens)
            .filter(|token| !token.eq_ignore_ascii_case(b"close") && !token.eq_ignore_ascii_case(b"keep-alive"))
            .filter_map(|token| HeaderName::from_bytes(token).ok())
            .collect();
        for name in nominated {
            headers.remove(name);
        }
    }
    for (index, name) in HOP_BY_HOP.iter().enumerate() {
        if present & 1 << index != 0 {
            headers.remove(name);
        }
    }
}

/// Whether a field is connection-specific, `Connection` naming it or not.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    hop_by_hop(name).is_some()
}

/// Which of [`HOP_BY_HOP`] it is. Most names are told by their length.
fn hop_by_hop(name: &HeaderName) -> Option<usize> {
    let candidates: &[usize] = match name.as_str().len() {
        2 => &[4],
        7 => &[6],
        10 => &[CONNECTION_INDEX, 1],
        14 => &[3],
        16 => &[2],
        17 => &[5],
        _ => &[],
    };
    candidates.iter().copied().find(|index| HOP_BY_HOP[*index] == *name)
}

/// Whether the sender takes trailers: the one word of `TE` that concerns the next hop as well.
pub fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(TE).iter().flat_map(tokens).any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

/// Says that we take trailers (RFC 9110 §10.1.4: `TE` comes with its connection option).
pub fn accept_trailers(headers: &mut HeaderMap) {
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONNECTION, HeaderValue::from_static("te"));
}

/// The protocols that the sender wants to go on with, where its `Connection` says so too (RFC 9110 §7.8). Not h2c: that
/// is spoken by prior knowledge only (RFC 9113 §3.1), and the request is served as it is.
pub fn requested_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocols = headers.get(UPGRADE)?;
    let nominated =
        headers.get_all(CONNECTION).iter().flat_map(tokens).any(|word| word.eq_ignore_ascii_case(b"upgrade"));
    (nominated && !protocols.as_bytes().eq_ignore_ascii_case(b"h2c")).then(|| protocols.clone())
}

/// Asks for, or agrees to, another protocol.
pub fn upgrade(headers: &mut HeaderMap, protocols: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocols);
}

/// The members of a comma-separated list.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn connection_fields_and_those_they_name_are_removed() {
        let mut fields = headers(&[
            ("connection", "close, x-secret"),
            ("connection", " X-Other ,,keep-alive"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("x-kept", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("proxy-connection", "close"),
        ]);
        remove_hop_by_hop(&mut fields);
        assert_eq!(fields, headers(&[("x-kept", "3")]));
    }

    #[test]
    fn those_that_are_looked_for_are_those_that_are_removed() {
        for (index, name) in HOP_BY_HOP.iter().enumerate() {
            assert_eq!(hop_by_hop(name), Some(index), "{name}");
        }
        for name in ["connections", "host", "x", "content-encodings"] {
            assert!(!is_hop_by_hop(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn trailers_are_found_among_the_words_of_te() {
        assert!(accepts_trailers(&headers(&[("te", "deflate"), ("te", "gzip, Trailers")])));
        assert!(!accepts_trailers(&headers(&[("te", "deflate")])));
    }
}
