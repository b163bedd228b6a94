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
