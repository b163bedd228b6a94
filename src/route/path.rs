//! Path patterns and their order.

use std::cmp::{Ordering, Reverse};
use std::fmt;
use std::str::FromStr;

use super::normalize::normalize;

/// Which paths a route takes: `/a/b`, `/users/{id}`, `/v1/*`, or parameters before a last star.
///
/// A parameter is one segment that is not empty; its name plays no part in what matches. `/v1/*` matches `/v1`, `/v1/` and
/// what is below, never `/v1x`; `/*` matches everything.
///
/// The order of patterns is their precedence, the strongest first, wherever two of them can match the same path:
/// exact before parameters before prefixes, longer prefixes before shorter ones, and then, segment by segment, text
/// before a parameter. So `/users/{id}` wins over `/{kind}/me` for `/users/me`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathPattern {
    // The order of the fields is the order of comparison.
    kind: Kind,
    length: Reverse<usize>,
    segments: Vec<Segment>,
    /// The text before the first parameter, by which most paths are ruled out at once.
    leading: String,
    leading_segments: usize,
    names: Names,
}

/// The names of the parameters, in order. They are for those who ask for one: all patterns are equal in this.
#[derive(Debug, Clone, Default)]
struct Names(Vec<String>);

impl PartialEq for Names {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Names {}

impl PartialOrd for Names {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Names {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Exact,
    Parameters,
    Prefix,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// In normal form.
    Literal(String),
    Parameter,
}

/// Why a text is no path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// It does not begin with a slash.
    #[error("`{0}` does not begin with a slash")]
    Relative(String),
    /// A query or fragment, or a character that a path cannot hold.
    #[error("`{0}` holds a character that is not part of a path (escape it as %XX)")]
    Character(String),
    /// A double slash or a dot segment, which no path has after it was made normal.
    #[error("`{0}` has an empty segment or a dot segment, which are resolved before paths are compared")]
    Unreachable(String),
    /// A star that is not the whole last segment.
    #[error("`{0}`: a star can only be the whole last segment, as in /v1/*")]
    Star(String),
    /// Braces that are not around the name of a whole segment.
    #[error("`{0}`: a parameter is a whole segment with a name, as in /users/{{id}}")]
    Parameter(String),
}

impl PathPattern {
    /// What matches everything, as `/*` does.
    pub(super) fn any() -> Self {
        PathPattern::new(Kind::Prefix, Vec::new(), Names::default())
    }

    fn new(kind: Kind, segments: Vec<Segment>, names: Names) -> Self {
        let mut leading = String::new();
        let mut leading_segments = 0;
        for segment in &segments {
            let Segment::Literal(text) = segment else { break };
            leading.push('/');
            leading.push_str(text);
            leading_segments += 1;
        }
        PathPattern { kind, length: Reverse(segments.len()), segments, leading, leading_segments, names }
    }

    /// Whether it matches everything.
    pub(super) fn is_any(&self) -> bool {
        self.kind == Kind::Prefix && self.segments.is_empty()
    }

    /// The one path that it matches, if it is exact.
    pub(super) fn exact(&self) -> Option<&str> {
        (self.kind == Kind::Exact).then_some(self.leading.as_str())
    }

    /// Whether it matches a path in normal form.
    pub fn matches(&self, path: &str) -> bool {
        if self.is_any() {
            return true;
        }
        let Some(mut rest) = path.strip_prefix(self.leading.as_str()) else { return false };
        for segment in &self.segments[self.leading_segments..] {
            let Some(text) = rest.strip_prefix('/') else { return false };
            let (first, after) = text.split_at(text.find('/').unwrap_or(text.len()));
            let matched = match segment {
                Segment::Literal(literal) => literal == first,
                Segment::Parameter => !first.is_empty(),
            };
            if !matched {
                return false;
            }
            rest = after;
        }
        rest.is_empty() || self.kind == Kind::Prefix && rest.starts_with('/')
    }
}

impl PathPattern {
    /// The pattern of its path and all below that, if it is exact.
    pub fn with_what_is_below(&self) -> Option<PathPattern> {
        if self.kind != Kind::Exact {
            return None;
        }
        let mut segments = self.segments.clone();
        // The empty text after a last slash.
        segments.pop_if(|last| matches!(last, Segment::Literal(text) if text.is_empty()));
        Some(PathPattern::new(Kind::Prefix, segments, Names::default()))
    }

    /// Whether it has a parameter of this name.
    pub fn has_parameter(&self, name: &str) -> bool {
        self.names.0.iter().any(|known| known == name)
    }

    /// The value of a parameter in a path in normal form that the pattern matches.
    pub fn parameter<'a>(&self, name: &str, path: &'a str) -> Option<&'a str> {
        let at = self.names.0.iter().position(|known| known == name)?;
        let parameters = self.segments.iter().zip(path.strip_prefix('/')?.split('/'));
        parameters.filter(|(segment, _)| **segment == Segment::Parameter).nth(at).map(|(_, value)| value)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.names.0.iter();
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Parameter => write!(f, "/{{{}}}", names.next().map_or("", String::as_str))?,
            }
        }
        f.write_str(if self.kind == Kind::Prefix { "/*" } else { "" })
    }
}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, PathPatternError> {
        let error = |kind: fn(String) -> PathPatternError| kind(text.to_owned());
        let path = text.strip_prefix('/').ok_or_else(|| error(PathPatternError::Relative))?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte)) {
            return Err(error(PathPatternError::Character));
        }
        let mut texts: Vec<&str> = path.split('/').collect();
        let prefix = texts.pop_if(|last| *last == "*").is_some();
        let last = texts.len().saturating_sub(1);
        let mut segments = Vec::with_capacity(texts.len());
        let mut names = Names::default();
        for (at, text) in texts.into_iter().enumerate() {
            // Only the empty text after the last slash is a segment of its own.
            if text.is_empty() && (prefix || at != last) {
                return Err(error(PathPatternError::Unreachable));
            }
            let segment = Segment::try_new(text).map_err(error)?;
            if segment == Segment::Parameter {
                names.0.push(text.trim_matches(['{', '}']).to_owned());
            }
            segments.push(segment);
        }
        let kind = match prefix {
            true => Kind::Prefix,
            false if segments.contains(&Segment::Parameter) => Kind::Parameters,
            false => Kind::Exact,
        };
        Ok(PathPattern::new(kind, segments, names))
    }
}

impl Segment {
    fn try_new(text: &str) -> Result<Self, fn(String) -> PathPatternError> {
        if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            let valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            return if valid { Ok(Segment::Parameter) } else { Err(PathPatternError::Parameter) };
        }
        if text.contains(['{', '}']) {
            return Err(PathPatternError::Parameter);
        }
        if text.contains('*') {
            return Err(PathPatternError::Star);
        }
        let path = format!("/{text}");
        match normalize(&path).strip_prefix('/') {
            Some(literal) if literal.is_empty() == text.is_empty() => Ok(Segment::Literal(literal.to_owned())),
            _ => Err(PathPatternError::Unreachable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn patterns_match_what_they_say() {
        for (text, matching, others) in [
            ("/a/b", &["/a/b"][..], &["/a/b/", "/a", "/a/bc", "/a/b/c", "/A/b", "a/b"][..]),
            ("/a/", &["/a/"], &["/a", "/a/b"]),
            ("/", &["/"], &["/a", "*"]),
            ("/%72eports", &["/reports"], &["/%72eports"]),
            ("/a%2fb", &["/a%2Fb"], &["/a/b"]),
            ("/users/{id}", &["/users/7", "/users/me"], &["/users", "/users/", "/users/7/", "/users/7/x"]),
            ("/{kind}/", &["/x/"], &["/x", "/", "/x/y"]),
            ("/{kind}/me", &["/users/me", "/x/me"], &["//me", "/users/you"]),
            ("/v1/*", &["/v1", "/v1/", "/v1/a", "/v1/a/b"], &["/v1x", "/v", "/", "/v2/v1"]),
            ("/u/{id}/*", &["/u/7", "/u/7/", "/u/7/x/y"], &["/u", "/u/", "/ux/7"]),
            ("/*", &["/", "/a", "/a/b", "*", ""], &[]),
        ] {
            for path in matching {
                assert!(pattern(text).matches(path), "{text} should match {path}");
            }
            for path in others {
                assert!(!pattern(text).matches(path), "{text} should not match {path}");
            }
        }
    }

    #[test]
    fn the_stronger_pattern_comes_first() {
        let mut patterns = ["/*", "/a/*", "/{x}/me", "/{x}/{y}/*", "/users/{id}", "/a/b/*", "/a/{x}/*", "/users/me"];
        patterns.sort_by_key(|text| pattern(text));
        let expected = ["/users/me", "/users/{id}", "/{x}/me", "/a/b/*", "/a/{x}/*", "/{x}/{y}/*", "/a/*", "/*"];
        assert_eq!(patterns, expected);
    }

    #[test]
    fn names_of_parameters_make_no_difference() {
        assert_eq!(pattern("/users/{id}"), pattern("/users/{name}"));
    }

    #[test]
    fn an_exact_path_is_widened_to_what_is_below_it() {
        for (text, wider) in [("/a/b", "/a/b/*"), ("/a/", "/a/*"), ("/", "/*")] {
            assert_eq!(pattern(text).with_what_is_below(), Some(pattern(wider)), "{text}");
        }
        assert!(["/a/*", "/a/{b}"].iter().all(|text| pattern(text).with_what_is_below().is_none()));
    }

    #[test]
    fn parameters_have_values() {
        let pattern = pattern("/{kind}/x/{id}/*");
        assert_eq!(pattern.parameter("kind", "/a/x/7/more"), Some("a"));
        assert_eq!(pattern.parameter("id", "/a/x/7"), Some("7"));
        assert_eq!(pattern.parameter("other", "/a/x/7"), None);
        assert!(pattern.has_parameter("id") && !pattern.has_parameter("x"));
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let parse = |text: &str| text.parse::<PathPattern>().unwrap_err();
        for text in ["", "a", "*"] {
            assert_eq!(parse(text), PathPatternError::Relative(text.into()));
        }
        for text in ["/a?b", "/a#b", "/a b", "/ä"] {
            assert_eq!(parse(text), PathPatternError::Character(text.into()));
        }
        for text in ["//a", "/a//b", "/a//", "/a/../b", "/./a", "/a/%2e%2e", "/a//*"] {
            assert_eq!(parse(text), PathPatternError::Unreachable(text.into()));
        }
        for text in ["/a*", "/*/a", "/a/**", "/*.js"] {
            assert_eq!(parse(text), PathPatternError::Star(text.into()));
        }
        for text in ["/{}", "/a{b}", "/{b", "/{a-b}", "/x/{a}{b}"] {
            assert_eq!(parse(text), PathPatternError::Parameter(text.into()));
        }
    }
}
