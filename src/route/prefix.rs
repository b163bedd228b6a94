//! A path's beginning that is taken off before the request is sent on.

use std::str::FromStr;

use super::normalize::{escape, is_unreserved};

/// Some whole segments at the beginning of a path, such as `/v1`.
///
/// They are found as routes find them, in that an escaped letter is the letter (`/%761/a`), but in the path's own bytes:
/// what is behind them stays as it was written, and so does a path in which a double slash or a dot segment comes before
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPrefix(String);

/// Why a text is no such beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathPrefixError {
    /// It is not `/a` or `/a/b`: it has no slash at its beginning, or one at its end.
    #[error("write it with a slash at its beginning and none at its end, as in \"/v1\"")]
    Form,
    /// A character that is in no path, or means something else in one.
    #[error("`{0}` is no part of a plain path: letters, digits and -._~!$&'()+,;=:@ are")]
    Character(char),
}

impl PathPrefix {
    /// What is left of `target`, a path with or without a query, if it begins so. It may be empty.
    pub fn strip<'a>(&self, target: &'a str) -> Option<&'a str> {
        let mut rest = target.as_bytes();
        for expected in self.0.bytes() {
            let (byte, length) = match escape(rest) {
                Some(byte) if is_unreserved(byte) => (byte, 3),
                _ => (*rest.first()?, 1),
            };
            if byte != expected {
                return None;
            }
            rest = &rest[length..];
        }
        let ends = matches!(rest.first(), None | Some(b'/' | b'?'));
        ends.then(|| &target[target.len() - rest.len()..])
    }
}

impl FromStr for PathPrefix {
    type Err = PathPrefixError;

    fn from_str(text: &str) -> Result<Self, PathPrefixError> {
        let segments = text.strip_prefix('/').ok_or(PathPrefixError::Form)?;
        if segments.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(PathPrefixError::Form);
        }
        let plain = |c: &char| c.is_ascii_alphanumeric() || "/-._~!$&'()+,;=:@".contains(*c);
        match text.chars().find(|c| !plain(c)) {
            Some(other) => Err(PathPrefixError::Character(other)),
            None => Ok(PathPrefix(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_segments_are_taken_off_and_the_rest_is_untouched() {
        for (prefix, target, rest) in [
            ("/v1", "/v1", Some("")),
            ("/v1", "/v1/", Some("/")),
            ("/v1", "/v1?a=/v1", Some("?a=/v1")),
            ("/v1", "/v1/a%2f%zz//../b?%20&&", Some("/a%2f%zz//../b?%20&&")),
            ("/v1", "/v1/v1", Some("/v1")),
            ("/v1", "/%761/a", Some("/a")),
            ("/v1", "/v%31", Some("")),
            ("/a/b", "/a/b/\u{e9}", Some("/\u{e9}")),
            ("/v1", "/v1x", None),
            ("/v1", "/V1", None),
            ("/v1", "/v", None),
            ("/v1", "/", None),
            ("/v1", "/%", None),
            ("/a/b", "/a%2fb", None),
            ("/v1", "//v1/a", None),
            ("/v1", "/x/../v1/a", None),
            ("/v1", "*", None),
        ] {
            assert_eq!(prefix.parse::<PathPrefix>().unwrap().strip(target), rest, "{prefix} of {target}");
        }
    }

    #[test]
    fn what_no_request_could_begin_with_is_no_prefix() {
        for text in
            ["", "/", "v1", "/v1/", "//v1", "/a//b", "/./a", "/a/..", "/v1/*", "/{id}", "/a b", "/a?b", "/%76", "/ä"]
        {
            assert!(text.parse::<PathPrefix>().is_err(), "{text}");
        }
    }
}
