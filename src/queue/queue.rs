//! The queue itself.

use std::hash::Hash;
use std::time::Instant;

use super::choose::Choice;
use super::deadlines::{Clock, Deadlines};
use super::flows::{Flow, FlowId, Flows, Rules, SHARED};
use super::level::Level;
use super::nodes::{NONE, Nodes, State, Ticket};
use super::order::Order;
use super::turns::Turns;

/// Those who wait at one limit. `W` wakes a waiter, `V` is the verdict that ends its wait, `K` is the key whose flows
/// take turns.
///
/// A waiter is *waiting* from [`push`](Queue::push) until [`grant`](Queue::grant) or [`settle`](Queue::settle), then
/// *settled* until it collects its verdict with [`remove`](Queue::remove). Leaving early is the same
/// [`remove`](Queue::remove).
#[derive(Debug)]
pub struct Queue<W, V, K = ()> {
    pub(super) nodes: Nodes<W, V>,
    pub(super) turns: Turns,
    pub(super) flows: Flows<K>,
    pub(super) deadlines: Deadlines,
    pub(super) clock: Clock,
    pub(super) order: Order,
    len: u32,
}

/// One who joins.
#[derive(Debug)]
pub struct Waiter<'a, W, K = ()> {
    /// What wakes it.
    pub waker: W,
    /// What observers know it by.
    pub tag: u64,
    /// Whose it is. `None`: the flow shared by all without a key.
    pub key: Option<&'a K>,
    /// How urgent it is.
    pub level: Level,
    /// How much of the limit it takes, at least 1.
    pub seats: u32,
    /// Since when it has waited; earlier than now if it has waited elsewhere before.
    pub since: Instant,
    /// From when on it must not be granted any more.
    pub deadline: Instant,
}

/// So many empty lanes are freed at a time, more than one operation can empty.
const REAP: usize = 4;

impl<W, V, K: Hash + Eq + Clone> Default for Queue<W, V, K> {
    fn default() -> Self {
        Queue::new(Rules::default())
    }
}

impl<W, V, K: Hash + Eq + Clone> Queue<W, V, K> {
    /// Nobody waits, and the order is [`Order::Fifo`].
    pub fn new(rules: Rules<K>) -> Self {
        Queue {
            nodes: Nodes::default(),
            turns: Turns::default(),
            flows: Flows::new(rules),
            deadlines: Deadlines::default(),
            clock: Clock::default(),
            order: Order::default(),
            len: 0,
        }
    }

    /// Changes the order, for those who wait already as well.
    pub fn set_order(&mut self, order: Order) {
        self.order = order;
    }

    /// Changes the rules, for the keys that are there already as well.
    pub fn set_rules(&mut self, rules: Rules<K>) {
        self.flows.set_rules(rules);
        for lane in self.turns.indices() {
            self.turns.set_weight(lane, self.flows[self.turns[lane].flow].weight);
            self.turns.unpark(lane);
        }
    }

    /// How many are waiting; the settled do not count.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether nobody is waiting.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether nobody waits but those whom only their key's cap holds back.
    pub fn is_idle(&self) -> bool {
        self.turns.busy_levels().next().is_none()
    }

    /// Whether requests in flight are counted by key: whether [`begin`](Queue::begin) has to be called.
    pub fn counts_in_flight(&self) -> bool {
        self.flows.counts_in_flight()
    }

    /// Joins. Whether there is room is for [`room_for`](Queue::room_for) to say.
    pub fn push(&mut self, now: Instant, waiter: Waiter<'_, W, K>) -> Ticket {
        let Waiter { waker, tag, key, level, seats, since, deadline } = waiter;
        let since_now = since == now;
        let now = self.clock.nanos(now);
        self.len += 1;
        let flow = self.flow(key);
        let lane = self.lane(flow, level);
        self.flows[flow].waiting += 1;
        let since = if since_now { now } else { self.clock.nanos(since) };
        let ticket = self.nodes.insert(waker, tag, since, seats.max(1), lane);
        self.deadlines.insert(ticket.index, self.clock.nanos(deadline), &mut self.nodes);
        self.turns[lane].link(ticket.index, now, &mut self.nodes);
        self.turns.joined(lane, seats.max(1));
        self.park_at_cap(flow);
        ticket
    }

    /// Lets one go whom [`next`](Queue::next) has named, with a verdict, and returns what wakes it.
    ///
    /// Charges its lane and, where keys have caps, counts it as in flight until [`end`](Queue::end).
    /// `None` if it is not waiting any more.
    pub fn grant(&mut self, choice: Choice, verdict: V) -> Option<W> {
        let Choice { ticket, seats, over, overtakes } = choice;
        let lane = self.waiting_in(ticket)?;
        if let Some(over) = over.and_then(|over| self.waiting_in(over)) {
            self.turns[over].passed += seats;
        }
        self.turns.charge(lane, seats);
        if overtakes && self.nodes[ticket.index].previous != NONE {
            self.turns[lane].overtaken = self.turns[lane].overtaken.wrapping_add(1);
        }
        let flow = self.turns[lane].flow;
        let waker = self.settle(ticket, verdict);
        if self.flows.counts_in_flight() {
            self.flows[flow].in_flight += seats;
            self.nodes[ticket.index].owner = flow;
            self.park_at_cap(flow);
        }
        waker
    }

    /// Ends a wait with a verdict without letting the waiter go, and returns what wakes it. `None` if it is not waiting.
    pub fn settle(&mut self, ticket: Ticket, verdict: V) -> Option<W> {
        self.waiting_in(ticket)?;
        self.leave(ticket.index);
        let node = &mut self.nodes[ticket.index];
        node.owner = NONE;
        match std::mem::replace(&mut node.state, State::Settled(verdict)) {
            State::Waiting(waker) => Some(waker),
            _ => unreachable!("it was waiting"),
        }
    }

    /// What wakes a waiter, as long as it is waiting.
    pub fn waker_mut(&mut self, ticket: Ticket) -> Option<&mut W> {
        match &mut self.nodes.get_mut(ticket)?.state {
            State::Waiting(waker) => Some(waker),
            _ => None,
        }
    }

    /// Leaves, from wherever it stands, with the verdict if there is one. The ticket is void afterwards.
    pub fn remove(&mut self, ticket: Ticket) -> Option<V> {
        self.nodes.get(ticket)?;
        if self.waiting_in(ticket).is_some() {
            self.leave(ticket.index);
        }
        self.reap();
        match self.nodes.free(ticket.index) {
            State::Settled(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// A waiter whose deadline has passed, if there is one, the earliest first. Settle it and ask again.
    pub fn next_due(&mut self, now: Instant) -> Option<Ticket> {
        let now = self.clock.nanos(now);
        self.due(now)
    }

    pub(super) fn due(&self, now: u64) -> Option<Ticket> {
        let (deadline, index) = self.deadlines.first()?;
        (deadline <= now).then(|| self.nodes.ticket(index))
    }

    /// The earliest deadline. `None` when nobody waits.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.clock.instant(self.deadlines.first()?.0)
    }

    /// Counts a request of a key as in flight, one that need not wait. `None` if its key's cap leaves no room, or
    /// another of the key is waiting. To be called only where keys have caps; anywhere else it costs, and counts all the
    /// same.
    pub fn begin(&mut self, key: Option<&K>, seats: u32) -> Option<FlowId> {
        let index = self.flow(key);
        if self.flows[index].waiting > 0 || !self.flows[index].has_room(seats) {
            return None;
        }
        self.flows[index].in_flight += seats;
        Some(FlowId(index))
    }

    /// Under which flow a granted waiter is counted as in flight. `None` where keys have no caps. To be asked before
    /// [`remove`](Queue::remove).
    pub fn counted(&self, ticket: Ticket) -> Option<FlowId> {
        let node = self.nodes.get(ticket)?;
        (matches!(node.state, State::Settled(_)) && node.owner != NONE).then_some(FlowId(node.owner))
    }

    /// A request that was counted as in flight has ended. Somebody of its key who was passed over may be
    /// [`next`](Queue::next) now.
    pub fn end(&mut self, flow: FlowId, seats: u32) {
        let FlowId(index) = flow;
        debug_assert!(self.flows[index].in_flight >= seats, "a request ended twice");
        self.flows[index].in_flight = self.flows[index].in_flight.saturating_sub(seats);
        if self.flows[index].has_room(1) {
            for lane in self.flows[index].lanes {
                if lane != NONE {
                    self.turns.unpark(lane);
                }
            }
        }
        self.flows.close_if_idle(index);
    }

    /// The lane that a waiter waits in, if it does.
    pub(super) fn waiting_in(&self, ticket: Ticket) -> Option<u32> {
        let node = self.nodes.get(ticket)?;
        matches!(node.state, State::Waiting(_)).then_some(node.owner)
    }

    /// Whether the newest goes first in a lane.
    pub(super) fn newest_first(&self, lane: u32, now: u64) -> bool {
        self.order.newest_first(self.turns[lane].stood_since, now)
    }

    fn leave(&mut self, index: u32) {
        let (lane, seats) = (self.nodes[index].owner, self.nodes[index].seats);
        let flow = self.turns[lane].flow;
        self.len -= 1;
        self.flows[flow].waiting -= 1;
        self.deadlines.remove(index, &mut self.nodes);
        self.turns[lane].unlink(index, &mut self.nodes);
        self.turns.left(lane, seats);
        self.park_at_cap(flow);
    }

    /// Puts the lanes of a key aside that has all it may have in flight: nobody in them is ahead of anybody.
    fn park_at_cap(&mut self, flow: u32) {
        if self.flows[flow].has_room(1) {
            return;
        }
        for lane in self.flows[flow].lanes {
            if lane != NONE {
                self.turns.park(lane);
            }
        }
    }

    fn flow(&mut self, key: Option<&K>) -> u32 {
        let Some(key) = key else { return SHARED };
        if let Some(flow) = self.flows.find(Some(key)) {
            return flow;
        }
        if self.flows.is_full() {
            self.make_room_for_a_key();
        }
        self.flows.open(key)
    }

    fn lane(&mut self, flow: u32, level: Level) -> u32 {
        let Flow { lanes, weight, .. } = &mut self.flows[flow];
        let lane = &mut lanes[level as usize];
        if *lane == NONE {
            *lane = self.turns.open(flow, level, *weight);
        }
        *lane
    }

    /// Forgets what a few keys owe of which nobody waits or is in flight.
    fn make_room_for_a_key(&mut self) {
        for level in Level::ALL {
            for _ in 0..REAP {
                let Some(flow) = self.turns.reap(level, true) else { break };
                self.close(flow, level);
            }
            if !self.flows.is_full() {
                return;
            }
        }
    }

    /// Frees what has become idle, a little at a time.
    fn reap(&mut self) {
        if self.flows.len() == 0 {
            return;
        }
        for level in Level::ALL {
            for _ in 0..REAP {
                let Some(flow) = self.turns.reap(level, false) else { break };
                self.close(flow, level);
            }
        }
    }

    fn close(&mut self, flow: u32, level: Level) {
        self.flows[flow].lanes[level as usize] = NONE;
        self.flows.close_if_idle(flow);
    }
}
