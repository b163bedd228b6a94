//! Moments as RFC 3339 writes them: from 1970 to the year 9999, whatever a clock says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last moment that has a name there.
const LAST: Duration = Duration::new(253_402_300_799, 999_999_999);

/// A moment in UTC, to the second: `2026-03-01T12:00:00Z`.
pub(super) fn rfc3339(moment: SystemTime) -> String {
    seconds(since_1970(moment)) + "Z"
}

/// The same to the millisecond: `2026-03-01T12:00:00.250Z`.
pub(super) fn rfc3339_millis(moment: SystemTime) -> String {
    let since = since_1970(moment);
    format!("{}.{:03}Z", seconds(since), since.subsec_millis())
}

fn since_1970(moment: SystemTime) -> Duration {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().min(LAST)
}

fn seconds(since: Duration) -> String {
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// The date so many days after 1970-01-01. Years begin in March here, so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 are 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March or August on always have 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_000_000_000, "2001-09-09T01:46:40Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), written);
        }
        let moment = UNIX_EPOCH + Duration::from_millis(1_700_000_000_007);
        assert_eq!(rfc3339_millis(moment), "2023-11-14T22:13:20.007Z");
    }

    #[test]
    fn a_clock_that_is_far_off_stands_still_where_the_years_end() {
        let after = UNIX_EPOCH + LAST + Duration::from_nanos(1);
        for moment in [after, after + Duration::from_secs(1 << 40)] {
            assert_eq!(rfc3339(moment), "9999-12-31T23:59:59Z");
            assert_eq!(rfc3339_millis(moment), "9999-12-31T23:59:59.999Z");
        }
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(rfc3339_millis(before), "1970-01-01T00:00:00.000Z");
    }
}
