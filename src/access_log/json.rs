//! JSON, as far as a line of the log needs it: a flat object whose names need no escapes.
//!
//! A line is written for every request, and a serializer that is made for everything takes six times as long.

use std::time::Duration;

use crate::digits;

/// An object that is being written.
pub(super) struct Object<'a>(&'a mut Vec<u8>);

/// A name with what stands around it.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(super) use name;

// Inlined, always: a name whose length is known is a move or two, and one whose length is not is a call of `memcpy`. A line
// takes a sixth less.
impl<'a> Object<'a> {
    /// Begins with a first field, to which there is nothing to escape.
    pub(super) fn begin(out: &'a mut Vec<u8>, kind: &str) -> Self {
        out.extend_from_slice(b"{\"kind\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        Object(out)
    }

    /// Writes the end, and that of the line.
    pub(super) fn end(self) {
        self.0.extend_from_slice(b"}\n");
    }

    /// Any text.
    #[inline(always)]
    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.0.extend_from_slice(name.as_bytes());
        if !is_plain(value.as_bytes()) {
            serde_json::to_writer(&mut *self.0, value).expect("a text can be written");
            return;
        }
        self.0.push(b'"');
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'"');
    }

    /// A word of ours, in which nothing has to be escaped.
    #[inline(always)]
    pub(super) fn word(&mut self, name: &'static str, value: &'static str) {
        debug_assert!(is_plain(value.as_bytes()), "{value:?}");
        self.plain(name, |out| out.extend_from_slice(value.as_bytes()));
    }

    #[inline(always)]
    pub(super) fn optional_word(&mut self, name: &'static str, value: Option<&'static str>) {
        if let Some(value) = value {
            self.word(name, value);
        }
    }

    #[inline(always)]
    pub(super) fn optional(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A text of digits, letters and punctuation, of which nothing has to be escaped.
    #[inline(always)]
    pub(super) fn plain(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
        write(self.0);
        self.0.push(b'"');
    }

    #[inline(always)]
    pub(super) fn number(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.0.extend_from_slice(name.as_bytes());
            digits::push(self.0, value);
        }
    }

    #[inline(always)]
    pub(super) fn boolean(&mut self, name: &'static str, value: Option<bool>) {
        if let Some(value) = value {
            self.0.extend_from_slice(name.as_bytes());
            self.0.extend_from_slice(if value { b"true" } else { b"false" });
        }
    }

    /// Milliseconds with three places: microseconds.
    #[inline(always)]
    pub(super) fn millis(&mut self, name: &'static str, value: Option<Duration>) {
        if let Some(value) = value {
            self.0.extend_from_slice(name.as_bytes());
            // Not `as_micros`, which counts in 128 bits.
            let (millis, micros) = (value.subsec_millis(), value.subsec_micros() % 1000);
            digits::push(self.0, value.as_secs().saturating_mul(1000) + u64::from(millis));
            self.0.push(b'.');
            digits::push_three(self.0, micros);
        }
    }

    pub(super) fn value(&mut self, name: &'static str, value: &serde_json::Value) {
        self.0.extend_from_slice(name.as_bytes());
        serde_json::to_writer(&mut *self.0, value).expect("a value can be written");
    }
}

/// Whether nothing in it has to be escaped. Most texts are short, so that it takes eight bytes at a time and no more.
#[inline(never)]
fn is_plain(text: &[u8]) -> bool {
    let special = |eight: &[u8; 8]| {
        let eight = u64::from_ne_bytes(*eight);
        let (quote, backslash) = (eight ^ in_each(b'"'), eight ^ in_each(b'\\'));
        below(eight, b' ') | below(quote, 1) | below(backslash, 1)
    };
    let found = match (text.last_chunk::<8>(), text.first_chunk::<4>(), text.last_chunk::<4>()) {
        // What is left over at the end is looked at with what stands before it.
        (Some(last), ..) => text.as_chunks().0.iter().fold(special(last), |found, eight| found | special(eight)),
        (None, Some([a, b, c, d]), Some([e, f, g, h])) => special(&[*a, *b, *c, *d, *e, *f, *g, *h]),
        _ => return !text.iter().any(|byte| *byte < b' ' || *byte == b'"' || *byte == b'\\'),
    };
    found == 0
}

/// So many times the same byte.
const fn in_each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Not zero if any of eight bytes is below `least`, which is 128 at the most: a byte's highest bit appears then.
fn below(eight: u64, least: u8) -> u64 {
    eight.wrapping_sub(in_each(least)) & !eight & in_each(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out, "x");
        for text in ["", "plain", "a\"b\\c\nd\u{1}", "ä\u{7f}\u{2028}"] {
            object.text(name!("text"), text);
        }
        object.optional(name!("none"), None);
        object.plain(name!("plain"), |out| out.extend_from_slice(b"::1"));
        object.number(name!("number"), Some(u64::MAX));
        object.boolean(name!("boolean"), Some(false));
        object.millis(name!("millis"), Some(Duration::from_micros(12_045)));
        object.millis(name!("zero"), Some(Duration::ZERO));
        object.value(name!("value"), &serde_json::json!({ "a": "b" }));
        object.end();
        let expected = concat!(
            r#"{"kind":"x","text":"","text":"plain","text":"a\"b\\c\nd\u0001","text":"#,
            "\"ä\u{7f}\u{2028}\",",
            r#""plain":"::1","number":18446744073709551615,"boolean":false,"millis":12.045,"zero":0.000,"value":{"a":"b"}}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_has_to_be_escaped_is_found_wherever_it_is() {
        for length in 0..40 {
            let mut text = vec![b'a'; length];
            assert!(is_plain(&text));
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    text[at] = byte;
                    let special = byte < b' ' || byte == b'"' || byte == b'\\';
                    assert_eq!(is_plain(&text), !special, "{byte} at {at} of {length}");
                }
                text[at] = 0xc3;
            }
        }
    }
}
