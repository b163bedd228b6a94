//! The trace that a recorded request belongs to.

use http::{HeaderMap, HeaderValue};

use super::parent::{LENGTH, Parent, SAMPLED, SpanId, TraceId};
use crate::digits;

/// A request's place in a trace: the client's, or one that begins with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: TraceId,
    /// The client's span that it comes from; `None` where it begins the trace.
    pub parent: Option<SpanId>,
    /// The span of the request.
    pub server: SpanId,
    /// The span of its exchange with the upstream, which is the parent of whatever the upstream records.
    pub client: SpanId,
    /// What is said of the trace.
    pub flags: u8,
}

impl Trace {
    /// The trace of a request that is to be recorded. Whoever recorded it before decides whether it is; where nobody says,
    /// `sample` of all requests are, from 0 (none) to 1 (all).
    pub fn begin(headers: &HeaderMap, sample: f64) -> Option<Self> {
        let (id, parent, flags) = match Parent::of(headers) {
            Some(parent) if parent.is_sampled() => (parent.trace, Some(parent.span), parent.flags),
            None if fastrand::f64() < sample => (fastrand::u128(1..).to_be_bytes(), None, SAMPLED),
            Some(_) | None => return None,
        };
        Some(Trace { id, parent, server: span(), client: span(), flags })
    }

    /// What the upstream is told.
    pub fn traceparent(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        debug_assert_eq!(text.len(), LENGTH);
        text[3..35].copy_from_slice(&digits::hex::<16, 32>(self.id));
        text[36..52].copy_from_slice(&digits::hex::<8, 16>(self.client));
        // Flags that nobody has given a meaning to are not ours to pass on in this version.
        text[53..].copy_from_slice(&digits::hex::<1, 2>([self.flags & KNOWN_FLAGS]));
        let mut value = HeaderValue::from_bytes(&text).expect("digits and dashes");
        // Nothing for HTTP/2's table of fields: it never comes again.
        value.set_sensitive(true);
        value
    }

    /// The trace's id as it is written.
    pub fn id_text(&self) -> String {
        digits::hex::<16, 32>(self.id).map(char::from).iter().collect()
    }
}

/// Sampled, and random trace id (Level 2).
const KNOWN_FLAGS: u8 = 3;

fn span() -> SpanId {
    fastrand::u64(1..).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::TRACEPARENT;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_client_decides_where_it_says_anything() {
        let sampled = headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let trace = Trace::begin(&sampled, 0.0).unwrap();
        let parent = Parent::of(&sampled).unwrap();
        assert_eq!((trace.id, trace.parent), (parent.trace, Some(parent.span)));
        assert_eq!(trace.id_text(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(Trace::begin(&headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"), 1.0), None);
    }

    #[test]
    fn where_nobody_says_so_many_are_recorded() {
        let malformed = headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-");
        for headers in [HeaderMap::new(), malformed] {
            assert_eq!(Trace::begin(&headers, 0.0), None);
            let trace = Trace::begin(&headers, 1.0).unwrap();
            assert_eq!(trace.parent, None);
            assert_ne!(trace.id_text(), "4bf92f3577b34da6a3ce929d0e0e4736");
        }
        let half = (0..10_000).filter(|_| Trace::begin(&HeaderMap::new(), 0.5).is_some()).count();
        // Ten standard deviations.
        assert!((4500..5500).contains(&half), "{half}");
    }

    #[test]
    fn the_upstream_is_told_of_the_exchange() {
        let sampled = headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff");
        let trace = Trace::begin(&sampled, 0.0).unwrap();
        let told = Parent::read(&trace.traceparent()).unwrap();
        assert_eq!(told, Parent { trace: trace.id, span: trace.client, flags: 3 });
        assert_ne!(trace.client, trace.server);
    }
}
