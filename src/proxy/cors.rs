//! Answers of our own that scripts of other origins may read (Fetch §3.2).
//!
//! The upstream says for its answers who may read them. Of ours it knows nothing: without a word from us, a browser shows
//! a script a network error in place of a 503 with a `Retry-After`.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

/// The origins whose scripts may read answers of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cors {
    /// None: nothing is said.
    #[default]
    Off,
    /// All, if they ask without credentials.
    Any,
    /// These, with credentials or without.
    These(Vec<HeaderValue>),
}

/// An origin that has asked, and may read the answer.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    origin: HeaderValue,
    credentials: bool,
}

impl Cors {
    /// Who asks, if they may read the answer.
    pub(super) fn reader(&self, request: &HeaderMap) -> Option<Reader> {
        let credentials = match self {
            Cors::Off => return None,
            Cors::Any => false,
            Cors::These(_) => true,
        };
        let origin = request.get(ORIGIN)?;
        let allowed = match self {
            Cors::These(origins) => origins.contains(origin),
            Cors::Off | Cors::Any => true,
        };
        allowed.then(|| Reader { origin: origin.clone(), credentials })
    }
}

impl Reader {
    /// Lets the origin read an answer, and what it needs of its head.
    pub(super) fn admit(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.append(VARY, HeaderValue::from_static("origin"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After, x-sluicegate-reason"));
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_origins_are_echoed_and_only_known_ones_with_credentials() {
        let these = Cors::These(vec![HeaderValue::from_static("https://a.example")]);
        for (cors, origin, expected) in [
            (&Cors::Off, Some("https://a.example"), None),
            (&Cors::Any, None, None),
            (&Cors::Any, Some("null"), Some(("null", false))),
            (&these, Some("https://a.example"), Some(("https://a.example", true))),
            (&these, Some("https://a.example.evil"), None),
            (&these, None, None),
        ] {
            let mut request = HeaderMap::new();
            if let Some(origin) = origin {
                request.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            let mut answer = HeaderMap::new();
            if let Some(reader) = cors.reader(&request) {
                reader.admit(&mut answer);
            }
            let seen = answer
                .get(ACCESS_CONTROL_ALLOW_ORIGIN)
                .map(|origin| (origin.to_str().unwrap(), answer.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS)));
            assert_eq!(seen, expected, "{cors:?} {origin:?}");
        }
    }
}
