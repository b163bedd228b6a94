//! What observers see.

use std::hash::Hash;
use std::time::Instant;

use super::lane::{Lane, Status};
use super::level::Level;
use super::nodes::NONE;
use super::queue::Queue;

/// What a newcomer would find before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ahead {
    /// How many go first, if nobody else comes.
    pub waiters: u32,
    /// The seats that they take.
    pub seats: u64,
}

/// One key's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyView<'a, K> {
    /// The key; `None` for the shared flow.
    pub key: Option<&'a K>,
    /// How many wait.
    pub waiting: u32,
    /// Seats in flight, as far as they are counted.
    pub in_flight: u32,
}

impl<W, V, K: Hash + Eq + Clone> Queue<W, V, K> {
    /// What a newcomer would find before it. Exact without keys and levels; with them an estimate from above, made in
    /// constant time: those of its own lane, of more urgent levels, and of each other lane at most the turns that go by
    /// until its own. Aged waiters of lower levels are left out.
    pub fn ahead(&mut self, now: Instant, key: Option<&K>, level: Level) -> Ahead {
        let now = self.clock.nanos(now);
        self.count(key, level, |lane| self.newest_first(lane, now))
    }

    /// What a newcomer would find before it if the oldest went first: what the wait is judged by on arrival. Newest
    /// first, it says how long those wait in vain who are not served soon.
    pub fn backlog(&self, key: Option<&K>, level: Level) -> Ahead {
        self.count(key, level, |_| false)
    }

    fn count(&self, key: Option<&K>, level: Level, newest_first: impl Fn(u32) -> bool) -> Ahead {
        let mut ahead = Ahead::default();
        for higher in Level::ALL.into_iter().take_while(|higher| *higher < level) {
            let round = self.turns.round(higher);
            // Whom only their key's cap holds back are ahead of nobody.
            ahead.waiters += round.active_waiting;
            ahead.seats += round.active_seats;
        }
        let lane = self.flows.find(key).map_or(NONE, |flow| self.flows[flow].lanes[level as usize]);
        let (waiters, seats, active, active_seats) = match lane {
            NONE => (0, 0, 0, 0),
            index => {
                let lane = &self.turns[index];
                let newest_first = lane.len > 0 && newest_first(index);
                let (waiters, seats) = lane.ahead_of_newcomer(newest_first, &self.nodes);
                let is_active = lane.status == Status::Active;
                let (active, active_seats) = if is_active { (lane.len, lane.seats) } else { (0, 0) };
                (waiters, seats, active, active_seats)
            }
        };
        let round = self.turns.round(level);
        let (others, others_seats) = (round.active_waiting - active, round.active_seats - active_seats);
        ahead.waiters += waiters;
        ahead.seats += seats;
        if others > 0 {
            let (weight, _) = self.flows.shape(key);
            let own_weight = if active == 0 { 0 } else { u64::from(self.turns[lane].weight) };
            // While its own lane takes the seats before it and one more, others take so many, if they have them.
            let turns = (seats + 1) * round.weight.saturating_sub(own_weight).max(1) / u64::from(weight.max(1));
            let taken = turns.min(others_seats);
            ahead.seats += taken;
            let share = (u64::from(others) * taken).div_ceil(others_seats.max(1));
            ahead.waiters += u32::try_from(share).unwrap_or(u32::MAX);
        }
        ahead
    }

    /// The seats of all who wait.
    pub fn seats(&self) -> u64 {
        Level::ALL.into_iter().map(|level| self.turns.round(level).seats).sum()
    }

    /// The least urgent level on which somebody waits.
    pub fn least_urgent(&self) -> Option<Level> {
        Level::ALL.into_iter().rev().find(|level| self.waiting(*level) > 0)
    }

    /// How many wait on a level.
    pub fn waiting(&self, level: Level) -> u32 {
        self.turns.round(level).waiting
    }

    /// One key's requests.
    pub fn key(&self, key: Option<&K>) -> Option<KeyView<'_, K>> {
        let flow = &self.flows[self.flows.find(key)?];
        Some(KeyView { key: flow.key.as_ref(), waiting: flow.waiting, in_flight: flow.in_flight })
    }

    /// How many keys have a flow of their own.
    pub fn keys_tracked(&self) -> usize {
        self.flows.len()
    }

    /// The keys with the most waiting, then the most in flight. Looks at all of them.
    pub fn top_keys(&self, n: usize) -> Vec<KeyView<'_, K>> {
        let views = self.flows.iter().map(|flow| KeyView {
            key: flow.key.as_ref(),
            waiting: flow.waiting,
            in_flight: flow.in_flight,
        });
        let mut busy: Vec<_> = views.filter(|view| view.waiting + view.in_flight > 0).collect();
        let busiest = |view: &KeyView<'_, K>| std::cmp::Reverse((view.waiting, view.in_flight));
        // Whoever asks holds the lock: only those are sorted who are shown.
        if n < busy.len() {
            busy.select_nth_unstable_by_key(n, busiest);
            busy.truncate(n);
        }
        busy.sort_by_key(busiest);
        busy
    }

    /// Since when the one has waited who has waited longest. Looks at each key's first.
    pub fn oldest_since(&self) -> Option<Instant> {
        let waiting = self.turns.lanes().filter(|lane| lane.len > 0).map(Lane::oldest);
        self.clock.instant(waiting.map(|index| self.nodes[index].since).min()?)
    }
}
