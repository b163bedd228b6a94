//! What lasts for long and holds much of a limit, which its operator may not have meant.
//!
//! Looked at from beside, once a minute: no request takes part in it. It is known as far as requests are
//! [entered](super::registry), so nothing is said where nobody can look on.

use std::time::Duration;

use super::shared::Shared;

/// Older answers and upgraded connections count as lasting.
const LONG: Duration = Duration::from_secs(60);

/// How many of them hold permits of a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lasting {
    /// Upgraded connections.
    pub(super) upgrades: u32,
    /// Answers that go on.
    pub(super) streams: u32,
}

impl Lasting {
    /// What to write, where they hold half of `limit` or more.
    fn advice(self, limit: u32) -> Option<&'static str> {
        let Lasting { upgrades, streams } = self;
        let held = upgrades.saturating_add(streams);
        if held == 0 || held < limit - limit / 2 {
            return None;
        }
        Some(match (upgrades, streams) {
            (_, 0) => "upgrade = { separate = N } in their routes counts them apart",
            (0, _) => "hold = \"head\" counts them until their answer begins, max_duration on a route ends them",
            _ => {
                "upgrade = { separate = N } in their routes counts upgrades apart, hold = \"head\" counts the others \
                  until their answer begins"
            }
        })
    }
}

impl Shared {
    /// Warns of each limit of which half or more is held by what has lasted for over a minute. To be called once
    /// a minute.
    pub fn warn_of_lasting(&self) {
        for limiter in self.limiters() {
            let lasting = self.registry().lasting(limiter, LONG);
            let of = limiter.limit();
            if let Some(advice) = lasting.advice(of) {
                let (limit, held) = (limiter.name(), lasting.upgrades + lasting.streams);
                tracing::warn!(
                    limit,
                    held,
                    of,
                    upgrades = lasting.upgrades,
                    streams = lasting.streams,
                    "half of a limit or more is held by what has lasted for over a minute; {advice}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_limit_is_worth_a_word_and_less_is_not() {
        let advice = |upgrades, streams, limit| Lasting { upgrades, streams }.advice(limit);
        assert_eq!([advice(0, 0, 1), advice(1, 0, 3), advice(2, 1, 7)], [None; 3]);
        assert!(advice(2, 0, 4).is_some_and(|advice| advice.starts_with("upgrade = ")));
        assert!(advice(0, 1, 1).is_some_and(|advice| advice.starts_with("hold = ")));
        let both = advice(1, 1, 4).unwrap();
        assert!(both.contains("upgrade = ") && both.contains("hold = "));
    }
}
