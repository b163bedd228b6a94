//! `traceparent`, as a client sends it.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field that names a trace and the span that the request comes from.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems add to it, each for itself.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The id of a trace. Not zero.
pub type TraceId = [u8; 16];
/// The id of a span. Not zero.
pub type SpanId = [u8; 8];

/// The span that a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Its trace.
    pub trace: TraceId,
    /// Its own id.
    pub span: SpanId,
    /// The flags that came with it.
    pub flags: u8,
}

/// The flag that says that the trace is recorded.
pub(super) const SAMPLED: u8 = 1;

impl Parent {
    /// The parent that a request names, if it names one, and in a way that can be read: a request with two has none.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let first = values.next()?;
        values.next().is_none().then(|| Parent::read(first)).flatten()
    }

    /// Reads a `traceparent` (Trace Context §3.2.2). What a later version adds behind the flags is not looked at.
    pub fn read(value: &HeaderValue) -> Option<Self> {
        let text = value.as_bytes();
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut parts = known.split(|byte| *byte == b'-');
        let [version] = hex(parts.next()?)?;
        let parent =
            Parent { trace: hex(parts.next()?)?, span: hex(parts.next()?)?, flags: hex::<1>(parts.next()?)?[0] };
        let is_whole = match version {
            0 => more.is_empty(),
            0xff => false,
            _ => more.first().is_none_or(|byte| *byte == b'-'),
        };
        let named = parent.trace != [0; 16] && parent.span != [0; 8];
        (is_whole && named && parts.next().is_none()).then_some(parent)
    }

    /// Whether whoever sent it records the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// `00-`, 16 bytes, 8 bytes and the flags.
pub(super) const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// So many bytes in lower-case digits.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Parent> {
        Parent::read(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn a_parent_is_read_as_it_was_written() {
        let parent = read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(u128::from_be_bytes(parent.trace), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((u64::from_be_bytes(parent.span), parent.flags), (0x00f0_67aa_0ba9_02b7, 1));
        assert!(parent.is_sampled());
        assert!(!read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02").unwrap().is_sampled());
        // A later version may have more to say.
        assert_eq!(read("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what"), Some(parent));
    }

    #[test]
    fn what_is_malformed_is_no_parent() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7--1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn two_parents_are_none() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(Parent::of(&headers), None);
        headers.append(TRACEPARENT, value.clone());
        assert_eq!(Parent::of(&headers), Parent::read(&value));
        headers.append(TRACEPARENT, value);
        assert_eq!(Parent::of(&headers), None);
    }
}
