//! Which of the two formats a scraper wants (RFC 9110 §12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

/// Whether it is OpenMetrics. Whoever understands that names it: a range such as `*/*` does not mean it. Where both are
/// worth the same, it is what was named.
pub(super) fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let Some(open) = quality(headers, &["application/openmetrics-text"]) else { return false };
    let classic = quality(headers, &["text/plain", "text/*", "*/*"]).unwrap_or(0.0);
    open > 0.0 && open >= classic
}

/// What a format is worth, from 0 (refused) to 1: as the first of these ranges says that is there.
fn quality(headers: &HeaderMap, ranges: &[&str]) -> Option<f32> {
    ranges.iter().find_map(|range| {
        // One that is there more than once, with versions say, is worth what its best is.
        accepted(headers).filter(|(name, _)| name.eq_ignore_ascii_case(range)).map(|(_, q)| q).reduce(f32::max)
    })
}

/// The ranges of `Accept`, with what each is worth.
fn accepted(headers: &HeaderMap) -> impl Iterator<Item = (&str, f32)> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        // What is no quality says nothing.
        let q = q.and_then(|q| q.parse().ok()).filter(|q| (0.0..=1.0).contains(q));
        (name, q.unwrap_or(1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        wants_open_metrics(&headers)
    }

    #[test]
    fn open_metrics_are_for_those_who_ask() {
        assert!(wants("application/openmetrics-text"));
        assert!(wants("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"));
        assert!(wants("application/openmetrics-text; version=1.0.0, text/plain"));
        assert!(!wants("text/plain;version=0.0.4"));
        assert!(!wants("*/*"));
        assert!(!wants_open_metrics(&HeaderMap::new()));
    }

    #[test]
    fn whoever_prefers_the_older_format_gets_it() {
        assert!(!wants("application/openmetrics-text;q=0.5, text/plain;q=0.9"));
        assert!(!wants("application/openmetrics-text;q=0.5, text/*"));
        assert!(!wants("application/openmetrics-text;q=0.5, */*;q=0.9"));
        assert!(!wants("application/openmetrics-text; Q=0.5, text/plain"));
        assert!(wants("application/openmetrics-text;q=0.5, text/plain;q=0.2, */*;q=0.9"), "the nearest range decides");
        assert!(wants(
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.1,text/plain;q=0.3"
        ));
    }

    #[test]
    fn a_quality_of_zero_is_a_refusal() {
        assert!(!wants("application/openmetrics-text;q=0"));
        assert!(!wants("application/openmetrics-text;q=0, text/plain"));
        assert!(!wants("application/openmetrics-text;q=0.000, text/plain;q=0"));
        assert!(wants("application/openmetrics-text;q=high, text/plain;q=0.9"), "it is none");
    }
}
