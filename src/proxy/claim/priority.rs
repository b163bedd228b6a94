//! How important a request is, as its client says.

use http::{HeaderMap, HeaderName};

use crate::admission::Level;

const X_REQUEST_PRIORITY: HeaderName = HeaderName::from_static("x-request-priority");
/// RFC 9218 §4.
const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// The level that the fields ask for, if one does. Our own field comes first; what can't be read says nothing.
pub(in crate::proxy) fn asked(headers: &HeaderMap) -> Option<Level> {
    let own = headers.get(X_REQUEST_PRIORITY).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    own.or_else(|| headers.get(PRIORITY).and_then(|value| of_urgency(urgency(value.to_str().ok()?)?)))
}

/// `u` of a dictionary (RFC 9651 §3.2): the last one counts. Other members play no part.
fn urgency(dictionary: &str) -> Option<u8> {
    let members = dictionary.split(',').map(|member| member.split(';').next().unwrap_or_default().trim());
    let urgency = members.filter_map(|member| member.strip_prefix("u=")).next_back()?;
    // Integers have no plus sign there (§3.3.1).
    if urgency.starts_with('+') { None } else { urgency.parse().ok() }
}

/// Eight urgencies, of which 3 is what everybody has who says nothing.
fn of_urgency(urgency: u8) -> Option<Level> {
    Some(match urgency {
        0 => Level::Critical,
        1 | 2 => Level::High,
        3 => Level::Normal,
        4 | 5 => Level::Low,
        6 | 7 => Level::Background,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_asked_for_in_two_ways() {
        for (name, value, level) in [
            ("x-request-priority", "high", Some(Level::High)),
            ("x-request-priority", " background ", Some(Level::Background)),
            ("x-request-priority", "urgent", None),
            ("priority", "u=0", Some(Level::Critical)),
            ("priority", "u=2, i", Some(Level::High)),
            ("priority", "i, u=5;x=1", Some(Level::Low)),
            ("priority", "u=1, u=7", Some(Level::Background)),
            ("priority", "u=3", Some(Level::Normal)),
            ("priority", "u=8", None),
            ("priority", "u=-1", None),
            ("priority", "u=+1", None),
            ("priority", "i", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(asked(&headers), level, "{name}: {value}");
        }
    }

    #[test]
    fn our_own_field_comes_first() {
        let mut headers = HeaderMap::new();
        headers.insert(PRIORITY, "u=7".parse().unwrap());
        headers.insert(X_REQUEST_PRIORITY, "critical".parse().unwrap());
        assert_eq!(asked(&headers), Some(Level::Critical));
        headers.insert(X_REQUEST_PRIORITY, "no such level".parse().unwrap());
        assert_eq!(asked(&headers), Some(Level::Background));
    }
}
