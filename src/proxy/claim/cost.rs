//! How much of a limit a request takes.

use http::{HeaderMap, HeaderName};

use crate::admission::{LIMIT_MAX, Reason};

/// How many permits a route's requests take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cost {
    /// All the same.
    Fixed(u32),
    /// As this header says, else 1.
    Header(HeaderName),
}

impl Default for Cost {
    fn default() -> Self {
        Cost::Fixed(1)
    }
}

/// What a header says, and whether it says anything.
pub(super) fn asked(headers: &HeaderMap, name: &HeaderName) -> Result<(u32, bool), Reason> {
    let Some(value) = headers.get(name) else { return Ok((1, false)) };
    let digits = value.to_str().ok().map(str::trim).filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
    let cost = digits.and_then(|digits| digits.parse().ok()).filter(|cost| (1..=LIMIT_MAX).contains(cost));
    cost.map(|cost| (cost, true)).ok_or(Reason::Cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_a_whole_number_from_one() {
        let name = HeaderName::from_static("x-cost");
        for (value, cost) in [
            ("4", Ok((4, true))),
            (" 12 ", Ok((12, true))),
            ("0", Err(Reason::Cost)),
            ("-1", Err(Reason::Cost)),
            ("+1", Err(Reason::Cost)),
            ("1.5", Err(Reason::Cost)),
            ("", Err(Reason::Cost)),
            ("99999999999", Err(Reason::Cost)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(&name, value.parse().unwrap());
            assert_eq!(asked(&headers, &name), cost, "{value:?}");
        }
        assert_eq!(asked(&HeaderMap::new(), &name), Ok((1, false)));
    }
}
