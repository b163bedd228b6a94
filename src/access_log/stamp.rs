//! When something was, in words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::digits;

/// Writes times. Most are of the same second as the one before, of which only the end differs.
#[derive(Debug)]
pub(super) struct Stamp {
    second: u64,
    text: [u8; LENGTH],
}

const LENGTH: usize = "1970-01-01T00:00:00.000Z".len();
/// Where the milliseconds are.
const MILLIS: usize = LENGTH - 4;
/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

impl Default for Stamp {
    fn default() -> Self {
        Stamp { second: 0, text: *b"1970-01-01T00:00:00.000Z" }
    }
}

impl Stamp {
    /// A time by RFC 3339, in UTC, with milliseconds.
    #[inline]
    pub(super) fn of(&mut self, at: SystemTime) -> [u8; LENGTH] {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != since.as_secs() {
            self.turn(since.as_secs());
        }
        self.text[MILLIS..MILLIS + 3].copy_from_slice(&digits::three(since.subsec_millis()).to_le_bytes()[..3]);
        self.text
    }

    /// Another second has begun. A clock beyond the year 9999, which this has no room for, stands still.
    #[cold]
    fn turn(&mut self, second: u64) {
        // humantime has no room either, and panics where it is asked to write one all the same.
        let written = UNIX_EPOCH + Duration::from_secs(second.min(LAST));
        let written = humantime::format_rfc3339_seconds(written).to_string();
        self.text[..MILLIS - 1].copy_from_slice(&written.as_bytes()[..MILLIS - 1]);
        self.second = second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_it_is_whatever_was_before() {
        let mut stamp = Stamp::default();
        for millis in [7, 1_700_000_000_123, 1_700_000_000_007, 1_700_000_001_000, 1_700_000_000_999, 0] {
            let at = UNIX_EPOCH + Duration::from_millis(millis);
            let text = String::from_utf8(stamp.of(at).to_vec()).unwrap();
            assert_eq!(text, humantime::format_rfc3339_millis(at).to_string());
        }
    }

    #[test]
    fn the_clock_stands_still_at_the_end_of_the_year_9999() {
        let mut stamp = Stamp::default();
        for beyond in [1, 86_400, 1 << 40] {
            let text = stamp.of(UNIX_EPOCH + Duration::from_secs(LAST + beyond));
            assert_eq!(text, *b"9999-12-31T23:59:59.000Z", "{beyond} s later");
        }
        let text = stamp.of(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
        assert_eq!(text, *b"2023-11-14T22:13:20.123Z");
    }
}
