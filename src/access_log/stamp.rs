//! When something was, in words.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::digits;

/// Writes times. Most are of the same second as the one before, of which only the end differs.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    /// Up to the point before the milliseconds.
    text: Vec<u8>,
}

impl Stamp {
    /// Appends a time by RFC 3339, in UTC, with milliseconds.
    pub(super) fn write(&mut self, at: SystemTime, out: &mut Vec<u8>) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.text.clear();
            let _ = write!(self.text, "{}", humantime::format_rfc3339_seconds(UNIX_EPOCH + since));
            // The Z comes last.
            self.text.pop();
            self.text.push(b'.');
        }
        out.extend_from_slice(&self.text);
        digits::push_three(out, since.subsec_millis());
        out.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_written_as_it_is_whatever_was_before() {
        let mut stamp = Stamp::default();
        for millis in [1_700_000_000_123, 1_700_000_000_007, 1_700_000_001_000, 1_700_000_000_999, 0] {
            let at = UNIX_EPOCH + Duration::from_millis(millis);
            let mut out = Vec::new();
            stamp.write(at, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), humantime::format_rfc3339_millis(at).to_string());
        }
    }
}
