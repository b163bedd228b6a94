//! Whose requests are they?

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;

use super::level::Level;
use super::nodes::NONE;
use super::pool::Pool;

/// What holds for keys.
#[derive(Debug, Clone)]
pub struct Rules<K> {
    /// Seats that one key may have in flight. With this, on any key, in-flight requests are counted by key.
    pub per_key: Option<NonZeroU32>,
    /// How many requests of one key may wait.
    pub per_key_queue: Option<u32>,
    /// What differs for single keys.
    pub keys: HashMap<K, KeyRule>,
    /// What differs for the shared flow of all that have no key, or none of their own.
    pub shared: KeyRule,
    /// So many keys have a flow of their own; default 10,000. More than that share one.
    pub max_keys: usize,
    /// What `keys` calls a key that it does not hold as it is. Default: nothing.
    pub name_of: fn(&K) -> Option<K>,
}

/// What differs for one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyRule {
    /// Seats that it may have in flight.
    pub per_key: Option<NonZeroU32>,
    /// Its share, in relation to the others' shares of one.
    pub weight: Option<NonZeroU32>,
}

impl<K> Default for Rules<K> {
    fn default() -> Self {
        Rules {
            per_key: None,
            per_key_queue: None,
            keys: HashMap::new(),
            shared: KeyRule::default(),
            max_keys: 10_000,
            name_of: |_| None,
        }
    }
}

impl<K: Hash + Eq> PartialEq for Rules<K> {
    fn eq(&self, other: &Self) -> bool {
        let Rules { per_key, per_key_queue, keys, shared, max_keys, name_of: _ } = self;
        (per_key, per_key_queue, shared, max_keys)
            == (&other.per_key, &other.per_key_queue, &other.shared, &other.max_keys)
            && *keys == other.keys
    }
}

impl<K: Hash + Eq> Eq for Rules<K> {}

impl<K> Rules<K> {
    /// Whether any key has a cap.
    pub fn cap_any(&self) -> bool {
        let Rules { per_key, keys, shared, .. } = self;
        per_key.is_some() || shared.per_key.is_some() || keys.values().any(|rule| rule.per_key.is_some())
    }
}

impl<K: Hash + Eq> Rules<K> {
    /// How many seats a key may have in flight; `None` asks for the shared flow.
    pub fn cap(&self, key: Option<&K>) -> Option<NonZeroU32> {
        self.rule(key).per_key.or(self.per_key)
    }

    /// What differs for this very key; `None` where nothing is said of it.
    pub fn rule_of(&self, key: &K) -> Option<KeyRule> {
        // Asked for its name only where there are names.
        if self.keys.is_empty() {
            return None;
        }
        let named = || self.keys.get(&(self.name_of)(key)?);
        self.keys.get(key).or_else(named).copied()
    }

    fn rule(&self, key: Option<&K>) -> KeyRule {
        match key {
            None => self.shared,
            Some(key) => self.rule_of(key).unwrap_or_default(),
        }
    }
}

/// The name of a key's flow. Good while the flow has requests waiting or in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowId(pub(super) u32);

/// Everything about one key: 48 bytes beside the key itself, of which there are two.
#[derive(Debug)]
pub(super) struct Flow<K> {
    /// None: the shared one.
    pub(super) key: Option<K>,
    /// In seats, as far as they are counted.
    pub(super) in_flight: u32,
    pub(super) waiting: u32,
    per_key: u32,
    per_key_queue: u32,
    pub(super) weight: u32,
    /// Its lane on each level, if it has one there.
    pub(super) lanes: [u32; Level::ALL.len()],
}

/// The flows by key. One exists while its key has requests waiting or counted in flight, or owes its turn on a level:
/// never by time, so a key that floods and goes leaves nothing, and a key that is live is never pushed out.
#[derive(Debug)]
pub(super) struct Flows<K> {
    flows: Pool<Flow<K>>,
    index: HashMap<K, u32>,
    rules: Rules<K>,
    counts_in_flight: bool,
}

/// The flow of those without a key of their own.
pub(super) const SHARED: u32 = 0;

impl<K: Hash + Eq + Clone> Flows<K> {
    pub(super) fn new(rules: Rules<K>) -> Self {
        let counts_in_flight = rules.cap_any();
        let mut flows = Flows { flows: Pool::default(), index: HashMap::new(), rules, counts_in_flight };
        let shared = flows.make(None);
        flows.flows.insert(shared);
        flows
    }

    /// The flow of a key, if it exists.
    pub(super) fn find(&self, key: Option<&K>) -> Option<u32> {
        match key {
            None => Some(SHARED),
            Some(key) => self.index.get(key).copied(),
        }
    }

    /// Whether another key's flow would be one too many.
    pub(super) fn is_full(&self) -> bool {
        self.index.len() >= self.rules.max_keys
    }

    /// A flow for a key that has none; the shared one when there are too many.
    pub(super) fn open(&mut self, key: &K) -> u32 {
        if self.is_full() {
            return SHARED;
        }
        let flow = self.make(Some(key.clone()));
        let index = self.flows.insert(flow);
        self.index.insert(key.clone(), index);
        index
    }

    /// Frees a flow that nothing is known about any more.
    pub(super) fn close_if_idle(&mut self, index: u32) {
        let flow = &self.flows[index];
        if flow.in_flight > 0 || flow.lanes != [NONE; Level::ALL.len()] {
            return;
        }
        if let Some(key) = &flow.key {
            self.index.remove(key);
            self.flows.remove(index);
        }
    }

    /// Takes new rules, for the flows that exist as well.
    pub(super) fn set_rules(&mut self, rules: Rules<K>) {
        self.counts_in_flight = rules.cap_any();
        self.rules = rules;
        for index in self.flows.indices() {
            let key = self.flows[index].key.clone();
            let fresh = self.make(key);
            let flow = &mut self.flows[index];
            (flow.per_key, flow.per_key_queue, flow.weight) = (fresh.per_key, fresh.per_key_queue, fresh.weight);
        }
    }

    /// Whether in-flight requests have to be counted by key.
    pub(super) fn counts_in_flight(&self) -> bool {
        self.counts_in_flight
    }

    /// Weight, and how many may wait, of a key with or without a flow.
    pub(super) fn shape(&self, key: Option<&K>) -> (u32, u32) {
        let flow = match self.find(key) {
            Some(flow) => &self.flows[flow],
            None if self.is_full() => &self.flows[SHARED],
            None => {
                let fresh = self.rules.rule(key);
                return (weight(fresh), self.rules.per_key_queue.unwrap_or(u32::MAX));
            }
        };
        (flow.weight, flow.per_key_queue)
    }

    /// How many keys have a flow of their own.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flow<K>> {
        self.flows.iter()
    }

    fn make(&self, key: Option<K>) -> Flow<K> {
        let rule = self.rules.rule(key.as_ref());
        let per_key = self.rules.cap(key.as_ref());
        Flow {
            key,
            in_flight: 0,
            waiting: 0,
            per_key: per_key.map_or(u32::MAX, NonZeroU32::get),
            per_key_queue: self.rules.per_key_queue.unwrap_or(u32::MAX),
            weight: weight(rule),
            lanes: [NONE; Level::ALL.len()],
        }
    }
}

fn weight(rule: KeyRule) -> u32 {
    rule.weight.map_or(1, NonZeroU32::get)
}

impl<K> Flow<K> {
    /// Whether its cap leaves room for so many seats. A request wider than the cap runs alone.
    pub(super) fn has_room(&self, seats: u32) -> bool {
        self.in_flight == 0 || self.in_flight.saturating_add(seats) <= self.per_key
    }

    /// Whether no more of its requests may wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting >= self.per_key_queue
    }
}

impl<K> std::ops::Index<u32> for Flows<K> {
    type Output = Flow<K>;

    fn index(&self, index: u32) -> &Self::Output {
        &self.flows[index]
    }
}

impl<K> std::ops::IndexMut<u32> for Flows<K> {
    fn index_mut(&mut self, index: u32) -> &mut Self::Output {
        &mut self.flows[index]
    }
}
