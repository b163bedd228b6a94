//! Until when a client waits for its answer, as it says itself.
//!
//! Believed from everyone: a deadline can only shorten what a request may cost. A value that can't be read is none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

/// gRPC's: up to eight digits and a unit (PROTOCOL-HTTP2 of the gRPC project, "Timeout").
pub(in crate::proxy) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// `250ms`, `2s`, or plain seconds.
pub(in crate::proxy) const REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");
/// Envoy's: milliseconds.
pub(in crate::proxy) const ENVOY_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
/// A point in time: milliseconds of Unix time. Passed on as it is.
pub(in crate::proxy) const REQUEST_DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline");

/// How much longer the client waits: the shortest of what it says, or `None` if it says nothing.
pub(in crate::proxy) fn time_left(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let relative = TIMEOUTS.iter().filter_map(|(name, timeout)| (timeout.read)(headers.get(name)?.to_str().ok()?));
    relative.chain(headers.get(REQUEST_DEADLINE).and_then(|value| until(value.to_str().ok()?, now))).min()
}

/// Takes the time that has passed off what the upstream is told, so that its own clock starts where ours stands. It is
/// asked for only where something is told.
pub(in crate::proxy) fn subtract(headers: &mut HeaderMap, passed: impl Fn() -> Duration) {
    for (name, timeout) in &TIMEOUTS {
        let Some(value) = headers.get_mut(name) else { continue };
        let left = value.to_str().ok().and_then(timeout.read).map(|told| told.saturating_sub(passed()));
        if let Some(left) = left {
            *value = HeaderValue::try_from((timeout.write)(left)).expect("digits and a unit");
        }
    }
}

/// How a field says a duration.
struct Timeout {
    read: fn(&str) -> Option<Duration>,
    write: fn(Duration) -> String,
}

static TIMEOUTS: [(HeaderName, Timeout); 3] = [
    (GRPC_TIMEOUT, Timeout { read: grpc, write: write_grpc }),
    (REQUEST_TIMEOUT, Timeout { read: plain, write: |left| format!("{}ms", left.as_millis()) }),
    (ENVOY_TIMEOUT, Timeout { read: millis, write: |left| left.as_millis().to_string() }),
];

fn grpc(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&number.len()) {
        return None;
    }
    let number = digits(number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// In the finest unit in which eight digits are enough.
fn write_grpc(left: Duration) -> String {
    const MOST: u128 = 99_999_999;
    match (left.as_micros(), left.as_millis(), left.as_secs()) {
        (micros, ..) if micros <= MOST => format!("{micros}u"),
        (_, millis, _) if millis <= MOST => format!("{millis}m"),
        (.., seconds) => format!("{}S", seconds.min(MOST as u64)),
    }
}

fn plain(text: &str) -> Option<Duration> {
    if let Some(number) = text.strip_suffix("ms") {
        return millis(number);
    }
    let seconds = text.strip_suffix('s').unwrap_or(text);
    if !seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
}

fn millis(text: &str) -> Option<Duration> {
    digits(text).map(Duration::from_millis)
}

fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let deadline = UNIX_EPOCH.checked_add(millis(text)?)?;
    Some(deadline.duration_since(now).unwrap_or(Duration::ZERO))
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn left(name: &'static str, value: &str) -> Option<Duration> {
        time_left(&headers(&[(name, value)]), UNIX_EPOCH + Duration::from_millis(1_000))
    }

    #[test]
    fn every_way_of_saying_it_is_read() {
        let millis = |millis| Some(Duration::from_millis(millis));
        for (name, value, expected) in [
            ("grpc-timeout", "250m", millis(250)),
            ("grpc-timeout", "2S", millis(2_000)),
            ("grpc-timeout", "1H", millis(3_600_000)),
            ("grpc-timeout", "1M", millis(60_000)),
            ("grpc-timeout", "5000u", millis(5)),
            ("grpc-timeout", "99999999n", Some(Duration::from_nanos(99_999_999))),
            ("x-request-timeout", "250ms", millis(250)),
            ("x-request-timeout", "2s", millis(2_000)),
            ("x-request-timeout", "2", millis(2_000)),
            ("x-request-timeout", "0.5", millis(500)),
            ("x-envoy-expected-rq-timeout-ms", "15", millis(15)),
            ("x-request-deadline", "1400", millis(400)),
            ("x-request-deadline", "900", millis(0)),
        ] {
            assert_eq!(left(name, value), expected, "{name}: {value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_deadline() {
        for (name, value) in [
            ("grpc-timeout", "250"),
            ("grpc-timeout", "m"),
            ("grpc-timeout", ""),
            ("grpc-timeout", "-1S"),
            ("grpc-timeout", "123456789S"),
            ("grpc-timeout", "1 S"),
            ("x-request-timeout", "soon"),
            ("x-request-timeout", "-1"),
            ("x-request-timeout", "1e400"),
            ("x-request-timeout", ""),
            ("x-request-timeout", "99999999999999999999999"),
            ("x-envoy-expected-rq-timeout-ms", "1.5"),
            ("x-request-deadline", "tomorrow"),
        ] {
            assert_eq!(left(name, value), None, "{name}: {value}");
        }
    }

    #[test]
    fn the_shortest_counts() {
        let said = headers(&[("grpc-timeout", "2S"), ("x-request-timeout", "3s"), ("x-request-deadline", "1500")]);
        assert_eq!(time_left(&said, UNIX_EPOCH + Duration::from_millis(1_000)), Some(Duration::from_millis(500)));
        assert_eq!(time_left(&HeaderMap::new(), UNIX_EPOCH), None);
    }

    #[test]
    fn the_upstream_is_told_what_is_left() {
        let mut said = headers(&[
            ("grpc-timeout", "2S"),
            ("x-request-timeout", "3"),
            ("x-envoy-expected-rq-timeout-ms", "100"),
            ("x-request-deadline", "1500"),
        ]);
        subtract(&mut said, || Duration::from_millis(250));
        assert_eq!(said["grpc-timeout"], "1750000u");
        assert_eq!(said["x-request-timeout"], "2750ms");
        assert_eq!(said["x-envoy-expected-rq-timeout-ms"], "0");
        assert_eq!(said["x-request-deadline"], "1500");
        assert_eq!(write_grpc(Duration::from_secs(200)), "200000m");
        assert_eq!(write_grpc(Duration::from_secs(200_000)), "200000S");
    }
}
