//! The moment at which a request comes: go, wait, or be turned away?

use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use tokio::runtime::Handle;

use super::acquire::Budget;
use super::claim::{Claim, Keyed};
use super::dry_run;
use super::gate::{Gate, now};
use super::judge::{Refusal, in_vain, judge, turned_away};
use super::key::Key;
use super::rejection::{Reason, Rejection};
use super::waiting::{Verdict, Waiting, Wakers, start_housekeeper};
use super::word::Mode;
use crate::queue::{Entry, FlowId, Ticket, Waiter, Why};

pub(super) enum Arrival {
    /// Its seats are taken, and counted under its key.
    Admitted(Option<FlowId>, u32),
    Queued(Place),
    Rejected(Rejection),
}

/// A place in line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) ticket: Ticket,
    pub(super) since: Instant,
    /// 1 is next.
    pub(super) position: u32,
    /// Whether it is the client's deadline that ends the wait, rather than the limit's.
    pub(super) client_ends_it: bool,
}

/// Takes the seats of `claim` if they are free, else a place in line. `whose` is asked before the lock is taken, and only
/// if that matters.
pub(super) fn arrive(
    gate: &Arc<Gate>,
    claim: &Claim,
    budget: &mut Budget,
    whose: impl FnOnce() -> Keyed,
    cx: &mut Context<'_>,
) -> Arrival {
    let seats = claim.seats_taken();
    let in_vain = (claim.deadline.is_some() || claim.seats_from_client).then(|| in_vain(gate, claim)).flatten();
    if in_vain.is_none() && gate.take(seats) {
        return Arrival::Admitted(None, seats);
    }
    let word = gate.word.read();
    if word.is(Mode::DRY_RUN) && !word.is_closed() {
        return dry_run::pass(gate, seats, in_vain.is_some(), whose);
    }
    let refused = match in_vain {
        Some(reason) => Some(Refusal::new(reason, gate.crowd.read().len)),
        None => turned_away(gate, word, claim, budget),
    };
    if let Some(refusal) = refused {
        return Arrival::Rejected(refusal.told_by(gate, budget));
    }
    let key = match word.is(Mode::KEYED).then(whose) {
        Some(Keyed::Own(key)) => Some(key),
        Some(Keyed::Shared) | None => None,
        Some(Keyed::Refused) => {
            let refusal = Refusal::new(Reason::KeyLimit, gate.crowd.read().len);
            return Arrival::Rejected(refusal.told_by(gate, budget));
        }
    };
    let newcomer = Newcomer { gate, claim, key: key.as_ref(), seats };
    newcomer.arrive(budget, cx)
}

/// One who did not find what it wants, and comes to the lock.
struct Newcomer<'a> {
    gate: &'a Arc<Gate>,
    claim: &'a Claim,
    key: Option<&'a Key>,
    seats: u32,
}

/// What is to be done once the lock has been released.
#[derive(Default)]
struct Afterwards {
    wakers: Wakers,
    housekeeping: Option<Handle>,
}

enum Outcome {
    Admitted(Option<FlowId>),
    Queued(Place),
    Refused(Refusal),
    DryRun,
}

impl Newcomer<'_> {
    fn arrive(self, budget: &mut Budget, cx: &mut Context<'_>) -> Arrival {
        let gate = self.gate;
        let mut after = Afterwards::default();
        let mut waiting = gate.lock();
        // From here on every release comes to this lock; what was released before is seen by the next look at the word.
        gate.word.set_waiting();
        let outcome = self.decide(&mut waiting, &mut after, budget, cx);
        if let Outcome::Queued(_) = outcome {
            gate.counters.queued();
        }
        gate.publish(&mut waiting);
        drop(waiting);
        let more = after.wakers.is_nearly_full();
        after.wakers.wake();
        if more {
            gate.hand_over();
        }
        if let Some(runtime) = after.housekeeping {
            start_housekeeper(gate, &runtime);
        }
        match outcome {
            Outcome::Admitted(flow) => Arrival::Admitted(flow, self.seats),
            Outcome::Queued(place) => Arrival::Queued(place),
            Outcome::Refused(refusal) => Arrival::Rejected(refusal.told_by(gate, budget)),
            Outcome::DryRun => dry_run::pass(gate, self.seats, false, || Keyed::of(self.key.cloned())),
        }
    }

    fn decide(
        &self,
        waiting: &mut Waiting,
        after: &mut Afterwards,
        budget: &mut Budget,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let Newcomer { gate, claim, key, seats } = *self;
        let word = gate.word.read();
        if word.is_closed() {
            return Outcome::Refused(Refusal::new(Reason::Closed, waiting.line.len()));
        }
        if word.is(Mode::DRY_RUN) {
            return Outcome::DryRun;
        }
        // Where keys have caps, permits can be free while somebody waits; whoever may have them goes first.
        self.hand_over(waiting, &mut after.wakers);
        let at_cap = match self.go(waiting) {
            Go::Now(flow) => return Outcome::Admitted(flow),
            Go::AtCap => true,
            Go::NotYet => false,
        };
        let now = now();
        let ahead = waiting.line.ahead(now, key, claim.level);
        gate.measure(waiting, now);
        let refused = |reason| Outcome::Refused(Refusal::new(reason, ahead.waiters));
        let capacity = gate.queue();
        if capacity == 0 {
            return refused(if at_cap { Reason::KeyLimit } else { Reason::NoPermit });
        }
        let backlog = || waiting.line.backlog(key, claim.level).seats;
        if let Some(refusal) = judge(gate, word, claim, budget, ahead, backlog) {
            return Outcome::Refused(refusal);
        }
        // It panics outside a runtime: before anybody has joined or given way.
        after.housekeeping = waiting.engage_housekeeper();
        match waiting.line.room_for(now, key, claim.level, capacity) {
            Entry::Free => {}
            Entry::Refused(why) => return refused(reason(why)),
            Entry::InPlaceOf(ticket, why) => {
                let waker = waiting.line.settle(ticket, Verdict::Rejected(reason(why)));
                after.wakers.push(waker.expect("who gives way was waiting"));
            }
        }
        let (since, end) = budget.begin(now, gate.queue_timeout());
        let client_ends_it = claim.deadline.is_some_and(|deadline| deadline < end);
        let deadline = claim.deadline.map_or(end, |deadline| deadline.min(end));
        let waiter =
            Waiter { waker: cx.waker().clone(), tag: claim.tag, key, level: claim.level, seats, since, deadline };
        let ticket = waiting.line.push(now, waiter);
        // Narrow enough to pass one who needs more than is free, it goes at once.
        self.hand_over(waiting, &mut after.wakers);
        if waiting.line.waker_mut(ticket).is_none() {
            let flow = waiting.line.counted(ticket);
            if waiting.line.remove(ticket) == Some(Verdict::Granted) {
                gate.tally.collected(seats);
                return Outcome::Admitted(flow);
            }
            return refused(if client_ends_it { Reason::DeadlineExpired } else { Reason::QueueTimeout });
        }
        Outcome::Queued(Place { ticket, since, position: ahead.waiters.saturating_add(1), client_ends_it })
    }

    fn hand_over(&self, waiting: &mut Waiting, wakers: &mut Wakers) {
        // One place is left for who gives way.
        while !wakers.is_nearly_full()
            && let Some(waker) = self.gate.next(waiting)
        {
            wakers.push(waker);
        }
    }

    /// Takes what is free, unless somebody waits whose turn would come first.
    fn go(&self, waiting: &mut Waiting) -> Go {
        if !waiting.line.is_idle() {
            return Go::NotYet;
        }
        let flow = match waiting.line.counts_in_flight() {
            false => None,
            true => match waiting.line.begin(self.key, self.seats) {
                None => return Go::AtCap,
                flow => flow,
            },
        };
        if self.gate.take_in_turn(self.seats) {
            return Go::Now(flow);
        }
        if let Some(flow) = flow {
            waiting.line.end(flow, self.seats);
        }
        Go::NotYet
    }
}

enum Go {
    Now(Option<FlowId>),
    /// Its key has what it may.
    AtCap,
    NotYet,
}

fn reason(why: Why) -> Reason {
    match why {
        Why::Full => Reason::QueueFull,
        Why::Order | Why::Level => Reason::Evicted,
        Why::LongestKey | Why::KeyFull => Reason::KeyQueueFull,
    }
}
