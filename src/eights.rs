//! Looking for bytes in short texts, eight at a time.
//!
//! What looks at eight bytes says zero for none, and something else for one or more. It may take a byte for one only behind
//! one that is: which of the eight it was is not to be asked.

/// Whether `look` finds anything in a text. What is left over at its end is looked at with what stands before it.
#[inline(always)]
pub(crate) fn any(text: &[u8], look: impl Fn(u64) -> u64) -> bool {
    let eight = |bytes: &[u8; 8]| look(u64::from_ne_bytes(*bytes));
    let found = match (text.last_chunk::<8>(), text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(last), ..) => text.as_chunks().0.iter().fold(eight(last), |found, bytes| found | eight(bytes)),
        (None, Some([a, b, c, d]), Some([e, f, g, h])) => eight(&[*a, *b, *c, *d, *e, *f, *g, *h]),
        _ => text.iter().fold(0, |found, byte| found | eight(&[*byte; 8])),
    };
    found != 0
}

/// Bytes below `least`, which is 128 at the most.
#[inline(always)]
pub(crate) fn below(eight: u64, least: u8) -> u64 {
    // A byte's highest bit appears where less was there than is taken from it.
    eight.wrapping_sub(in_each(least)) & !eight & in_each(0x80)
}

/// Bytes that are `byte`.
#[inline(always)]
pub(crate) fn equal(eight: u64, byte: u8) -> u64 {
    below(eight ^ in_each(byte), 1)
}

/// So many times the same byte.
const fn in_each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Whether a text needs no escapes in JSON.
#[inline(always)]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    !any(text, |eight| below(eight, b' ') | equal(eight, b'"') | equal(eight, b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn one_is_found_whatever_is_beside_it() {
        for neighbour in 0..=u8::MAX {
            for byte in 0..=u8::MAX {
                let text = [neighbour, byte, neighbour];
                let expected = text.iter().any(|byte| *byte <= b' ' || *byte == 0x7f);
                assert_eq!(any(&text, |eight| below(eight, b'!') | equal(eight, 0x7f)), expected, "{text:?}");
            }
        }
    }
}
