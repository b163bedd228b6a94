//! JSON, as far as a line of the log needs it: a flat object whose names need no escapes.
//!
//! A line is written for every request, and a serializer that is made for everything takes six times as long.

use std::time::Duration;

/// An object that is being written.
pub(super) struct Object<'a>(&'a mut Vec<u8>);

/// A name with what stands around it.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(super) use name;

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

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.0.extend_from_slice(name.as_bytes());
        // All of it is looked at whatever is found: so it is done many bytes at a time.
        if value.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\')) {
            serde_json::to_writer(&mut *self.0, value).expect("a text can be written");
            return;
        }
        self.0.push(b'"');
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'"');
    }

    pub(super) fn optional(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A text of digits, letters and punctuation, of which nothing has to be escaped.
    pub(super) fn plain(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
        write(self.0);
        self.0.push(b'"');
    }

    pub(super) fn number(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.0.extend_from_slice(name.as_bytes());
            number(value, 1, self.0);
        }
    }

    pub(super) fn boolean(&mut self, name: &'static str, value: Option<bool>) {
        if let Some(value) = value {
            self.0.extend_from_slice(name.as_bytes());
            self.0.extend_from_slice(if value { b"true" } else { b"false" });
        }
    }

    /// Milliseconds with three places: microseconds.
    pub(super) fn millis(&mut self, name: &'static str, value: Option<Duration>) {
        if let Some(value) = value {
            let micros = value.as_micros() as u64;
            self.0.extend_from_slice(name.as_bytes());
            number(micros / 1000, 1, self.0);
            self.0.push(b'.');
            number(micros % 1000, 3, self.0);
        }
    }

    pub(super) fn value(&mut self, name: &'static str, value: &serde_json::Value) {
        self.0.extend_from_slice(name.as_bytes());
        serde_json::to_writer(&mut *self.0, value).expect("a value can be written");
    }
}

/// A number with so many digits at least.
pub(super) fn number(mut value: u64, digits: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; u64::MAX.ilog10() as usize + 1];
    let mut start = text.len();
    while value > 0 {
        start -= 1;
        text[start] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&text[start.min(text.len() - digits)..]);
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
    fn numbers_have_their_digits() {
        for (value, digits, expected) in [(0, 1, "0"), (0, 3, "000"), (7, 3, "007"), (1234, 3, "1234"), (10, 1, "10")] {
            let mut out = Vec::new();
            number(value, digits, &mut out);
            assert_eq!(out, expected.as_bytes());
        }
    }
}
