//! What is in force in place of the configuration.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::key::Key;
use super::limiter::Limiter;
use super::settings::{Settings, default_queue};
use crate::limit;
use crate::queue::Rules;

/// What may be changed for a while, beside the configuration. What is `None` is as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The limit. [`LIMIT_MAX`](super::LIMIT_MAX) is none at all: nobody has so many connections.
    pub limit: Option<NonZeroU32>,
    /// How many may wait.
    pub queue: Option<u32>,
    /// How long one may wait.
    pub queue_timeout: Option<Duration>,
    /// Seats that one key may have in flight, but for those with a cap of their own. Nothing for a limit without
    /// [rules](Settings::rules).
    pub per_key: Option<NonZeroU32>,
    /// The same for single keys, by what is [shown](Key::shown) of them. `_` are all who have no key of their own.
    pub keys: BTreeMap<String, NonZeroU32>,
    /// Whether it only counts.
    pub dry_run: Option<bool>,
    /// Whether a limit that finds itself stays where it is. Nothing for a fixed one.
    pub freeze: Option<bool>,
}

/// What configuration and overrides call all who have no key of their own.
pub(super) const SHARED: &str = "_";

impl Overrides {
    /// These on top of `before`: what they do not mention stays.
    pub fn over(self, before: &Overrides) -> Overrides {
        let mut keys = before.keys.clone();
        keys.extend(self.keys);
        Overrides {
            limit: self.limit.or(before.limit),
            queue: self.queue.or(before.queue),
            queue_timeout: self.queue_timeout.or(before.queue_timeout),
            per_key: self.per_key.or(before.per_key),
            keys,
            dry_run: self.dry_run.or(before.dry_run),
            freeze: self.freeze.or(before.freeze),
        }
    }

    /// What holds for keys: nothing where none are told apart.
    fn rules(&self, configured: Option<&Rules<Key>>) -> Option<Rules<Key>> {
        let mut rules = configured?.clone();
        rules.per_key = self.per_key.or(rules.per_key);
        for (name, per_key) in &self.keys {
            let rule = match name.as_str() {
                SHARED => &mut rules.shared,
                name => rules.keys.entry(Key::new(name)).or_default(),
            };
            rule.per_key = Some(*per_key);
        }
        Some(rules)
    }
}

impl Limiter {
    /// Takes a new configuration. What is overridden stays so; the rest is in force at once, as by
    /// [`set_limit`](Limiter::set_limit). Permits, waiters and counts stay.
    pub fn reconfigure(&self, settings: Settings) {
        // Under this lock, so that an override that ends now sees either all of the old settings or all of the new ones.
        let overrides = self.0.lock_overrides();
        self.0.set_order(settings.order);
        self.0.set_hold(settings.hold);
        self.0.settings.store(Arc::new(settings));
        self.enforce(&overrides);
    }

    /// Takes a new number of permits for the configured one, as it is where that is measured; and with `queue_follows` a
    /// queue by that number. What is overridden stays so.
    pub fn set_measured(&self, limit: NonZeroU32, queue_follows: bool) {
        self.set_found(limit, queue_follows.then(|| default_queue(limit)));
    }

    /// The same with another queue, or the one that there is.
    pub(super) fn set_found(&self, limit: NonZeroU32, queue: Option<u32>) {
        let overrides = self.0.lock_overrides();
        let before = self.0.settings.load_full();
        let queue = queue.unwrap_or(before.queue);
        if (before.limit, before.queue) == (limit, queue) {
            return;
        }
        self.0.settings.store(Arc::new(Settings { limit, queue, ..(*before).clone() }));
        self.enforce(&overrides);
    }

    /// Why what finds the limit must not move it now, if so.
    pub(super) fn hands_off(&self) -> Option<limit::Reason> {
        let overrides = self.0.lock_overrides();
        if overrides.limit.is_some() {
            Some(limit::Reason::Pinned)
        } else if overrides.freeze == Some(true) {
            Some(limit::Reason::Frozen)
        } else {
            // In a dry run it holds nobody back, whatever it is.
            self.is_dry_run().then_some(limit::Reason::Unused)
        }
    }

    /// Whether anything is overridden.
    pub fn is_overridden(&self) -> bool {
        *self.0.lock_overrides() != Overrides::default()
    }

    /// What is overridden.
    pub fn overrides(&self) -> Overrides {
        self.0.lock_overrides().clone()
    }

    /// Overrides what is configured, until the next call. Without anything to override, the configuration is in force
    /// again.
    pub fn override_settings(&self, overrides: Overrides) {
        let mut current = self.0.lock_overrides();
        *current = overrides;
        self.enforce(&current);
    }

    fn enforce(&self, overrides: &Overrides) {
        let settings = self.0.settings.load();
        self.set_queue(overrides.queue.unwrap_or(settings.queue));
        self.set_queue_timeout(overrides.queue_timeout.unwrap_or(settings.queue_timeout));
        // All that wait are looked at, so not for nothing.
        let rules = overrides.rules(settings.rules.as_ref());
        if rules.as_ref() != self.rules().as_deref() {
            self.set_rules(rules);
        }
        self.set_dry_run(overrides.dry_run.unwrap_or(settings.dry_run));
        self.set_limit(overrides.limit.unwrap_or(settings.limit));
    }
}
