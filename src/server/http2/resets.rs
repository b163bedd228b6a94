//! How often a client takes back what it has asked for.

use std::time::Instant;

/// A bucket of resets before the answer has begun: each such request has gone through the queue, and may have sent the
/// upstream to work for nothing (CVE-2023-44487). Streams that are left after that are how conversations end.
#[derive(Debug)]
pub(super) struct Resets {
    /// How many there are more than time has forgiven.
    level: f64,
    since: Option<Instant>,
}

/// nghttp2's figures: so many at once, and so many a second for ever. Nobody changes its mind more often.
const BURST: f64 = 1000.0;
const PER_SECOND: f64 = 33.0;

impl Resets {
    pub(super) const fn new() -> Self {
        Resets { level: 0.0, since: None }
    }

    /// Counts one, and says what is to be thought of it.
    pub(super) fn count(&mut self, now: Instant) -> Verdict {
        if let Some(since) = self.since.replace(now) {
            let forgiven = now.saturating_duration_since(since).as_secs_f64() * PER_SECOND;
            self.level = (self.level - forgiven).max(0.0);
        }
        self.level += 1.0;
        match self.level {
            level if level <= BURST => Verdict::Fine,
            // One that was told to go has asked for as much again.
            level if level <= 2.0 * BURST => Verdict::TooMuch,
            _ => Verdict::Flood,
        }
    }
}

/// What a client's resets deserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// It should go, in good order.
    TooMuch,
    /// It has to go.
    Flood,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_forgiven_in_time() {
        let (mut resets, start) = (Resets::new(), Instant::now());
        assert!((0..1000).all(|_| resets.count(start) == Verdict::Fine));
        assert_eq!(resets.count(start), Verdict::TooMuch);
        assert_eq!(resets.count(start + Duration::from_secs(1)), Verdict::Fine);
        assert!((0..1100).any(|_| resets.count(start + Duration::from_secs(1)) == Verdict::Flood));
    }

    #[test]
    fn a_client_that_cancels_now_and_then_is_never_told_to_go() {
        let (mut resets, mut now) = (Resets::new(), Instant::now());
        for _ in 0..100_000 {
            now += Duration::from_millis(32);
            assert_eq!(resets.count(now), Verdict::Fine);
        }
    }
}
