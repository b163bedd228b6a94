//! Durations and sizes as people write them.

pub(super) use crate::duration::{parse as duration, show as show_duration};

/// Reads `512B`, `64KiB`, `1MiB` or `10GiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = leading_number(text)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Writes a size as [`size`] reads it.
pub(super) fn show_size(size: u64) -> String {
    match size {
        0 => "0B".to_owned(),
        size if size.is_multiple_of(1 << 30) => format!("{}GiB", size >> 30),
        size if size.is_multiple_of(1 << 20) => format!("{}MiB", size >> 20),
        size if size.is_multiple_of(1 << 10) => format!("{}KiB", size >> 10),
        size => format!("{size}B"),
    }
}

/// What was probably meant by a text that is no duration: other names of units, fractions, any order.
pub(super) fn duration_meant(text: &str) -> Option<String> {
    const UNITS: [(&str, f64); 21] = [
        ("ms", 1.0),
        ("msec", 1.0),
        ("msecs", 1.0),
        ("milliseconds", 1.0),
        ("s", 1e3),
        ("sec", 1e3),
        ("secs", 1e3),
        ("second", 1e3),
        ("seconds", 1e3),
        ("m", 6e4),
        ("min", 6e4),
        ("mins", 6e4),
        ("minute", 6e4),
        ("minutes", 6e4),
        ("h", 3.6e6),
        ("hr", 3.6e6),
        ("hour", 3.6e6),
        ("hours", 3.6e6),
        ("d", 8.64e7),
        ("day", 8.64e7),
        ("days", 8.64e7),
    ];
    let milliseconds = total(text, &UNITS)?;
    Some(show_duration(std::time::Duration::from_millis(milliseconds)))
}

/// What was probably meant by a text that is no size: units of other names, in any case.
pub(super) fn size_meant(text: &str) -> Option<String> {
    const UNITS: [(&str, f64); 11] = [
        ("b", 1.0),
        ("bytes", 1.0),
        ("k", 1024.0),
        ("kb", 1024.0),
        ("kib", 1024.0),
        ("m", 1_048_576.0),
        ("mb", 1_048_576.0),
        ("mib", 1_048_576.0),
        ("g", 1_073_741_824.0),
        ("gb", 1_073_741_824.0),
        ("gib", 1_073_741_824.0),
    ];
    total(text, &UNITS).map(show_size)
}

/// The sum of numbers with units, if it is a whole one.
fn total(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.trim();
    let mut sum = 0.0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let after = after.trim_start();
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        sum += number.parse::<f64>().ok()? * factor;
        rest = after.trim_start();
    }
    // Far below what a float can count exactly, and more than anybody means.
    (sum > 0.0 && sum < 1e15 && sum.fract() == 0.0).then_some(sum as u64)
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1h1m1s1ms", 3_661_001),
            ("0s", 0),
            ("90m", 5_400_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "10 s",
            " 10s",
            "1s1m",
            "1s1s",
            "1d",
            "10S",
            "1m30",
            "99999999999999999h",
            "ä",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_counted_in_powers_of_two() {
        for (text, bytes) in [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("1MiB", 1 << 20), ("10GiB", 10 << 30)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "64", "64KB", "64kib", "64 KiB", "KiB", "1.5MiB", "-1B", "99999999999999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn other_ways_to_write_units_are_understood_but_not_taken() {
        for (text, meant) in [
            ("30sec", Some("30s")),
            ("1.5s", Some("1500ms")),
            ("2d", Some("48h")),
            ("10 S", Some("10s")),
            ("30s1m", Some("90s")),
            ("5 minutes", Some("5m")),
            ("0.1ms", None),
            ("10", None),
            ("s", None),
            ("soon", None),
            ("", None),
            ("1e9s", None),
        ] {
            assert_eq!(duration_meant(text).as_deref(), meant, "{text}");
        }
        for (text, meant) in
            [("64KB", Some("64KiB")), ("64k", Some("64KiB")), ("1.5MiB", Some("1536KiB")), ("1TiB", None), ("64", None)]
        {
            assert_eq!(size_meant(text).as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for text in ["0s", "250ms", "10s", "90s", "2m", "1h", "8760h"] {
            let read = duration(text).unwrap();
            assert_eq!(duration(&show_duration(read)), Some(read));
        }
        for text in ["0B", "1000B", "64KiB", "3MiB", "1GiB"] {
            assert_eq!(show_size(size(text).unwrap()), text);
        }
    }
}
