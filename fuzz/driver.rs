//! Feeds a target with broken input: what is valid, changed here and there.
//!
//! No coverage guides it, but a target says what it made of its input: what leads to something new is changed further.
//! In an ordinary run of the tests each target has a moment; `fuzz/run SECONDS` gives them longer.

use std::collections::HashSet;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;

/// What is kept to be changed further.
const KEPT: usize = 2000;
/// No input is longer: the bounds of parsers have tests of their own.
const LONGEST: usize = 4096;

/// Runs `target` on changes of `seeds`, into which `words` are mixed. What it returns tells inputs apart.
///
/// # Panics
/// When the target does, with the input and the seed.
pub(crate) fn fuzz<T: Debug>(name: &str, seeds: &[&str], words: &[&str], mut target: impl FnMut(&[u8]) -> T) {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let time = variable("SLUICEGATE_FUZZ_SECONDS").map_or(Duration::from_millis(200), Duration::from_secs);
    let seed = variable("SLUICEGATE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mut random = Rng::with_seed(seed);
    let (start, mut runs) = (Instant::now(), 0u64);
    let mut kept: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let mut shapes = HashSet::new();
    let unchanged = kept.clone();
    let mut inputs = unchanged.into_iter();
    while start.elapsed() < time {
        let input = inputs.next().unwrap_or_else(|| change(&kept, words, &mut random));
        runs += 1;
        match catch_unwind(AssertUnwindSafe(|| target(&input))) {
            Ok(outcome) if kept.len() < KEPT && shapes.insert(format!("{outcome:?}")) => kept.push(input),
            Ok(_) => {}
            Err(panic) => {
                eprintln!("{name}: SLUICEGATE_FUZZ_SEED={seed}, run {runs}: b\"{}\"", input.escape_ascii());
                resume_unwind(panic);
            }
        }
    }
    println!("{name}: seed {seed}, {runs} runs, {} kinds of outcomes", shapes.len());
}

/// One of the inputs, changed a few times.
fn change(kept: &[Vec<u8>], words: &[&str], random: &mut Rng) -> Vec<u8> {
    let mut input = kept[random.usize(..kept.len())].clone();
    for _ in 0..=random.usize(..4) {
        let at = random.usize(..=input.len());
        let until = (at + random.usize(..=8)).min(input.len());
        match random.u8(..7) {
            0 => drop(input.splice(at..until, std::iter::empty())),
            1 => drop(input.splice(at..at, [random.u8(..)])),
            2 if at < input.len() => input[at] = random.u8(..),
            3 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            4 if !words.is_empty() => {
                let word = words[random.usize(..words.len())];
                drop(input.splice(at..until.min(at + random.usize(..2)), word.bytes()));
            }
            5 => {
                let again = input[at..until].to_vec();
                drop(input.splice(at..at, again.repeat(random.usize(1..4))));
            }
            _ => {
                let other = &kept[random.usize(..kept.len())];
                let from = random.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// Header fields out of lines `name: value`; what can be none is left out.
pub(crate) fn fields(lines: &[u8]) -> http::HeaderMap {
    let mut fields = http::HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (http::HeaderName::from_bytes(name), http::HeaderValue::from_bytes(value)) {
            fields.append(name, value);
        }
    }
    fields
}
