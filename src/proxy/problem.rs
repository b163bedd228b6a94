//! The body of an answer of our own (RFC 9457).
//!
//! Written by hand: under overload, it is what most clients get.

use crate::digits;
use crate::eights::is_plain;

/// What it says, in the order of its fields.
#[derive(Debug, Clone, Copy)]
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

impl Problem<'_> {
    pub(super) fn to_json(self) -> Vec<u8> {
        self.behind(&self.start())
    }

    /// What is the same in every answer of a kind: all up to the name of the route.
    pub(super) fn start(&self) -> Vec<u8> {
        let mut out = Vec::new();
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
        out
    }

    /// All of it, behind its start.
    pub(super) fn behind(self, start: &[u8]) -> Vec<u8> {
        // What is as long as its room needs no more memory to be shared, and this nearly always is.
        let mut seconds = itoa::Buffer::new();
        let seconds = self.retry_after.map_or("", |after| seconds.format(after));
        let retry_after = if seconds.is_empty() { "" } else { r#","retry_after":"# };
        let predicted = if self.predicted { r#","predicted":true"# } else { "" };
        let pieces = [retry_after, seconds, predicted, r#","request_id":"#];
        let length = start.len() + pieces.iter().map(|piece| piece.len()).sum::<usize>() + self.request_id.len() + 3;
        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(start);
        pieces.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
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
    fn what_has_no_escapes_is_as_long_as_its_room() {
        for (retry_after, predicted) in [(None, false), (Some(60), true)] {
            let (limit, route) = (Some("a"), Some("b"));
            let problem = Problem {
                title: "t",
                status: 503,
                detail: "d",
                reason: "r",
                limit,
                route,
                retry_after,
                predicted,
                request_id: "id",
            };
            let json = problem.to_json();
            assert_eq!(json.len(), json.capacity());
        }
    }

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
