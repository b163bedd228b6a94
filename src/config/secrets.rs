//! What no message shows of what was written.

use std::ops::Range;

/// Hides what stands between `://` and `@`, where people put passwords, one star for each character.
pub(super) fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(['/', '"', '\'', ' ', ',']).unwrap_or(after.len());
        let secret = after[..end].rfind('@').unwrap_or(0);
        shown.extend(after[..secret].chars().map(|_| '*'));
        rest = &after[secret..];
    }
    shown + rest
}

/// Where the values of keys called `token` are in a file. It may be no TOML, so what is hidden is rather too much: all
/// that follows in the line.
pub(super) fn tokens(text: &str) -> Vec<Range<usize>> {
    let values = text.match_indices("token").filter_map(|(at, name)| {
        if text[..at].ends_with(|before: char| before.is_alphanumeric() || "-_".contains(before)) {
            return None;
        }
        let after = &text[at + name.len()..];
        let after = after.strip_prefix(['"', '\'']).unwrap_or(after).trim_start();
        Some(after.strip_prefix('=')?.trim_start())
    });
    values.map(|value| text.len() - value.len()..text.len() - value.len() + length(value)).collect()
}

/// How far a value may reach: a text in three quotes goes on in the next lines.
fn length(value: &str) -> usize {
    let quoted = ["\"\"\"", "'''"].into_iter().find_map(|quotes| {
        let inside = value.strip_prefix(quotes)?;
        Some(quotes.len() + inside.find(quotes).unwrap_or(inside.len()))
    });
    let last_line = quoted.unwrap_or(0);
    value[last_line..].find('\n').map_or(value.len(), |end| last_line + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> Vec<&str> {
        tokens(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn tokens_are_found_in_whatever_was_written() {
        for (text, value) in [
            ("token = \"s\"\nlisten = 1", "\"s\""),
            ("[admin]\n\"token\"=s", "s"),
            ("admin.token =\n \"s", "\"s"),
            ("admin = { token = 's', listen = 'x' }", "'s', listen = 'x' }"),
            ("token = \"\"\"\na\"b\n\"\"\" # x\nlisten", "\"\"\"\na\"b\n\"\"\" # x"),
            ("token = '''\na\nb", "'''\na\nb"),
        ] {
            assert_eq!(hidden(text), [value], "{text}");
        }
        for text in ["token_file = \"f\"", "x-token = \"*\"", "token", "token: s", "tokens = 1"] {
            assert_eq!(hidden(text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        for (text, shown) in [
            ("url = \"http://me:secret@host/a@b\"", "url = \"http://*********@host/a@b\""),
            ("http://a@b@c", "http://***@c"),
            ("http://host, x@y", "http://host, x@y"),
            ("no url@all", "no url@all"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }
}
