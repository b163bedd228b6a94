//! A handle to a limit: taking permits, and changing what is in force.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::acquire::{Acquire, Budget};
use super::arrive::Arrival;
use super::claim::{Claim, Keyed};
use super::dry_run;
use super::gate::{Gate, now};
use super::judge::Refusal;
use super::key::Key;
use super::permit::Permit;
use super::rejection::{Reason, Rejection};
use super::settings::{Hold, LIMIT_MAX, Settings};
use super::waiting::Verdict;
use super::word::Mode;
use crate::queue::{Order, Rules};

/// A handle to a limit and its queue. Clones share both.
#[derive(Debug, Clone)]
pub struct Limiter(pub(super) Arc<Gate>);

impl Limiter {
    /// A limit with nobody in flight. A limit above [`LIMIT_MAX`] is taken as that.
    pub fn new(settings: Settings) -> Self {
        Limiter(Arc::new(Gate::new(settings)))
    }

    /// A permit, now or after waiting in line. Nothing happens before the first poll. Dropping the future leaves the
    /// queue.
    ///
    /// # Errors
    /// A [`Rejection`] at once when the queue is full, or later when the wait is over.
    ///
    /// # Panics
    /// When it has to wait outside a tokio runtime with time enabled.
    pub fn acquire(&self) -> Acquire {
        self.acquire_as(Claim::default(), None)
    }

    /// The same for a request that asks for more than one seat, or is urgent, or has a deadline, or has a key. The key
    /// plays a part only if the limit has [rules](Settings::rules) for keys.
    ///
    /// # Errors
    /// As [`acquire`](Limiter::acquire), and for each [`Reason`] that belongs to what it asks.
    ///
    /// # Panics
    /// When it has to wait outside a tokio runtime with time enabled.
    pub fn acquire_as(&self, claim: Claim, key: Option<Key>) -> Acquire {
        Acquire::new(self.0.clone(), claim, key)
    }

    /// A permit if one is free and nobody waits for it; in a dry run always. Where requests are counted by key, there is
    /// none to be had this way: [`acquire_as`](Limiter::acquire_as) says whose it is.
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit> {
        match self.0.take(1) {
            true => Some(Permit::new(self.0.clone(), 1, None, None)),
            false => self.try_pass(),
        }
    }

    #[cold]
    fn try_pass(&self) -> Option<Permit> {
        let gate = &self.0;
        let word = gate.word.read();
        if !word.is(Mode::DRY_RUN) || word.is_closed() {
            return None;
        }
        match dry_run::pass(gate, 1, false, || Keyed::Shared) {
            Arrival::Admitted(flow, seats) => Some(Permit::new(gate.clone(), seats, flow, None)),
            Arrival::Queued(_) | Arrival::Rejected(_) => None,
        }
    }

    /// An account of what a request holds in memory before it has a permit of this limit.
    pub fn account(&self) -> Account {
        Account::new(self.0.clone())
    }

    /// Changes the limit. Raising it admits waiters at once; lowering it cuts nobody and admits nobody until in-flight
    /// is below it. A limit above [`LIMIT_MAX`] is taken as that.
    pub fn set_limit(&self, limit: NonZeroU32) {
        self.0.word.set_limit(limit.get().min(LIMIT_MAX));
        self.0.hand_over();
    }

    /// Changes how many may wait. Who waits already goes on waiting.
    pub fn set_queue(&self, queue: u32) {
        self.0.set_queue(queue);
    }

    /// Changes how long one may wait, for those who come from now on. In whole milliseconds, at least one.
    pub fn set_queue_timeout(&self, queue_timeout: Duration) {
        self.0.set_queue_timeout(queue_timeout);
    }

    /// Changes who goes first, for those who wait already as well.
    pub fn set_order(&self, order: Order) {
        self.0.set_order(order);
    }

    /// Changes what holds for keys, for those who wait or are in flight already as well. `None`: from now on nobody has a
    /// key. Who was admitted before its key was counted is not counted by it.
    pub fn set_rules(&self, rules: Option<Rules<Key>>) {
        self.0.set_rules(rules);
        self.0.hand_over();
    }

    /// Changes how long permits are held, those that are out included.
    pub fn set_hold(&self, hold: Hold) {
        self.0.set_hold(hold);
    }

    /// Whether it only counts, from now on. Who waits when a dry run begins waits no more.
    pub fn set_dry_run(&self, dry_run: bool) {
        self.0.set_dry_run(dry_run);
    }

    /// Ends every wait, and every later attempt, with [`Reason::Closed`]. Permits that are out stay valid.
    /// Returns how many were waiting.
    pub fn close(&self) -> u32 {
        self.0.word.close();
        self.0.end_waits(Verdict::Rejected(Reason::Closed))
    }

    /// Ends the waits of all who wait now with [`Reason::Flushed`]. Returns how many there were.
    pub fn flush(&self) -> u32 {
        self.0.end_waits(Verdict::Rejected(Reason::Flushed))
    }

    /// Ends the wait of one who is known by `tag`, with [`Reason::Flushed`]. Looks at all who wait. Returns whether it waited.
    pub fn flush_one(&self, tag: u64) -> bool {
        let mut flushed = false;
        self.0.settle_all(|waiting| {
            if flushed {
                // Capacity may have been saved up for it.
                return self.0.next(waiting);
            }
            let ticket = waiting.line.upcoming(now()).find(|standing| standing.tag == tag)?.ticket;
            flushed = true;
            waiting.line.settle(ticket, Verdict::Rejected(Reason::Flushed))
        });
        flushed
    }

    /// Turns away a request that asks in vain, whoever else is there, and says what to tell it. `None` in a dry run: then
    /// it is only counted as one that would have been rejected.
    pub fn refuse(&self, reason: Reason) -> Option<Rejection> {
        let gate = &self.0;
        if self.is_dry_run() {
            gate.counters.dry_run_rejected();
            return None;
        }
        Some(Refusal::new(reason, gate.crowd.read().len).told_by(gate, &Budget::default()))
    }
}
