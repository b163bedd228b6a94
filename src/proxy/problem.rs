//! The body of an answer of our own (RFC 9457).
//!
//! Written by hand into one buffer: under overload, it is what most clients get.

use crate::digits;
use crate::eights::is_plain;

/// What it says, in the order of its fields.
#[derive(Debug)]
pub(super) struct Problem<'a> {
    pub(super) title: &'a str,
    pub(super) status: u16,
    pub(super) detail: &'a str,
    pub(super) reason: &'a str,
    pub(super) limit: Option<&'a str>,
    pub(super) route: Option<&'a str>,
    /// In seconds.
    pub(super) retry_after: Option<u64>,
    pub(super) predicted: bool,
    pub(super) request_id: &'a str,
}

/// Enough for all but long names.
const USUAL: usize = 384;

impl Problem<'_> {
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(USUAL);
        // A name and what stands around it is one piece.
        out.extend_from_slice(br#"{"type":"about:blank","title":"#);
        text(&mut out, self.title);
        out.extend_from_slice(br#","status":"#);
        digits::push(&mut out, self.status.into());
        out.extend_from_slice(br#","detail":"#);
        text(&mut out, self.detail);
        out.extend_from_slice(br#","reason":"#);
        text(&mut out, self.reason);
        if let Some(limit) = self.limit {
            out.extend_from_slice(br#","limit":"#);
            text(&mut out, limit);
        }
        if let Some(route) = self.route {
            out.extend_from_slice(br#","route":"#);
            text(&mut out, route);
        }
        if let Some(seconds) = self.retry_after {
            out.extend_from_slice(br#","retry_after":"#);
            digits::push(&mut out, seconds);
        }
        if self.predicted {
            out.extend_from_slice(br#","predicted":true"#);
        }
        out.extend_from_slice(br#","request_id":"#);
        text(&mut out, self.request_id);
        out.push(b'}');
        out
    }
}

/// A string, escaped where it has to be: hardly any is.
fn text(out: &mut Vec<u8>, text: &str) {
    if !is_plain(text.as_bytes()) {
        serde_json::to_writer(out, text).expect("a string always serializes");
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_that_is_said_is_json() {
        let id = "a\"\\\u{1}\u{7f}b";
        let least = Problem {
            title: "Not Found",
            status: 404,
            detail: "No route.",
            reason: "no_route",
            limit: None,
            route: None,
            retry_after: None,
            predicted: false,
            request_id: id,
        };
        let read = |problem: &Problem<'_>| serde_json::from_slice::<serde_json::Value>(&problem.to_json()).unwrap();
        let mut expected = json!({
            "type": "about:blank", "title": "Not Found", "status": 404, "detail": "No route.", "reason": "no_route", "request_id": id,
        });
        assert_eq!(read(&least), expected);
        let most = Problem { limit: Some("a"), route: Some("b"), retry_after: Some(60), predicted: true, ..least };
        for (name, value) in
            [("limit", json!("a")), ("route", json!("b")), ("retry_after", json!(60)), ("predicted", json!(true))]
        {
            expected[name] = value;
        }
        assert_eq!(read(&most), expected);
    }
}
