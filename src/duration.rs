//! Durations as people write them.

use std::time::Duration;

/// The units, largest first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads `250ms`, `10s`, `1m30s` or `1h`: whole numbers with units, each unit once, the largest first.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut milliseconds = 0_u64;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let end = after.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(after.len());
        // Searching on from the unit before it refuses repeated units and wrong orders.
        let (_, factor) = units.find(|(unit, _)| *unit == &after[..end])?;
        milliseconds = milliseconds.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = &after[end..];
    }
    Some(Duration::from_millis(milliseconds))
}

/// Writes a duration as [`parse`] reads it, to the millisecond.
pub(crate) fn show(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    // The largest unit that leaves no rest.
    match UNITS.iter().find(|(_, factor)| milliseconds != 0 && milliseconds.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", milliseconds / factor),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [("250ms", 250), ("10s", 10_000), ("1m30s", 90_000), ("1h", 3_600_000), ("0s", 0)] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "10", "s", "1.5s", "-1s", "10 s", "1s1m", "1s1s", "1d", "1m30", "99999999999999999h", "ä"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for text in ["0s", "250ms", "10s", "90s", "2m", "1h"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
    }
}
