//! Numbers as text, on the way of every request: `format!` takes five times as long.

/// Writes `number` behind what is in `out`.
pub(super) fn push(out: &mut Vec<u8>, number: u64) {
    push_padded(out, number, 1);
}

/// The same, with zeros in front where it has fewer digits than `width`, which is twenty at most.
pub(super) fn push_padded(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut text = [b'0'; MOST];
    let mut start = MOST;
    while number > 0 {
        start -= 1;
        text[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text[start.min(MOST - width)..]);
}

/// Digits of the largest number.
const MOST: usize = u64::MAX.ilog10() as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_they_are_to_everybody() {
        for number in [0, 7, 10, 99, 100, 1_700_000_000_123, u64::MAX] {
            let mut text = b"=".to_vec();
            push(&mut text, number);
            assert_eq!(text, format!("={number}").into_bytes());
            text.clear();
            push_padded(&mut text, number, 3);
            assert_eq!(text, format!("{number:03}").into_bytes());
        }
    }
}
