//! `Max-Forwards` (RFC 9110 §7.6.2): how far a question about the way itself may go. TRACE, the other method that it
//! counts for, is refused.

use http::header::MAX_FORWARDS;
use http::{HeaderMap, HeaderValue, Method, Request};

/// What becomes of a request by its `Max-Forwards`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes on, with one step less if they were counted.
    On,
    /// It ends here: we answer in the upstream's place.
    Last,
}

/// Counts a step of an OPTIONS request that counts its steps.
pub(super) fn step<B>(request: &mut Request<B>) -> Step {
    if *request.method() != Method::OPTIONS {
        return Step::On;
    }
    match steps_left(request.headers()) {
        None => Step::On,
        Some(0) => Step::Last,
        Some(steps) => {
            request.headers_mut().insert(MAX_FORWARDS, HeaderValue::from(steps - 1));
            Step::On
        }
    }
}

/// The number, if there is one. What is no number is the upstream's to judge.
fn steps_left(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(MAX_FORWARDS).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    // Beyond what a number holds, one step less makes no difference.
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_options_are_counted_and_the_last_one_is_ours() {
        for (method, values, expected, left) in [
            ("OPTIONS", &["3"][..], Step::On, &["2"][..]),
            ("OPTIONS", &["1"][..], Step::On, &["0"][..]),
            ("OPTIONS", &["0"][..], Step::Last, &["0"][..]),
            ("OPTIONS", &["00"][..], Step::Last, &["00"][..]),
            ("OPTIONS", &[][..], Step::On, &[][..]),
            ("OPTIONS", &["-1"][..], Step::On, &["-1"][..]),
            ("OPTIONS", &[""][..], Step::On, &[""][..]),
            ("OPTIONS", &["0", "0"][..], Step::On, &["0", "0"][..]),
            ("OPTIONS", &["99999999999999999999999"][..], Step::On, &["18446744073709551614"][..]),
            ("GET", &["0"][..], Step::On, &["0"][..]),
        ] {
            let mut request = Request::builder().method(method).body(()).unwrap();
            for value in values {
                request.headers_mut().append(MAX_FORWARDS, HeaderValue::from_static(value));
            }
            assert_eq!(step(&mut request), expected, "{method} {values:?}");
            assert_eq!(request.headers().get_all(MAX_FORWARDS).iter().collect::<Vec<_>>(), left, "{method} {values:?}");
        }
    }
}
