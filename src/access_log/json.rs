//! JSON, as far as a line of the log needs it: a flat object whose names need no escapes.
//!
//! A line is written for every request, by its worker. A serializer that is made for everything takes six times as long, and
//! so does one that asks for room at each piece half as much again.

use std::net::IpAddr;
use std::time::Duration;

use crate::digits;
use crate::eights::is_plain;

/// An object that is being written into room that there is. What does not fit makes it fail at its end, and not before.
pub(super) struct Object<'a> {
    /// What is left of it. Nothing, once something has not fitted.
    room: &'a mut [u8],
}

/// A name with what stands around it; that of a text begins the text, too.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
    ($name:literal, text) => {
        concat!(",\"", $name, "\":\"")
    };
}
pub(super) use name;

// Inlined, always: a name whose length is known is a move or two, and one whose length is not is a call of `memcpy`.
impl<'a> Object<'a> {
    /// Begins with a first field, to which there is nothing to escape.
    #[inline(always)]
    pub(super) fn begin(room: &'a mut [u8], kind: &'static str) -> Self {
        let mut object = Object { room };
        object.put(kind.as_bytes());
        object
    }

    /// Writes the end, and that of the line. How much room is left then; `None` if it was too little.
    #[inline(always)]
    pub(super) fn end(mut self) -> Option<usize> {
        // There is no end where something before it did not fit.
        self.put_array(*b"}\n").then_some(self.room.len())
    }

    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) -> bool {
        match std::mem::take(&mut self.room).split_at_mut_checked(bytes.len()) {
            Some((here, rest)) => {
                here.copy_from_slice(bytes);
                self.room = rest;
                true
            }
            None => false,
        }
    }

    /// Fields as they were written before.
    #[inline(always)]
    pub(super) fn again(&mut self, fields: &[u8]) {
        self.put(fields);
    }

    /// A text of a length that is always the same, to which there is nothing to escape.
    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self, name: &'static str, value: [u8; N]) {
        self.raw(name);
        self.put_quoted(&value);
    }

    pub(super) fn address(&mut self, name: &'static str, ip: IpAddr) {
        self.raw(name);
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets().map(|octet| Few::digits(octet.into()));
                self.put_few(a.then(Few::byte(b'.')).then(b).then(Few::byte(b'.')));
                self.put_few(c.then(Few::byte(b'.')).then(d).then(Few::byte(b'"')));
            }
            IpAddr::V6(ip) => self.put_quoted(ip.to_string().as_bytes()),
        }
    }

    #[inline(always)]
    fn put_array<const N: usize>(&mut self, bytes: [u8; N]) -> bool {
        self.put(&bytes)
    }

    #[inline(always)]
    fn raw(&mut self, text: &'static str) {
        self.put(text.as_bytes());
    }

    /// Any text.
    #[inline(always)]
    pub(super) fn text(&mut self, name: &'static str, value: &[u8]) {
        self.raw(name);
        if is_plain(value) {
            self.put_quoted(value);
        } else {
            self.escaped(value);
        }
    }

    /// What stands behind an opening quote, with the closing one.
    #[inline(always)]
    fn put_quoted(&mut self, value: &[u8]) {
        if let Some((here, rest)) = std::mem::take(&mut self.room).split_at_mut_checked(value.len() + 1) {
            here[..value.len()].copy_from_slice(value);
            here[value.len()] = b'"';
            self.room = rest;
        }
    }

    /// What is not UTF-8 was no text to begin with.
    #[cold]
    #[inline(never)]
    fn escaped(&mut self, value: &[u8]) {
        let written = serde_json::to_vec(&String::from_utf8_lossy(value)).expect("a text can be written");
        // Its first quote stands there already.
        self.put(&written[1..]);
    }

    #[inline(always)]
    pub(super) fn optional(&mut self, name: &'static str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A word of ours, or of a protocol, in which nothing has to be escaped.
    #[inline(always)]
    pub(super) fn word(&mut self, name: &'static str, value: &str) {
        debug_assert!(is_plain(value.as_bytes()), "{value:?}");
        self.raw(name);
        self.put_quoted(value.as_bytes());
    }

    #[inline(always)]
    pub(super) fn optional_word(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.word(name, value);
        }
    }

    #[inline(always)]
    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        self.raw(name);
        self.digits(value);
    }

    #[inline(always)]
    pub(super) fn optional_number(&mut self, name: &'static str, value: Option<u32>) {
        if let Some(value) = value {
            self.number(name, value.into());
        }
    }

    /// Most numbers are small.
    #[inline(always)]
    fn digits(&mut self, value: u64) {
        match value {
            0..1000 => self.put_few(Few::digits(value as u32)),
            _ => _ = self.put(itoa::Buffer::new().format(value).as_bytes()),
        }
    }

    /// All eight, of which those that are too many are written over.
    #[inline(always)]
    fn put_few(&mut self, Few { bytes, count }: Few) {
        let room = std::mem::take(&mut self.room);
        match room.first_chunk_mut() {
            Some(here) => {
                *here = bytes.to_le_bytes();
                self.room = &mut room[count as usize..];
            }
            None => {
                self.room = room;
                self.put(&bytes.to_le_bytes()[..count as usize]);
            }
        }
    }

    #[inline(always)]
    pub(super) fn optional_boolean(&mut self, name: &'static str, value: Option<bool>) {
        if let Some(value) = value {
            self.raw(name);
            self.raw(if value { "true" } else { "false" });
        }
    }

    /// Milliseconds with three places: microseconds.
    #[inline(always)]
    pub(super) fn millis(&mut self, name: &'static str, value: Duration) {
        self.raw(name);
        // Not `as_micros`, which counts in 128 bits.
        let micros = value.subsec_micros();
        let (whole, fraction) = (micros / 1000, Few::fraction(micros % 1000));
        if value.as_secs() == 0 {
            self.put_few(Few::digits(whole).then(fraction));
        } else {
            self.digits(value.as_secs().saturating_mul(1000).saturating_add(whole.into()));
            self.put_few(fraction);
        }
    }

    #[inline(always)]
    pub(super) fn optional_millis(&mut self, name: &'static str, value: Option<Duration>) {
        if let Some(value) = value {
            self.millis(name, value);
        }
    }

    pub(super) fn value(&mut self, name: &'static str, value: &serde_json::Value) {
        self.raw(name);
        self.put(&serde_json::to_vec(value).expect("a value can be written"));
    }
}

/// A text of eight bytes at the most, as one number: to add to it, and to write it, is an instruction or two.
#[derive(Clone, Copy)]
struct Few {
    /// The first one is the lowest. Zero beyond the last one.
    bytes: u64,
    count: u32,
}

impl Few {
    /// A number below 1000.
    #[inline(always)]
    fn digits(number: u32) -> Few {
        let zeros = u32::from(number < 10) + u32::from(number < 100);
        Few { bytes: (digits::three(number) >> (8 * zeros)).into(), count: 3 - zeros }
    }

    /// Thousandths, with the point.
    #[inline(always)]
    fn fraction(thousandths: u32) -> Few {
        Few { bytes: (digits::three(thousandths) << 8 | u32::from(b'.')).into(), count: 4 }
    }

    #[inline(always)]
    fn byte(byte: u8) -> Few {
        Few { bytes: byte.into(), count: 1 }
    }

    /// Another one behind it.
    #[inline(always)]
    fn then(self, next: Few) -> Few {
        Few { bytes: self.bytes | next.bytes << (8 * self.count), count: self.count + next.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(room: &mut [u8]) -> Option<usize> {
        let mut object = Object::begin(room, "{\"kind\":\"x\"");
        for text in ["", "plain", "a\"b\\c\nd\u{1}", "ä\u{7f}\u{2028}"] {
            object.text(name!("text", text), text.as_bytes());
        }
        object.optional(name!("none", text), None);
        object.array(name!("array", text), *b"1970");
        for ip in ["192.0.2.1", "::ffff:10.0.255.19", "2001:db8::1"] {
            object.address(name!("ip", text), ip.parse().unwrap());
        }
        object.word(name!("plain", text), "::1");
        for number in [0, 7, 10, 99, 100, 999, 1000, u64::MAX] {
            object.number(name!("number"), number);
        }
        object.optional_number(name!("none"), None);
        object.optional_boolean(name!("boolean"), Some(false));
        object.millis(name!("millis"), Duration::from_micros(12_045));
        object.millis(name!("zero"), Duration::ZERO);
        object.millis(name!("long"), Duration::new(61, 999_999_999));
        object.millis(name!("ever"), Duration::MAX);
        object.value(name!("value"), &serde_json::json!({ "a": "b" }));
        object.end()
    }

    const EXPECTED: &str = concat!(
        r#"{"kind":"x","text":"","text":"plain","text":"a\"b\\c\nd\u0001","text":"#,
        "\"ä\u{7f}\u{2028}\",",
        r#""array":"1970","ip":"192.0.2.1","ip":"10.0.255.19","ip":"2001:db8::1","plain":"::1","#,
        r#""number":0,"number":7,"number":10,"number":99,"number":100,"number":999,"number":1000,"#,
        r#""number":18446744073709551615,"boolean":false,"millis":12.045,"zero":0.000,"long":61999.999,"ever":18446744073709551615.999,"value":{"a":"b"}}"#,
        "\n"
    );

    #[test]
    fn what_is_written_is_json() {
        let mut room = [0; 1000];
        let left = write(&mut room).unwrap();
        assert_eq!(str::from_utf8(&room[..1000 - left]).unwrap(), EXPECTED);
    }

    #[test]
    fn what_does_not_fit_has_no_end() {
        for room in 0..EXPECTED.len() {
            assert_eq!(write(&mut vec![0; room]), None, "{room}");
        }
        assert_eq!(write(&mut vec![0; EXPECTED.len()]), Some(0));
    }
}
