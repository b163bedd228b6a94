//! Key expressions: what a limit's `key` says, and what it is for a request.

use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, Request};
use sha2::{Digest, Sha256};

use crate::admission::Key;
use crate::proxy::client::Client;
use crate::proxy::headers::requested_host;
use crate::route::{PathPattern, host_name, normalize};

/// Several expressions, all of which must have a value: `["header:x-tenant", "path:id"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyExpression(Vec<Alternatives>);

/// The first that has a value: `bearer|client_ip`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Alternatives(Vec<Source>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    ClientIp,
    /// IPv6 addresses by their network of so many bits; those of IPv4 stay what they are.
    ClientNetwork(u8),
    Header(HeaderName),
    Bearer,
    BasicUser,
    Cookie(String),
    Query(String),
    PathParameter(String),
    Host,
}

/// Why a text is no key expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyExpressionError {
    /// Nothing of this name.
    #[error("`{0}` is no part of a request that can be a key")]
    Unknown(String),
    /// A word that needs another behind a colon.
    #[error("`{0}` does not say which")]
    Unnamed(String),
    /// Not the name of a header.
    #[error("`{0}` is not the name of a header")]
    Header(String),
    /// Not a length of a prefix.
    #[error("`{0}` is not a number of bits from 1 to 128")]
    Bits(String),
}

/// What a request says that a key can be made of.
pub(in crate::proxy) struct Asking<'a, B> {
    pub(in crate::proxy) request: &'a Request<B>,
    pub(in crate::proxy) client: &'a Client,
    /// The pattern of its route's path.
    pub(in crate::proxy) path: Option<&'a PathPattern>,
}

impl<B> Asking<'_, B> {
    pub(in crate::proxy) fn client_address(&self) -> String {
        self.client.address_of(self.request.headers()).to_string()
    }
}

/// Between the parts of a key: no part has one.
const SEPARATOR: char = '\u{1f}';
/// A longer value is kept as its digest: what clients send must not decide how much is kept of it.
const LONG: usize = 128;

impl KeyExpression {
    /// Reads expressions that are combined.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn try_new<'a>(expressions: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyExpressionError> {
        expressions.into_iter().map(str::parse).collect::<Result<_, _>>().map(KeyExpression)
    }

    /// Whether it looks at the client's address, which takes knowing one's proxies.
    pub fn names_client_ip(&self) -> bool {
        self.sources().any(|source| matches!(source, Source::ClientIp | Source::ClientNetwork(_)))
    }

    /// Whether its value may not be shown.
    pub fn is_secret(&self) -> bool {
        self.0.iter().any(|alternatives| alternatives.0.iter().all(Source::is_secret))
    }

    /// Whether `text` can be one of its values as they are shown; a secret that was written out can't. Where an alternative
    /// takes any text, nobody can tell.
    pub fn may_show(&self, text: &str) -> bool {
        match &self.0[..] {
            [one] => one.0.iter().any(|source| match source {
                source if source.is_secret() => Key::is_shown_secret(text),
                Source::ClientIp => text.parse::<IpAddr>().is_ok(),
                Source::ClientNetwork(_) => text.split('/').next().is_some_and(|ip| ip.parse::<IpAddr>().is_ok()),
                _ => true,
            }),
            _ => !self.is_secret() || Key::is_shown_secret(text),
        }
    }

    /// The path parameters that it needs.
    pub fn path_parameters(&self) -> impl Iterator<Item = &str> {
        self.sources().filter_map(|source| match source {
            Source::PathParameter(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        self.0.iter().flat_map(|alternatives| &alternatives.0)
    }

    /// The key of a request, or `None` where a part of it is missing.
    pub(in crate::proxy) fn key_of<B>(&self, asking: &Asking<'_, B>) -> Option<Key> {
        let parts = self.0.iter().map(|alternatives| alternatives.part_of(asking));
        let parts: Vec<(String, bool)> = parts.collect::<Option<_>>()?;
        let secret = parts.iter().any(|(_, secret)| *secret);
        let mut value = String::new();
        for (at, (part, _)) in parts.iter().enumerate() {
            if at > 0 {
                value.push(SEPARATOR);
            }
            value.push_str(part);
        }
        Some(match secret {
            true => Key::secret(digest(value.as_bytes())),
            false if value.len() > LONG => Key::new(digest(value.as_bytes())),
            false => Key::new(value),
        })
    }
}

impl FromStr for Alternatives {
    type Err = KeyExpressionError;

    fn from_str(text: &str) -> Result<Self, KeyExpressionError> {
        text.split('|').map(|source| source.trim().parse()).collect::<Result<_, _>>().map(Alternatives)
    }
}

impl Alternatives {
    /// The value, and whether it is a secret.
    fn part_of<B>(&self, asking: &Asking<'_, B>) -> Option<(String, bool)> {
        self.0.iter().find_map(|source| Some((source.value_of(asking)?, source.is_secret())))
    }
}

impl FromStr for Source {
    type Err = KeyExpressionError;

    fn from_str(text: &str) -> Result<Self, KeyExpressionError> {
        let unknown = || KeyExpressionError::Unknown(text.to_owned());
        if let Some(bits) = text.strip_prefix("client_ip/") {
            let bits = bits.parse().ok().filter(|bits| (1..=128).contains(bits));
            return bits.map(Source::ClientNetwork).ok_or_else(|| KeyExpressionError::Bits(text.to_owned()));
        }
        let (word, name) = match text.split_once(':') {
            Some((word, name)) => (word, Some(name)),
            None => (text, None),
        };
        match (word, name) {
            ("client_ip", None) => Ok(Source::ClientIp),
            ("bearer", None) => Ok(Source::Bearer),
            ("basic_user", None) => Ok(Source::BasicUser),
            ("host", None) => Ok(Source::Host),
            ("header" | "cookie" | "query" | "path", None | Some("")) => {
                Err(KeyExpressionError::Unnamed(text.to_owned()))
            }
            ("header", Some(name)) => {
                name.parse().map(Source::Header).map_err(|_| KeyExpressionError::Header(name.to_owned()))
            }
            ("cookie", Some(name)) => Ok(Source::Cookie(name.to_owned())),
            ("query", Some(name)) => Ok(Source::Query(name.to_owned())),
            ("path", Some(name)) => Ok(Source::PathParameter(name.to_owned())),
            _ => Err(unknown()),
        }
    }
}

impl Source {
    fn is_secret(&self) -> bool {
        matches!(self, Source::Bearer | Source::BasicUser | Source::Cookie(_))
    }

    /// Its value, which is never empty and holds no control character.
    fn value_of<B>(&self, asking: &Asking<'_, B>) -> Option<String> {
        let headers = asking.request.headers();
        let value = match self {
            Source::ClientIp => asking.client_address(),
            Source::ClientNetwork(bits) => network(asking.client.address_of(headers), *bits),
            Source::Header(name) => String::from_utf8_lossy(headers.get(name)?.as_bytes()).trim().to_owned(),
            Source::Bearer => credentials(headers, "bearer")?.to_owned(),
            Source::BasicUser => basic_user(headers)?,
            Source::Cookie(name) => cookie(headers, name)?,
            Source::Query(name) => {
                let query = asking.request.uri().query()?;
                let (_, value) = form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name)?;
                value.into_owned()
            }
            Source::PathParameter(name) => {
                asking.path?.parameter(name, &normalize(asking.request.uri().path()))?.to_owned()
            }
            Source::Host => host_name(requested_host(asking.request)?.to_str().ok()?).into_owned(),
        };
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        (!value.is_empty()).then_some(value)
    }
}

fn network(address: IpAddr, bits: u8) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let mask = u128::MAX << (128 - u32::from(bits));
            format!("{}/{bits}", std::net::Ipv6Addr::from(u128::from(address) & mask))
        }
    }
}

/// What follows the scheme in `Authorization` (RFC 9110 §11.4).
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (found, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim_start())
}

/// RFC 7617.
fn basic_user(headers: &HeaderMap) -> Option<String> {
    let decoded = BASE64_STANDARD.decode(credentials(headers, "basic")?).ok()?;
    let user = decoded.split(|byte| *byte == b':').next().unwrap_or_default();
    Some(String::from_utf8_lossy(user).into_owned())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lists = headers.get_all(COOKIE).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(';')).find_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then(|| value.to_owned())
    })
}

fn digest(value: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(value).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::TrustedProxies;

    fn request(fields: &[(&'static str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/users/al%69ce/x?a=1&tenant=A%20B&tenant=c").body(()).unwrap();
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request
    }

    fn key(expressions: &[&str], fields: &[(&'static str, &str)]) -> Option<String> {
        key_from("192.0.2.7", expressions, fields)
    }

    fn key_from(peer: &str, expressions: &[&str], fields: &[(&'static str, &str)]) -> Option<String> {
        let client = Client::new(peer.parse().unwrap(), &TrustedProxies::new(Vec::new()));
        let path = "/users/{id}/*".parse().unwrap();
        let asking = Asking { request: &request(fields), client: &client, path: Some(&path) };
        let expression = KeyExpression::try_new(expressions.iter().copied()).unwrap();
        expression.key_of(&asking).map(|key| key.shown().to_owned())
    }

    #[test]
    fn every_part_of_a_request_can_be_a_key() {
        let secret = |value: &str| Some(digest(value.as_bytes())[..15].to_owned());
        let shown = |value: &str| Some(value.to_owned());
        for (expression, fields, expected) in [
            ("client_ip", &[][..], shown("192.0.2.7")),
            ("client_ip/64", &[][..], shown("192.0.2.7")),
            ("header:X-Tenant", &[("x-tenant", " acme ")][..], shown("acme")),
            ("header:x-tenant", &[][..], None),
            ("header:x-tenant", &[("x-tenant", "")][..], None),
            ("bearer", &[("authorization", "Bearer abc")][..], secret("abc")),
            ("bearer", &[("authorization", "bEaReR  abc")][..], secret("abc")),
            ("bearer", &[("authorization", "Basic YTpi")][..], None),
            ("basic_user", &[("authorization", "Basic YWxpY2U6c2VzYW1l")][..], secret("alice")),
            ("basic_user", &[("authorization", "Basic !")][..], None),
            ("cookie:sid", &[("cookie", "a=b; sid=1"), ("cookie", "sid=2")][..], secret("1")),
            ("cookie:sid", &[("cookie", "xsid=1")][..], None),
            ("query:tenant", &[][..], shown("A B")),
            ("query:none", &[][..], None),
            ("path:id", &[][..], shown("alice")),
            ("path:other", &[][..], None),
            ("host", &[("host", "API.test:8080")][..], shown("api.test")),
            ("bearer|client_ip", &[][..], shown("192.0.2.7")),
            ("bearer | client_ip", &[("authorization", "Bearer abc")][..], secret("abc")),
        ] {
            assert_eq!(key(&[expression], fields), expected, "{expression} {fields:?}");
        }
        assert_eq!(key_from("2001:db8:1:2:3::4", &["client_ip/64"], &[]).as_deref(), Some("2001:db8:1:2::/64"));
    }

    #[test]
    fn a_combined_key_needs_all_its_parts() {
        assert_eq!(key(&["header:x-tenant", "path:id"], &[("x-tenant", "a")]).as_deref(), Some("a + alice"));
        assert_eq!(key(&["header:x-tenant", "path:id"], &[]), None);
        let secret = key(&["path:id", "bearer"], &[("authorization", "Bearer t")]).unwrap();
        assert!(secret.starts_with("sha256:") && secret.len() == 15, "{secret}");
    }

    #[test]
    fn a_long_value_takes_no_more_room_than_a_short_one() {
        let long = "x".repeat(10_000);
        let key = key(&["header:x-tenant"], &[("x-tenant", &long)]).unwrap();
        assert!(key.len() < 100, "{key}");
    }

    #[test]
    fn what_is_no_expression_says_why() {
        let error = |text: &str| KeyExpression::try_new([text]).unwrap_err();
        assert_eq!(error("ip"), KeyExpressionError::Unknown("ip".into()));
        assert_eq!(error("host:x"), KeyExpressionError::Unknown("host:x".into()));
        assert_eq!(error(""), KeyExpressionError::Unknown("".into()));
        assert_eq!(error("bearer|"), KeyExpressionError::Unknown("".into()));
        assert_eq!(error("header"), KeyExpressionError::Unnamed("header".into()));
        assert_eq!(error("cookie:"), KeyExpressionError::Unnamed("cookie:".into()));
        assert_eq!(error("header:a b"), KeyExpressionError::Header("a b".into()));
        assert_eq!(error("client_ip/0"), KeyExpressionError::Bits("client_ip/0".into()));
        assert_eq!(error("client_ip/129"), KeyExpressionError::Bits("client_ip/129".into()));
    }
}
