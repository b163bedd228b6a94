//! Paths, hosts and what is taken off them.

use super::{HostPattern, PathPattern, PathPrefix, host_name, normalize};
use crate::fuzz::fuzz;

const WORDS: &[&str] = &[
    "/", "//", "/./", "/../", "%", "%2f", "%2F", "%2e", "%7E", "%zz", "?", "*", "/*", "{id}", "{", "}", "a", ".",
    "\u{e9}", "..", "/v1",
];

/// A pattern or prefix, a space, and a path.
fn parts(bytes: &[u8]) -> Option<(&str, &str)> {
    str::from_utf8(bytes).ok()?.split_once(' ')
}

#[test]
fn a_path_has_one_normal_form_and_a_pattern_takes_it_or_leaves_it() {
    let seeds = &["/v1/* /v1//a/../b", "/users/{id} /users/%7Ea", "/a/b /a%2fb", "/* /", "/{a}/x/* /%2e%2e/x/y"];
    fuzz("patterns", seeds, WORDS, |bytes| {
        let (pattern, path) = parts(bytes)?;
        let normal = normalize(path);
        assert_eq!(normalize(&normal), normal, "{path:?}");
        assert!(!path.starts_with('/') || normal.starts_with('/'), "{path:?}");
        let pattern: PathPattern = pattern.parse().ok()?;
        let matched = pattern.matches(&normal);
        if let Some(value) = pattern.parameter("id", path) {
            assert!(!value.contains('/'), "{value:?}");
        }
        Some((matched, normal.len() == path.len()))
    });
}

#[test]
fn what_is_left_of_a_path_is_its_end_and_means_the_same() {
    let seeds = &["/v1 /v1/a?b", "/a/b /a/b", "/v1 /%761/%2e%2e/x", "/v1 /v1x"];
    fuzz("prefixes", seeds, WORDS, |bytes| {
        let (prefix, target) = parts(bytes)?;
        let parsed: PathPrefix = prefix.parse().ok()?;
        let rest = parsed.strip(target)?;
        assert!(target.ends_with(rest) && (rest.is_empty() || rest.starts_with(['/', '?'])), "{rest:?}");
        // What was taken off is what the prefix says.
        assert_eq!(normalize(&target[..target.len() - rest.len()]), prefix);
        Some(rest.len())
    });
}

#[test]
fn whatever_a_host_is_it_has_a_name_to_compare() {
    let seeds = &["*.example.com a.example.com:80", "[::1] [::1]:80", "a.b A.B.", "a a"];
    fuzz("hosts", seeds, &["[", "]", ":", ".", "*.", "80", "A", "\u{e9}", "::1"], |bytes| {
        let (pattern, host) = parts(bytes)?;
        let name = host_name(host);
        Some((pattern.parse::<HostPattern>().is_ok(), name.len() == host.len()))
    });
}
