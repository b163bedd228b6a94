//! Whether a command has printed what a document shows.
//!
//! Word by word, however many blanks are between them. Times are any times: what matters is that there is one. A line of
//! `…` stands for any lines, and a `…` at the end of a line for its rest.

/// What is different, if anything.
pub fn difference(shown: &str, seen: &str) -> Option<String> {
    let shown: Vec<_> = lines(shown);
    let seen: Vec<_> = lines(seen);
    (!matches(&shown, &seen)).then(|| format!("shown:\n{}\nseen:\n{}", shown.join("\n"), seen.join("\n")))
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect()
}

fn matches(shown: &[&str], seen: &[&str]) -> bool {
    match shown.split_first() {
        None => seen.is_empty(),
        Some((first, rest)) if first.trim() == "…" => (0..=seen.len()).any(|from| matches(rest, &seen[from..])),
        Some((first, rest)) => {
            seen.split_first().is_some_and(|(line, more)| same_line(first, line) && matches(rest, more))
        }
    }
}

fn same_line(shown: &str, seen: &str) -> bool {
    let mut seen = seen.split_whitespace();
    for word in shown.split_whitespace() {
        if word == "…" {
            return true;
        }
        if !seen.next().is_some_and(|other| same_word(word, other)) {
            return false;
        }
    }
    seen.next().is_none()
}

fn same_word(shown: &str, seen: &str) -> bool {
    shown == seen || (is_time(shown) && is_time(seen) && shape(shown) == shape(seen))
}

/// Digits, however many, are one.
fn shape(word: &str) -> String {
    let mut shape = String::new();
    for c in word.chars() {
        match c.is_ascii_digit() {
            true if shape.ends_with('0') => {}
            true => shape.push('0'),
            false => shape.push(c),
        }
    }
    shape
}

fn is_time(word: &str) -> bool {
    let bare = word.rsplit('=').next().expect("a part").trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let shape = shape(bare);
    matches!(
        shape.as_str(),
        "0.0" | "0.0s" | "0s" | "0ms" | "0.0ms" | "0m" | "0m0s" | "0-0-0T0:0:0Z" | "0-0-0T0:0:0.0Z"
    )
}

#[test]
fn times_are_any_times_and_everything_else_is_what_it_is() {
    let shown = "LIMIT  OLDEST  IN\napi    0.4s    3/8\n";
    assert_eq!(difference(shown, "LIMIT OLDEST IN\napi 12.9s 3/8\n"), None);
    assert!(difference(shown, "LIMIT OLDEST IN\napi 12.9s 4/8\n").is_some());
    assert!(difference(shown, "LIMIT OLDEST IN\napi - 3/8\n").is_some());
    assert!(difference(shown, "LIMIT OLDEST IN\napi 0.4s 3/8\nmore\n").is_some());
    assert_eq!(difference("a\n…\nz …\n", "a\nb\nc\nz y x\n"), None);
    assert!(difference("a\n…\nz\n", "a\nb\n").is_some());
    assert_eq!(difference("until 2026-03-01T12:00:00Z by x", "until 2027-11-30T02:10:59Z by x"), None);
}
