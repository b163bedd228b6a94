//! What a limit looks like from outside.

use std::sync::Arc;
use std::time::Duration;

use super::counts::{Counts, Demand};
use super::gate::{Gate, now};
use super::key::Key;
use super::limiter::Limiter;
use super::overrides::SHARED;
use super::settings::Settings;
use super::word::Mode;
use crate::queue::{Level, Rules, Ticket};

/// What a newcomer would find, or where one stands who waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Its place in line: 1 is next.
    pub position: u32,
    /// How long it takes until its turn, by the measured rate of completions. `None` until that has been measured.
    pub wait: Option<Duration>,
}

/// One who waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiter {
    /// What its [claim](super::Claim::tag) says it is known by.
    pub tag: u64,
    /// Its place in line: 1 is next.
    pub position: u32,
    /// What may be shown of its key; `_` for all who have none of their own.
    pub key: String,
    /// How urgent it is.
    pub level: Level,
    /// How many permits it takes.
    pub seats: u32,
    /// How long it has waited, at earlier limits as well.
    pub waited: Duration,
    /// When its turn will be, by the measured rate of completions. `None` until that has been measured.
    pub wait: Option<Duration>,
}

/// What was seen of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Second {
    /// The most permits that were out at once.
    pub peak: u32,
    /// The longest of the waits that ended in it, admitted or not; zero if there was none.
    pub longest_wait: Duration,
}

/// Places in line are counted up to here for the one who asks: each is looked at under the lock.
const COUNTED: usize = 1000;

impl Gate {
    /// Where one stands who waits. Behind the first thousand, where it stands at most.
    pub(super) fn standing(&self, ticket: Ticket) -> Option<Forecast> {
        let mut waiting = self.lock();
        waiting.line.waker_mut(ticket)?;
        let (mut seats, mut position) = (0, 0);
        for standing in waiting.line.upcoming(now()).take(COUNTED) {
            (seats, position) = (seats + u64::from(standing.seats), position + 1);
            if standing.ticket == ticket {
                return Some(Forecast { position, wait: self.rate.guess(seats) });
            }
        }
        Some(Forecast { position: waiting.line.len(), wait: self.rate.guess(waiting.line.seats()) })
    }
}

impl Limiter {
    /// Its name, which never changes.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What is configured, whatever is in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.0.settings.load_full()
    }

    /// The limit in force.
    pub fn limit(&self) -> u32 {
        self.0.word.read().limit()
    }

    /// Permits that are out: in seats. More than the limit only after it has been lowered, in a dry run, or where one
    /// request that takes more than the limit runs alone.
    pub fn in_flight(&self) -> u32 {
        self.0.word.read().in_flight()
    }

    /// The most permits that were out at once within the last minute: exact, and the same for all who ask. Of all the time
    /// where nobody [ends seconds](Limiter::end_second).
    pub fn peak(&self) -> u32 {
        u32::try_from(self.0.peak.most(now())).unwrap_or(u32::MAX)
    }

    /// For how long no permit was free, all together: exact.
    pub fn full_for(&self) -> Duration {
        self.0.full_for()
    }

    /// Seats that count as in flight and for which there is no permit, or, negative, permits that don't count: not zero if
    /// the two ways of counting have disagreed for a second or more, which would be a fault.
    pub fn unaccounted(&self) -> i64 {
        self.0.tally.unaccounted(|| self.in_flight())
    }

    /// Ends a second of what is told of seconds. To be called once a second, by one who then keeps what it returns.
    pub fn end_second(&self) -> Second {
        self.0.tally.end_second(|| self.in_flight());
        let in_flight = || u64::from(self.0.word.read_in_turn().in_flight());
        let peak = self.0.peak.end_second(now(), in_flight);
        Second { peak: u32::try_from(peak).unwrap_or(u32::MAX), longest_wait: self.0.counters.take_longest_wait() }
    }

    /// How many are waiting.
    pub fn queue_len(&self) -> u32 {
        self.0.crowd.read().len
    }

    /// How many are waiting on a level.
    pub fn waiting(&self, level: Level) -> u32 {
        self.0.lock().line.waiting(level)
    }

    /// How many may wait.
    pub fn queue(&self) -> u32 {
        self.0.queue()
    }

    /// Whether it only counts.
    pub fn is_dry_run(&self) -> bool {
        self.0.word.read().is(Mode::DRY_RUN)
    }

    /// What holds for keys. `None` where none are told apart.
    pub fn rules(&self) -> Option<Arc<Rules<Key>>> {
        self.0.rules.load_full()
    }

    /// Whether something is said of this very key, in the configuration or beside it.
    pub fn names(&self, key: &Key) -> bool {
        let rules = self.0.rules.load();
        rules.as_ref().is_some_and(|rules| rules.rule_of(key).is_some())
    }

    /// Whether in-flight requests are counted by key: whether any key has a cap.
    pub fn counts_by_key(&self) -> bool {
        self.0.word.read().is(Mode::CAPPED)
    }

    /// How long one may wait.
    pub fn queue_timeout(&self) -> Duration {
        self.0.queue_timeout()
    }

    /// How long the one has waited who has waited longest. Looks at each key's first; at once if nobody waits.
    pub fn oldest_wait(&self) -> Option<Duration> {
        if self.queue_len() == 0 {
            return None;
        }
        let since = self.0.lock().line.oldest_since()?;
        Some(now().saturating_duration_since(since))
    }

    /// The keys with the most waiting, then the most in flight: what may be shown of each, how many requests wait, and how
    /// many seats are in flight, as far as they are counted by key. Those without a key of their own are `_`.
    pub fn keys(&self, top: usize) -> Vec<(String, u32, u32)> {
        let waiting = self.0.lock();
        let views = waiting.line.top_keys(top).into_iter();
        views.map(|view| (view.key.map_or(SHARED, Key::shown).to_owned(), view.waiting, view.in_flight)).collect()
    }

    /// The first `top` of those who wait, in the order in which they would go if nobody else came. Looks at each key, and at
    /// each of those who are asked for, under the lock.
    pub fn line(&self, top: usize) -> Vec<Waiter> {
        let now = now();
        let mut seats_before = 0;
        let mut waiting = self.0.lock();
        let mut line = Vec::with_capacity(top.min(waiting.line.len() as usize));
        for (standing, position) in waiting.line.upcoming(now).take(top).zip(1..) {
            seats_before += u64::from(standing.seats);
            line.push(Waiter {
                tag: standing.tag,
                position,
                key: standing.key.map_or(SHARED, Key::shown).to_owned(),
                level: standing.level,
                seats: standing.seats,
                waited: now.saturating_duration_since(standing.since),
                wait: self.0.rate.guess(seats_before),
            });
        }
        line
    }

    /// How many keys it knows now: those with requests waiting, or counted in flight, or that have just had their turn.
    pub fn keys_tracked(&self) -> usize {
        self.0.lock().line.keys_tracked()
    }

    /// What a newcomer would find if it had to wait. With keys and levels an estimate from above.
    pub fn forecast(&self, level: Level, key: Option<&Key>) -> Forecast {
        let ahead = self.0.lock().line.ahead(now(), key, level);
        Forecast { position: ahead.waiters.saturating_add(1), wait: self.0.rate.guess(ahead.seats) }
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        // In this order, so that one that comes back meanwhile is missed and not counted twice.
        let completed = self.0.completed();
        self.0.counters.read(completed + u64::from(self.in_flight()))
    }

    /// Who has asked so far.
    pub(super) fn demand(&self) -> Demand {
        let completed = self.0.completed();
        self.0.counters.demand(completed + u64::from(self.in_flight()))
    }

    /// Seats that come back per second while permits are wanted; `None` until that has been measured.
    pub fn drain_rate(&self) -> Option<f64> {
        self.0.rate.per_second()
    }
}
