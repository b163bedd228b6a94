//! When something was, in words.

use std::time::{SystemTime, UNIX_EPOCH};

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
        self.text[MILLIS..MILLIS + 3].copy_from_slice(&digits::three(since.subsec_millis()));
        self.text
    }

    /// Another second has begun. A clock beyond the year 9999, which this has no room for, stands still.
    #[cold]
    fn turn(&mut self, second: u64) {
        let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + std::time::Duration::from_secs(second));
        let mut written = Vec::with_capacity(LENGTH);
        if std::io::Write::write_fmt(&mut written, format_args!("{text}")).is_ok() && written.len() == MILLIS {
            self.text[..MILLIS - 1].copy_from_slice(&written[..MILLIS - 1]);
        }
        self.second = second;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}
