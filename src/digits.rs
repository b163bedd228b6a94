//! Numbers as text, on the way of every request: `format!` takes five times as long.

/// Writes `number` behind what is in `out`.
#[inline]
pub(crate) fn push(out: &mut Vec<u8>, number: u64) {
    match number {
        0..10 => out.push(b'0' + number as u8),
        _ => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
    }
}

/// The three digits of a number below 1000, with zeros in front, and a zero byte behind them. The first one is the lowest byte:
/// to add to them, and to write them, is an instruction or two.
#[inline]
pub(crate) fn three(number: u32) -> u32 {
    /// Milliseconds and microseconds are what most numbers of a line are.
    static THREE: [u32; 1024] = {
        let mut all = [0; 1024];
        let mut number = 0;
        while number < 1000 {
            let digits = [number / 100, number / 10 % 10, number % 10];
            all[number] =
                u32::from_le_bytes([b'0' + digits[0] as u8, b'0' + digits[1] as u8, b'0' + digits[2] as u8, 0]);
            number += 1;
        }
        all
    };
    debug_assert!(number < 1000);
    THREE[number as usize & 1023]
}

/// Writes `number` as hexadecimal digits, without zeros in front.
#[inline]
pub(crate) fn push_hex(out: &mut Vec<u8>, number: u64) {
    let digits = hex::<8, 16>(number.to_be_bytes());
    out.extend_from_slice(&digits[(number.leading_zeros() as usize / 4).min(15)..]);
}

/// `N` bytes as `M` hexadecimal digits in lower case, which are twice as many.
#[inline]
pub(crate) fn hex<const N: usize, const M: usize>(bytes: [u8; N]) -> [u8; M] {
    const { assert!(M == 2 * N) };
    let mut text = [0; M];
    let (eights, fours) = (text.as_chunks_mut::<8>().0, bytes.as_chunks::<4>().0);
    eights.iter_mut().zip(fours).for_each(|(eight, four)| *eight = eight_digits(u32::from_be_bytes(*four)));
    for at in N / 4 * 4..N {
        [text[2 * at], text[2 * at + 1]] = *eight_digits(u32::from(bytes[at])).last_chunk().expect("two of eight");
    }
    text
}

/// All at once: a digit in each byte.
#[inline]
fn eight_digits(number: u32) -> [u8; 8] {
    let mut digits = u64::from(number);
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    let first_letter = u64::from(b'a' - b'0' - 10);
    (digits + 0x3030_3030_3030_3030 + letters * first_letter).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = b"=".to_vec();
        write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn numbers_are_what_they_are_to_everybody() {
        for number in [0, 7, 9, 10, 15, 16, 99, 100, 255, 256, 0xabc_def0, 1_700_000_000_123, u64::MAX] {
            assert_eq!(written(|text| push(text, number)), format!("={number}"));
            assert_eq!(written(|text| push_hex(text, number)), format!("={number:x}"));
        }
        for number in 0..1000 {
            assert_eq!(three(number).to_le_bytes(), format!("{number:03}\0").as_bytes());
        }
    }

    #[test]
    fn bytes_are_two_digits_each() {
        for byte in 0..=u8::MAX {
            assert_eq!(hex::<1, 2>([byte]), format!("{byte:02x}").as_bytes());
            assert_eq!(hex::<5, 10>([byte; 5]), format!("{byte:02x}").repeat(5).as_bytes());
        }
        let number = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128;
        assert_eq!(hex::<16, 32>(number.to_be_bytes()), format!("{number:032x}").as_bytes());
    }
}
