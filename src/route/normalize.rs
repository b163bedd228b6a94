//! The form in which paths are compared.

use std::borrow::Cow;

/// The path as routes see it: escaped unreserved characters are decoded (RFC 3986 §6.2.2.2), other escapes are in
/// upper case, runs of slashes are one slash, and dot segments are resolved.
///
/// `%2F` stays what it is, since a slash in a segment is not a separator. A broken escape stays too. A path that is
/// normal already is borrowed, which is the common case and costs one pass over its bytes. `path` has no query; what
/// does not begin with a slash (the `*` of OPTIONS) is left alone.
pub fn normalize(path: &str) -> Cow<'_, str> {
    if !path.starts_with('/') || is_normal(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    let decoded = decode_unreserved(path);
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut normal = String::with_capacity(decoded.len());
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    // A path that ended in a slash or in a dot segment named a folder, and still does.
    if normal.is_empty() || ["/", "/.", "/.."].iter().any(|end| decoded.ends_with(end)) {
        normal.push('/');
    }
    Cow::Owned(normal)
}

fn is_normal(path: &[u8]) -> bool {
    path.iter().enumerate().all(|(at, byte)| match byte {
        b'/' => {
            !matches!(&path[at + 1..], [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..])
        }
        b'%' => match escape(&path[at..]) {
            Some(decoded) => !is_unreserved(decoded) && !path[at + 1..at + 3].iter().any(u8::is_ascii_lowercase),
            None => true,
        },
        _ => true,
    })
}

fn decode_unreserved(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match escape(rest.as_bytes()) {
            Some(byte) if is_unreserved(byte) && !completes_an_escape(&decoded, byte) => {
                decoded.push(char::from(byte));
                3
            }
            Some(_) => {
                decoded.push_str(&rest[..3].to_ascii_uppercase());
                3
            }
            None => {
                decoded.push('%');
                1
            }
        };
        rest = &rest[taken..];
    }
    decoded.push_str(rest);
    decoded
}

/// Whether this byte would make an escape of a broken one before it: what was decoded is not decoded again.
fn completes_an_escape(decoded: &str, byte: u8) -> bool {
    let broken = match decoded.as_bytes() {
        [.., b'%'] => true,
        [.., b'%', digit] => digit.is_ascii_hexdigit(),
        _ => false,
    };
    broken && byte.is_ascii_hexdigit()
}

/// The byte that an escape at the start of `text` stands for.
pub(super) fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    // Two hexadecimal digits always fit.
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// RFC 3986 §2.3.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_that_mean_the_same_have_one_form() {
        for (path, normal) in [
            ("/reports", "/reports"),
            ("/%72eports", "/reports"),
            ("/%7Euser/%2d", "/~user/-"),
            ("/a//b///c", "/a/b/c"),
            ("//", "/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../../a", "/a"),
            ("/..", "/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a//../b", "/b"),
            ("/a/", "/a/"),
            ("/a//", "/a/"),
            ("/.../a", "/.../a"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%2F..%2Fb", "/a%2F..%2Fb"),
            ("/%e4", "/%E4"),
            ("/%2565", "/%2565"),
            ("/%zz/%", "/%zz/%"),
            ("/x%7", "/x%7"),
            ("/e%e%62e", "/e%e%62e"),
            ("/%%36%31", "/%%361"),
            ("/ü", "/ü"),
            ("/%€", "/%€"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(normalize(path), normal, "{path}");
        }
    }

    #[test]
    fn a_normal_path_is_not_copied() {
        for path in ["/", "/a/b.c/", "/a%2Fb", "/...", "/.a/..b", "*"] {
            assert!(matches!(normalize(path), Cow::Borrowed(_)), "{path}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_normal_stays(path in "/[ab./%2eEF~\u{e4}]{0,16}") {
            let normal = normalize(&path).into_owned();
            prop_assert!(!normal.contains("//") && !normal.contains("/./") && !normal.contains("/../"), "{normal}");
            prop_assert!(normal.starts_with('/'));
        }
    }
}
