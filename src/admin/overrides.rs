//! Changes that end by themselves.
//!
//! An override holds for one limit until its time is over or it is taken back. Another one changes what it mentions, and
//! the time. What no override mentions is as configured, and so is everything once it is gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::context::By;
use crate::admission::Limiter;

/// The overrides in force, by the name of their limit.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    entries: Mutex<BTreeMap<String, Entry>>,
    /// There may be an earlier end than the one that is waited for.
    changed: Notify,
}

/// What is other than configured.
pub(super) use crate::admission::Overrides as Values;

/// An override in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Override {
    pub(super) values: Values,
    /// Its end by the wall clock, for people; `None` for never.
    pub(super) until: Option<SystemTime>,
    pub(super) by: By,
}

#[derive(Debug)]
struct Entry {
    limiter: Limiter,
    shown: Override,
    /// Its end by the clock that is never set.
    ends_at: Option<Instant>,
}

impl Overrides {
    /// Puts an override in force at once, on top of the one before it. Without `lasts` it has no end.
    pub(super) fn put(&self, limiter: &Limiter, values: Values, lasts: Option<Duration>, by: By) -> Override {
        let until = lasts.map(|lasts| SystemTime::now() + lasts);
        let ends_at = lasts.map(|lasts| Instant::now() + lasts);
        let mut entries = self.lock();
        let mut values = match entries.get(limiter.name()) {
            Some(before) => values.over(&before.shown.values),
            None => values,
        };
        // A number that is set does not move, so there is nothing to freeze.
        values.freeze = values.freeze.filter(|_| values.limit.is_none());
        let shown = Override { values, until, by };
        limiter.override_settings(shown.values.clone());
        entries.insert(limiter.name().to_owned(), Entry { limiter: limiter.clone(), shown: shown.clone(), ends_at });
        drop(entries);
        self.changed.notify_one();
        shown
    }

    /// Takes the override of this limit back, if there is one.
    pub(super) fn remove(&self, name: &str) -> Option<Override> {
        let mut entries = self.lock();
        let entry = entries.remove(name)?;
        entry.limiter.override_settings(Values::default());
        Some(entry.shown)
    }

    /// The override of this limit, if it has anything to say there: a reload may have made a limit fixed that was frozen.
    pub(super) fn of(&self, name: &str) -> Option<Override> {
        let entries = self.lock();
        let Entry { limiter, shown, .. } = entries.get(name)?;
        let mut shown = shown.clone();
        shown.values.freeze = shown.values.freeze.filter(|_| limiter.settings().limit_max.is_some());
        (shown.values != Values::default()).then_some(shown)
    }

    /// Takes each override back when its time is over. Never ends.
    pub(super) async fn expire(self: Arc<Self>) {
        loop {
            // Asked for before the ends are looked at, so that no change falls between the two.
            let changed = self.changed.notified();
            match self.take_back(Instant::now()) {
                None => changed.await,
                Some(next) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(next) => {}
                },
            }
        }
    }

    /// Takes back what is over, and says when the next one will be.
    fn take_back(&self, now: Instant) -> Option<Instant> {
        let mut entries = self.lock();
        entries.retain(|name, entry| {
            let is_over = entry.ends_at.is_some_and(|end| end <= now);
            if is_over {
                entry.limiter.override_settings(Values::default());
                tracing::info!(limit = %name, by = %entry.shown.by, "the time of an override is over");
            }
            !is_over
        });
        entries.values().filter_map(|entry| entry.ends_at).min()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // Limits are set under this lock so that they agree with the entries in the end, whatever the order.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::admission::Settings;
    use tokio::time::sleep;

    const BY: By = By::Unix;
    const MINUTE: Duration = Duration::from_secs(60);

    fn limit(n: u32) -> Values {
        Values { limit: NonZeroU32::new(n), ..Values::default() }
    }

    fn start() -> (Arc<Overrides>, Limiter) {
        let overrides = Arc::<Overrides>::default();
        tokio::spawn(overrides.clone().expire());
        (overrides, Limiter::new(Settings::new("api", NonZeroU32::new(3).unwrap())))
    }

    #[tokio::test(start_paused = true)]
    async fn an_override_holds_for_its_time() {
        let (overrides, limiter) = start();
        overrides.put(&limiter, limit(8), Some(MINUTE), BY);
        assert_eq!((limiter.limit(), limiter.queue()), (8, 16));
        sleep(MINUTE - Duration::from_millis(10)).await;
        assert_eq!(overrides.of("api").unwrap().values, limit(8));
        sleep(Duration::from_millis(20)).await;
        assert_eq!((limiter.limit(), overrides.of("api")), (3, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_override_adds_to_the_values_and_replaces_the_time_of_the_first() {
        let (overrides, limiter) = start();
        let timeout = Duration::from_secs(1);
        overrides.put(&limiter, Values { queue_timeout: Some(timeout), ..limit(8) }, Some(MINUTE), BY);
        assert_eq!(limiter.queue_timeout(), timeout);
        sleep(MINUTE / 2).await;
        overrides.put(&limiter, Values { queue: Some(0), ..limit(5) }, Some(MINUTE), BY);
        assert_eq!((limiter.limit(), limiter.queue(), limiter.queue_timeout()), (5, 0, timeout));
        sleep(MINUTE * 3 / 4).await;
        assert_eq!((limiter.limit(), limiter.queue()), (5, 0), "the first one's end is none any more");
        sleep(MINUTE / 2).await;
        assert_eq!((limiter.limit(), limiter.queue()), (3, 16));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_time_replaces_a_longer_one() {
        let (overrides, limiter) = start();
        overrides.put(&limiter, limit(8), Some(MINUTE * 60), BY);
        sleep(MINUTE).await;
        overrides.put(&limiter, limit(9), Some(MINUTE), BY);
        sleep(MINUTE * 2).await;
        assert_eq!(limiter.limit(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn one_without_an_end_stays_until_it_is_taken_back() {
        let (overrides, limiter) = start();
        assert_eq!(overrides.put(&limiter, limit(8), None, BY).until, None);
        sleep(MINUTE * 60 * 24 * 365).await;
        assert_eq!(limiter.limit(), 8);
        assert!(overrides.remove("api").is_some());
        assert_eq!(limiter.limit(), 3);
        assert!(overrides.remove("api").is_none());
    }

    #[tokio::test]
    async fn a_number_takes_the_place_of_a_freeze_which_a_fixed_limit_does_not_show() {
        let overrides = Overrides::default();
        let freeze = Values { freeze: Some(true), ..Values::default() };
        let fixed = Settings::new("api", NonZeroU32::new(3).unwrap());
        let adaptive = Settings { limit_max: NonZeroU32::new(50), ..fixed.clone() };
        let limiter = Limiter::new(adaptive.clone());
        overrides.put(&limiter, freeze.clone(), None, BY);
        assert_eq!(overrides.of("api").unwrap().values, freeze);
        limiter.reconfigure(fixed);
        assert_eq!(overrides.of("api"), None, "it has nothing to say there");
        overrides.put(&limiter, Values { queue: Some(0), ..Values::default() }, None, BY);
        assert_eq!(overrides.of("api").unwrap().values, Values { queue: Some(0), ..Values::default() });
        limiter.reconfigure(adaptive);
        assert_eq!(overrides.of("api").unwrap().values.freeze, Some(true), "it survives reloads");
        overrides.put(&limiter, limit(8), None, BY);
        let values = overrides.of("api").unwrap().values;
        assert_eq!((values.limit, values.freeze), (NonZeroU32::new(8), None));
    }
}
