//! What stands behind the gate's lock: the line, and the task that ends waits when their time is over.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::sleep_until;

use super::gate::{Gate, now};
use super::key::Key;
use super::rejection::Reason;
use crate::queue::{DrainRate, Queue};

/// Everything that is only touched by those who wait, and by those who let them in.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) line: Queue<Waker, Verdict, Key>,
    pub(super) drain_rate: DrainRate,
    /// Whether a housekeeper is at work.
    housekept: bool,
}

/// How a wait has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its seats have been counted for this waiter, who must use them or give them back.
    Granted,
    /// Its time is over.
    Expired,
    /// It has to come again: what it waits for is not what it was.
    Again,
    Rejected(Reason),
}

/// Waits end at most this much late, and the housekeeper wakes at most this often.
const TICK: Duration = Duration::from_millis(10);

impl Waiting {
    /// Somebody has to end the waits whose time is over: called before somebody joins the line, it returns where to
    /// [start](start_housekeeper) that, once the lock has been released.
    ///
    /// One task serves all waiters of a gate, and only while there are any: no timer per waiter.
    pub(super) fn engage_housekeeper(&mut self) -> Option<Handle> {
        let runtime = (!self.housekept).then(Handle::current)?;
        self.housekept = true;
        Some(runtime)
    }
}

/// Not under the lock: a runtime that is going down drops the task at once, and that takes the lock.
pub(super) fn start_housekeeper(gate: &Arc<Gate>, runtime: &Handle) {
    runtime.spawn(Housekeeper { gate: gate.clone(), on_duty: true }.run());
}

/// Ends waits whose time is over, until the line is empty.
struct Housekeeper {
    gate: Arc<Gate>,
    on_duty: bool,
}

impl Housekeeper {
    async fn run(mut self) {
        while let Some(next) = self.end_due() {
            sleep_until(next.into()).await;
        }
    }

    /// Returns when to look again, or `None` when nobody waits; then this housekeeper is off duty.
    fn end_due(&mut self) -> Option<Instant> {
        let now = now();
        self.gate.settle_all(|waiting| match waiting.line.next_due(now) {
            Some(ticket) => waiting.line.settle(ticket, Verdict::Expired),
            // Capacity may have been saved up for one of them.
            None => self.gate.next(waiting),
        });
        let mut waiting = self.gate.lock();
        let next = waiting.line.next_deadline();
        self.on_duty = next.is_some();
        waiting.housekept = self.on_duty;
        // Never later than a tick: somebody with an earlier deadline may join while this one sleeps.
        next.map(|deadline| deadline.clamp(now + TICK / 10, now + TICK))
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        // Its runtime is going down: the next waiter starts another, on its own runtime.
        if self.on_duty {
            self.gate.lock().housekept = false;
        }
    }
}

/// A few wakers taken out under the lock, to be woken after it.
#[derive(Default)]
pub(super) struct Wakers {
    wakers: [Option<Waker>; 16],
    len: usize,
}

impl Wakers {
    pub(super) fn is_full(&self) -> bool {
        self.len == self.wakers.len()
    }

    /// Whether there is room for one at most.
    pub(super) fn is_nearly_full(&self) -> bool {
        self.len + 1 >= self.wakers.len()
    }

    /// # Panics
    /// When full.
    pub(super) fn push(&mut self, waker: Waker) {
        self.wakers[self.len] = Some(waker);
        self.len += 1;
    }

    pub(super) fn wake(self) {
        self.wakers.into_iter().flatten().for_each(Waker::wake);
    }
}
