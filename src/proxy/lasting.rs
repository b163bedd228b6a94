//! What lasts for long and holds much of a limit, which its operator may not have meant.
//!
//! Looked at from beside, once a minute: no request takes part in it. It is known as far as requests are
//! [entered](super::registry), so nothing is said where nobody can look on.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::registry::{Phase, Registry};
use super::shared::Shared;
use crate::admission::Limiter;

/// Older answers and upgraded connections count as lasting.
const LONG: Duration = Duration::from_secs(60);

/// How many permits of a limit they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lasting {
    /// Upgraded connections.
    upgrades: u32,
    /// Answers that go on.
    streams: u32,
}

impl Registry {
    /// What is held of `limiter` by those that were admitted a minute ago or earlier, and have had the head of their
    /// answer.
    fn lasting(&self, limiter: &Limiter) -> Lasting {
        let mut lasting = Lasting::default();
        let (now, mut lines) = (Instant::now(), HashMap::new());
        for live in self.all() {
            let count = match live.phase() {
                Phase::Upgraded => &mut lasting.upgrades,
                Phase::Response => &mut lasting.streams,
                Phase::Queued | Phase::Upstream | Phase::Abandoned => continue,
            };
            if live.since_admission(now).is_some_and(|held| held >= LONG) && live.holds(limiter, &mut lines) {
                *count = count.saturating_add(live.seats());
            }
        }
        lasting
    }
}

impl Lasting {
    fn held(self) -> u32 {
        self.upgrades.saturating_add(self.streams)
    }

    /// What to write, where they hold half of `limit` or more.
    fn advice(self, limit: u32) -> Option<&'static str> {
        let Lasting { upgrades, streams } = self;
        let held = self.held();
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
            let lasting = self.registry().lasting(limiter);
            let of = limiter.limit();
            if let Some(advice) = lasting.advice(of) {
                let (limit, held) = (limiter.name(), lasting.held());
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
    use std::sync::Arc;

    use http::HeaderValue;
    use tokio::time::advance;

    use super::*;
    use crate::access_log::Readers;
    use crate::config;
    use crate::proxy::registry::Live;

    fn shared(keys: &[(&str, &str)]) -> Shared {
        let keys = [("UPSTREAM", "http://127.0.0.1:9"), ("LIMIT", "8")].iter().chain(keys);
        let environment = keys.map(|(key, value)| (format!("SLUICEGATE_{key}"), (*value).to_owned())).collect();
        let sources = config::Sources { environment, ..config::Sources::default() };
        Shared::try_new(config::load(&sources).unwrap().settings.plan, 1, Readers::default()).unwrap()
    }

    fn enter(shared: &Shared) -> Arc<Live> {
        let id = HeaderValue::from_static("a");
        shared.registry().enter(0, &id, Some(&shared.all_routes[0]), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_counted_in_permits_once_it_has_been_held_for_a_minute() {
        let shared = shared(&[]);
        let entered = |seats, phase| {
            let live = enter(&shared);
            live.claims(seats);
            live.admitted(Instant::now());
            live.is_in(phase);
            live
        };
        let lasting = || {
            let Lasting { upgrades, streams } = shared.registry().lasting(&shared.limiters()[0]);
            (upgrades, streams)
        };
        let _older = [entered(1, Phase::Upgraded), entered(3, Phase::Response), entered(9, Phase::Upstream)];
        advance(LONG / 2).await;
        let younger = entered(2, Phase::Upgraded);
        assert_eq!(lasting(), (0, 0));
        advance(LONG / 2).await;
        assert_eq!(lasting(), (1, 3));
        advance(LONG / 2).await;
        assert_eq!(lasting(), (3, 3));
        drop(younger);
        assert_eq!(lasting(), (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn what_holds_no_permit_of_the_limit_any_more_is_not_counted() {
        for key in [("_ROUTES__DEFAULT__HOLD", "head"), ("_ROUTES__DEFAULT__UPGRADE__SEPARATE", "5")] {
            let shared = shared(&[key]);
            let live = enter(&shared);
            live.admitted(Instant::now());
            live.is_in(Phase::Upgraded);
            advance(LONG).await;
            assert_eq!(shared.registry().lasting(&shared.limiters()[0]), Lasting::default(), "{key:?}");
        }
    }

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
