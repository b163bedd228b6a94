//! Against a model that does all by scanning one list.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const RISE: u64 = 5_000;
const SEAT: u64 = 1 << 16;
const WEIGHTS: [(&str, u32); 5] = [("a", 1), ("b", 1), ("c", 2), ("d", 3), ("e", 1)];

/// One waiter of the model. Times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Item {
    id: u32,
    key: usize,
    level: usize,
    seats: u64,
    since: u64,
    deadline: u64,
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    order: Order,
    /// In order of arrival.
    items: Vec<Item>,
    /// Since when they have not been empty, by key and level.
    stood_since: HashMap<(usize, usize), u64>,
    /// Tag, and when it was given, by key and level.
    tags: HashMap<(usize, usize), (u64, u64)>,
    virtual_now: [u64; 5],
    latest: [u64; 5],
    serial: u64,
}

impl Model {
    fn newest_first(&self, key: usize, level: usize) -> bool {
        let stood = self.stood_since.get(&(key, level)).is_some_and(|since| self.now - since >= 100);
        self.order == Order::Lifo || (self.order == Order::AdaptiveLifo && stood)
    }

    fn lane(&self, key: usize, level: usize) -> Vec<Item> {
        self.items.iter().filter(|item| (item.key, item.level) == (key, level)).copied().collect()
    }

    fn push(&mut self, item: Item) {
        if self.lane(item.key, item.level).is_empty() {
            self.stood_since.insert((item.key, item.level), self.now);
            self.serial += 1;
            let tag = self.tags.entry((item.key, item.level)).or_default();
            *tag = (tag.0.max(self.virtual_now[item.level]), self.serial);
        }
        self.items.push(item);
    }

    /// The lanes of a level that are not empty: key, tag, the one whose turn it is in there.
    fn lanes(&self, level: usize) -> Vec<(usize, (u64, u64), Item)> {
        let next = |key| {
            let lane = self.lane(key, level);
            if self.newest_first(key, level) { lane.last().copied() } else { lane.first().copied() }
        };
        (0..5).filter_map(|key| Some((key, *self.tags.get(&(key, level))?, next(key)?))).collect()
    }

    fn rank(&self, item: &Item) -> u64 {
        item.since + item.level as u64 * RISE
    }

    fn next(&self) -> Option<Item> {
        let firsts = (0..5).filter_map(|level| self.lanes(level).into_iter().min_by_key(|(_, tag, _)| *tag));
        let firsts: Vec<_> = firsts.map(|(_, _, item)| item).collect();
        let first = *firsts.iter().min_by_key(|item| (self.rank(item), item.level))?;
        // Where the newest goes first, the oldest of that lane goes if it has risen above all that.
        let oldest = firsts.iter().filter(|item| item.level != first.level && self.newest_first(item.key, item.level));
        let oldest = oldest.map(|item| self.lane(item.key, item.level)[0]);
        let risen = oldest.filter(|item| self.rank(item) < self.rank(&first));
        Some(risen.min_by_key(|item| (self.rank(item), item.level)).unwrap_or(first))
    }

    fn grant(&mut self, item: Item) {
        let lanes = self.lanes(item.level);
        let all: u64 = lanes.iter().map(|(key, ..)| u64::from(WEIGHTS[*key].1)).sum();
        let first = lanes.iter().map(|(_, tag, _)| tag.0).min().unwrap();
        let end = self.tags[&(item.key, item.level)].0 + item.seats * SEAT / u64::from(WEIGHTS[item.key].1);
        let now = &mut self.virtual_now[item.level];
        *now = (*now).max(first).max((*now + item.seats * SEAT / all).min(end - 1));
        self.latest[item.level] = self.latest[item.level].max(end);
        self.serial += 1;
        self.tags.insert((item.key, item.level), (end, self.serial));
        self.leave(item.id);
    }

    fn leave(&mut self, id: u32) {
        let place = self.items.iter().position(|item| item.id == id).expect("it waits");
        let level = self.items.remove(place).level;
        if self.items.iter().all(|item| item.level != level) {
            self.virtual_now[level] = self.latest[level];
        }
    }

    /// Who may give way to a newcomer, and whether one of them has to: of equally long lanes any may be taken.
    fn victims(&self, key: usize, level: usize) -> (Vec<u32>, bool) {
        let mut may = Vec::new();
        let last = |key, level| {
            let lane = self.lane(key, level);
            if self.newest_first(key, level) { lane[0] } else { *lane.last().unwrap() }
        };
        let longest = |level: usize| -> Vec<(usize, u64)> {
            let lens = (0..5).map(|key| (key, self.lane(key, level).len() as u64));
            let lens: Vec<_> = lens.filter(|(_, len)| *len > 0).collect();
            let relative = |&(key, len): &(usize, u64)| len * SEAT / u64::from(WEIGHTS[key].1);
            let most = lens.iter().map(relative).max();
            lens.into_iter().filter(|lane| Some(relative(lane)) == most).collect()
        };
        for lower in (level + 1..5).rev() {
            let candidates = longest(lower).into_iter().map(|(key, _)| last(key, lower));
            let outranked = |item: &Item| self.now + level as u64 * RISE < self.rank(item);
            let (yes, no): (Vec<_>, Vec<_>) = candidates.partition(outranked);
            may.extend(yes.iter().map(|item| item.id));
            if !yes.is_empty() && no.is_empty() {
                return (may, true);
            }
        }
        let own = self.lane(key, level);
        let longer = longest(level).into_iter().filter(|(other, len)| {
            *other != key && len * u64::from(WEIGHTS[key].1) > (own.len() as u64 + 1) * u64::from(WEIGHTS[*other].1)
        });
        let mut longer: Vec<_> = longer.map(|(other, _)| last(other, level).id).collect();
        if longer.is_empty() && self.newest_first(key, level) {
            longer.extend(own.first().map(|item| item.id));
        }
        let must = !longer.is_empty();
        may.extend(longer);
        (may, must)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Offer { key: usize, level: usize, seats: u64, timeout: u64 },
    Go,
    Leave(usize),
    Order(Order),
}

fn step() -> impl Strategy<Value = Step> {
    let level = prop_oneof![2 => Just(2usize), 1 => 0usize..5];
    prop_oneof![
        2 => (0u64..40).prop_map(Step::Pass),
        1 => (1_000u64..4_000).prop_map(Step::Pass),
        8 => (0usize..5, level, 1u64..4, 100u64..40_000)
            .prop_map(|(key, level, seats, timeout)| Step::Offer { key, level, seats, timeout }),
        6 => Just(Step::Go),
        1 => (0usize..100).prop_map(Step::Leave),
        1 => prop_oneof![Just(Order::Fifo), Just(Order::Lifo), Just(Order::AdaptiveLifo)].prop_map(Step::Order),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Orders, turns, weights, levels, age, expiry and who gives way.
    #[test]
    fn it_does_what_the_naive_model_does(steps in prop::collection::vec(step(), 1..150)) {
        let keys = WEIGHTS.map(|(key, weight)| (key, KeyRule { weight: std::num::NonZeroU32::new(weight), ..KeyRule::default() }));
        let mut bench = Bench::with_rules(Rules { keys: keys.into(), ..Rules::default() });
        let mut model = Model::default();
        let mut tickets = HashMap::new();
        for (id, step) in (0..).zip(steps) {
            match step {
                Step::Pass(millis) => {
                    bench.pass(millis);
                    model.now += millis;
                    while let Some(ticket) = bench.queue.next_due(bench.now) {
                        let id = bench.queue.settle(ticket, ()).unwrap();
                        bench.queue.remove(ticket);
                        prop_assert!(model.items.iter().any(|item| item.id == id && item.deadline <= model.now));
                        model.leave(id);
                    }
                    prop_assert!(model.items.iter().all(|item| item.deadline > model.now));
                }
                Step::Offer { key, level, seats, timeout } => {
                    let like = Like {
                        key: Some(WEIGHTS[key].0),
                        level: Level::PRIORITIES[level],
                        seats: seats as u32,
                        timeout: Duration::from_millis(timeout),
                    };
                    let mut free = model.items.len() < 12;
                    match bench.queue.room_for(bench.now, like.key.as_ref(), like.level, 12) {
                        Entry::Free => prop_assert!(free),
                        Entry::InPlaceOf(ticket, _) => {
                            let id = *bench.queue.waker_mut(ticket).unwrap();
                            prop_assert!(!free && model.victims(key, level).0.contains(&id));
                            bench.queue.remove(ticket);
                            model.leave(id);
                            free = true;
                        }
                        Entry::Refused(_) => prop_assert!(!free && !model.victims(key, level).1),
                    }
                    if free {
                        tickets.insert(id, bench.push(id, like));
                        let (since, deadline) = (model.now, model.now + timeout);
                        model.push(Item { id, key, level, seats, since, deadline });
                    }
                }
                Step::Go => {
                    bench.room = Room { limit: 1, in_flight: 0 };
                    let next = model.next();
                    prop_assert_eq!(bench.go(), next.map(|item| item.id));
                    if let Some(item) = next {
                        model.grant(item);
                    }
                }
                Step::Leave(which) if !model.items.is_empty() => {
                    let id = model.items[which % model.items.len()].id;
                    prop_assert_eq!(bench.queue.remove(tickets[&id]), None);
                    model.leave(id);
                }
                Step::Leave(_) => {}
                Step::Order(order) => {
                    bench.queue.set_order(order);
                    model.order = order;
                }
            }
            prop_assert_eq!(bench.queue.len() as usize, model.items.len());
            let oldest = model.items.iter().map(|item| item.since).min();
            prop_assert_eq!(bench.queue.oldest_since(), oldest.map(|since| bench.start + Duration::from_millis(since)));
        }
    }
}
