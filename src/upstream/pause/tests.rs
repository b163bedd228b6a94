//! What `Retry-After` says.

use super::*;

/// 1994-11-06 08:49:37.
const THEN: Duration = Duration::from_secs(784_111_777);

fn read(fields: &[(&'static str, &'static str)]) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    asked(&headers, SystemTime::UNIX_EPOCH + THEN)
}

#[test]
fn it_is_seconds_or_a_date_and_anything_else_is_nothing() {
    let seconds = |n: u64| Some(Duration::from_secs(n));
    for (value, time) in [
        ("0", seconds(0)),
        ("1", seconds(1)),
        ("007", seconds(7)),
        ("18446744073709551615", seconds(u64::MAX)),
        ("99999999999999999999999999", Some(Duration::MAX)),
        ("Sun, 06 Nov 1994 08:49:47 GMT", seconds(10)),
        ("Sunday, 06-Nov-94 08:49:47 GMT", seconds(10)),
        ("Sun Nov  6 08:49:47 1994", seconds(10)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(0)),
        ("Sat, 05 Nov 1994 08:49:37 GMT", seconds(0)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1s", None),
        ("1, 2", None),
        ("0x10", None),
        ("soon", None),
        ("Sun, 06 Nov 1994 08:49:47", None),
        ("\u{e9}", None),
    ] {
        assert_eq!(read(&[("retry-after", value)]), time, "{value:?}");
    }
    assert_eq!(read(&[]), None);
}

#[test]
fn a_date_is_taken_by_the_clock_of_whoever_says_it() {
    let until = ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT");
    assert_eq!(read(&[until, ("date", "Sun, 06 Nov 1994 08:49:45 GMT")]), Some(Duration::from_secs(2)));
    assert_eq!(read(&[until, ("date", "yesterday")]), Some(Duration::from_secs(10)));
}
