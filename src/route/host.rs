//! Host patterns, and the host of a request in the form that they are compared with.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A host name, or all names below one.
///
/// Names are compared without regard to case, to a trailing dot, or to the port that the request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This name and no other, in lower case.
    Exact(String),
    /// Any name with one or more labels before this one (`*.example.com` holds `example.com`), in lower case.
    Wildcard(String),
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Wildcard(name) => write!(f, "*.{name}"),
        }
    }
}

/// Why a text is no host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// There is nothing, or an empty label.
    #[error("`{0}` has an empty label")]
    EmptyLabel(String),
    /// A port is given, though ports play no part.
    #[error("`{0}` names a port, but hosts are compared without theirs")]
    Port(String),
    /// A star elsewhere than alone in the first label.
    #[error("`{0}`: a star can only stand for the first labels, as in *.example.com")]
    Star(String),
    /// A character that no host name has.
    #[error("`{0}` holds a character that is not part of a host name (write non-ASCII names in their xn-- form)")]
    Character(String),
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.contains('*') {
            return Err(HostPatternError::Star(text.to_owned()));
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        if let Some(address) = name.strip_prefix('[').filter(|_| !wildcard) {
            return match address.strip_suffix(']') {
                Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => {
                    Ok(HostPattern::Exact(name.to_ascii_lowercase()))
                }
                None if address.contains("]:") => Err(HostPatternError::Port(text.to_owned())),
                _ => Err(HostPatternError::Character(text.to_owned())),
            };
        }
        if name.contains(':') {
            return Err(HostPatternError::Port(text.to_owned()));
        }
        if name.split('.').any(str::is_empty) {
            return Err(HostPatternError::EmptyLabel(text.to_owned()));
        }
        // Underscores are no part of host names by the book, but of service names in many private networks.
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(HostPatternError::Character(text.to_owned()));
        }
        let name = name.to_ascii_lowercase();
        Ok(if wildcard { HostPattern::Wildcard(name) } else { HostPattern::Exact(name) })
    }
}

/// The name in a `Host` field as patterns are compared with it: no port, no trailing dot, lower case.
pub fn name_of(host: &str) -> Cow<'_, str> {
    // An IPv6 address is full of colons; its port can only follow the bracket.
    let end_of_address = host.rfind(']').unwrap_or(0);
    let name = match host.rfind(':') {
        Some(colon) if colon > end_of_address || end_of_address == 0 => &host[..colon],
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// What follows each dot of a name, the longest first: the wildcards that it can match.
pub(super) fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    // A dot at the start has no label before it.
    name.match_indices('.').filter(|(at, _)| *at > 0).map(|(at, _)| &name[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_in_lower_case_and_without_a_trailing_dot() {
        for (text, pattern) in [
            ("example.com", HostPattern::Exact("example.com".into())),
            ("API.Example.com.", HostPattern::Exact("api.example.com".into())),
            ("*.Example.com", HostPattern::Wildcard("example.com".into())),
            ("*.com", HostPattern::Wildcard("com".into())),
            ("192.0.2.1", HostPattern::Exact("192.0.2.1".into())),
            ("[2001:DB8::1]", HostPattern::Exact("[2001:db8::1]".into())),
            ("my_service", HostPattern::Exact("my_service".into())),
        ] {
            assert_eq!(text.parse(), Ok(pattern), "{text}");
        }
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let parse = |text: &str| text.parse::<HostPattern>().unwrap_err();
        for text in ["", "*.", ".com", "a..b", "."] {
            assert_eq!(parse(text), HostPatternError::EmptyLabel(text.into()));
        }
        for text in ["*", "a.*", "*.*.com", "*a.com"] {
            assert_eq!(parse(text), HostPatternError::Star(text.into()));
        }
        for text in ["a:80", "[::1]:80", "::1"] {
            assert_eq!(parse(text), HostPatternError::Port(text.into()));
        }
        for text in ["a b", "http//x", "bücher.de", "[x]"] {
            assert_eq!(parse(text), HostPatternError::Character(text.into()));
        }
    }

    #[test]
    fn the_name_of_a_host_has_neither_port_nor_case() {
        for (host, name) in [
            ("example.com", "example.com"),
            ("Example.COM:8080", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
            ("[FE80::1]", "[fe80::1]"),
            ("", ""),
        ] {
            assert_eq!(name_of(host), name, "{host}");
        }
        assert!(matches!(name_of("example.com:80"), Cow::Borrowed(_)));
    }

    #[test]
    fn suffixes_come_longest_first() {
        assert_eq!(suffixes("a.b.c").collect::<Vec<_>>(), ["b.c", "c"]);
        assert_eq!(suffixes(".com").count(), 0);
        assert_eq!(suffixes("com").count(), 0);
    }
}
