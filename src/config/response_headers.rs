//! `[response_headers]`.

use config::Value;
use http::{HeaderValue, Uri};

use super::section::Section;
use super::value::{Taken, as_text, boolean, choice, list, some, wrong, wrong_with_help};
use crate::proxy::{Cors, RateLimit, ResponseHeaders};

/// Reads what answers say beside what they must.
pub(super) fn read(mut section: Section<'_>) -> ResponseHeaders {
    let default = ResponseHeaders::default();
    let headers = ResponseHeaders {
        queue_position: section.take_or("queue_position", boolean, default.queue_position),
        ratelimit: section.take_or("ratelimit", choice(&RATE_LIMIT), default.ratelimit),
        cors: section.take_or("cors", cors, default.cors),
    };
    section.finish(&[]);
    headers
}

const RATE_LIMIT: [(&str, RateLimit); 3] =
    [("keys", RateLimit::Keys), ("rejected", RateLimit::Rejected), ("off", RateLimit::Off)];

fn cors(value: &Value) -> Taken<Cors> {
    match as_text(value) {
        Some("off") => Ok(Cors::Off),
        Some("*") => Ok(Cors::Any),
        _ => some(list(origin))(value).map(Cors::These),
    }
}

/// As browsers write it: scheme, host, and the port if it is not the scheme's own (RFC 6454 §6.1).
fn origin(value: &Value) -> Taken<HeaderValue> {
    const EXPECTED: &str = "must be \"off\", \"*\", or a list of origins such as \"https://app.example.com\"";
    let Some(text) = as_text(value) else { return wrong(EXPECTED) };
    if text == "*" {
        return wrong_with_help(EXPECTED, "write cors = \"*\" for all origins, without a list");
    }
    let uri: Uri = match text.parse() {
        Ok(uri) => uri,
        Err(_) => return wrong(EXPECTED),
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return wrong(EXPECTED) };
    let own_port = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let port = authority.port_u16().filter(|port| Some(*port) != own_port);
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    // A browser writes an origin in one way, and the comparison is byte by byte.
    let origin = format!("{scheme}://{}{port}", authority.host().to_ascii_lowercase());
    if origin != text {
        return wrong_with_help(EXPECTED, format!("browsers send \"{origin}\""));
    }
    Ok(HeaderValue::try_from(origin).expect("a URI is visible ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        for text in ["https://a.example", "http://localhost:3000", "https://[::1]:8443", "app://x"] {
            assert!(origin(&Value::new(None, text)).is_ok(), "{text}");
        }
        for text in
            ["a.example", "https://a.example/", "https://A.example", "https://a:443", "*", "null", "https://u@a", ""]
        {
            assert!(origin(&Value::new(None, text)).is_err(), "{text}");
        }
    }
}
