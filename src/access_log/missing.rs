//! Lines that are not there, and the line that says how many.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::line::missing;
use super::output::Output;

/// What becomes of lines that are not written, under all configurations.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) dropped: AtomicU64,
    pub(super) suppressed: AtomicU64,
}

/// How many lines there are not, and when that was said.
#[derive(Debug)]
pub(super) struct Missing {
    said: (u64, u64),
    at: Instant,
}

/// How often it is said that lines are missing.
const EVERY: Duration = Duration::from_secs(1);

impl Counts {
    fn read(&self) -> (u64, u64) {
        // In one order with the flag that says whether anybody has to be woken for them.
        (self.suppressed.load(SeqCst), self.dropped.load(SeqCst))
    }
}

impl Missing {
    pub(super) fn new() -> Self {
        Missing { said: (0, 0), at: Instant::now() }
    }

    /// Says how many more there are, if it is time. What can't be said is said later, with those that there are by then.
    pub(super) fn say(&mut self, counts: &Counts, at_once: bool, output: &mut Output) {
        let now = counts.read();
        if now == self.said || !at_once && !self.due_in().is_zero() {
            return;
        }
        self.at = Instant::now();
        // It is not a line that somebody would miss.
        if output.write(missing(now.0 - self.said.0, now.1 - self.said.1, output.text).as_bytes()) == 0 {
            self.said = now;
        }
    }

    pub(super) fn are_all_said(&self, counts: &Counts) -> bool {
        counts.read() == self.said
    }

    /// How long it is until the next may be said.
    pub(super) fn due_in(&self) -> Duration {
        EVERY.saturating_sub(self.at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::StorageFull;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::access_log::output::tests::{script, text};

    #[test]
    fn what_could_not_be_said_is_said_later() {
        let counts = Counts::default();
        let mut missing = Missing::new();
        let (mut output, takes) = script(&[Err(StorageFull), Ok(5), Err(StorageFull)]);
        counts.dropped.store(2, Relaxed);
        missing.say(&counts, true, &mut output);
        assert!(!missing.are_all_said(&counts), "there was no room");
        missing.say(&counts, true, &mut output);
        assert!(!missing.are_all_said(&counts), "there was room for half of it");
        counts.suppressed.store(3, Relaxed);
        missing.say(&counts, true, &mut output);
        assert!(missing.are_all_said(&counts));
        let said = text(&takes);
        let (torn, whole) = said.split_once('\n').unwrap();
        assert_eq!(torn, "{\"kin");
        let line: serde_json::Value = serde_json::from_str(whole).unwrap();
        assert_eq!((&line["suppressed"], &line["dropped"]), (&3.into(), &2.into()), "{line}");
        missing.say(&counts, true, &mut output);
        assert_eq!(text(&takes), "", "once is enough");
    }
}
