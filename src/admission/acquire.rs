//! Waiting for a permit.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::limiter::{Gate, now};
use super::permit::{Permit, Waited};
use super::rejection::{Reason, Rejection};
use super::waiting::{Verdict, start_housekeeper};
use crate::queue::{Level, Ticket, Waiter};

/// The future of [`Limiter::acquire`](super::Limiter::acquire).
///
/// # Cancel safety
/// Dropping it leaves the queue. A permit that was granted but not collected goes to the next in line.
#[derive(Debug)]
#[must_use = "nothing happens before the first poll"]
pub struct Acquire {
    /// Taken by the permit.
    gate: Option<Arc<Gate>>,
    state: State,
    budget: Budget,
}

/// How long a request may wait, at all its limits together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Budget {
    /// The smallest of the limits so far, unless it is known to be this.
    queue_timeout: Option<Duration>,
    /// When it first had to wait: nothing before that took any time.
    since: Option<Instant>,
}

impl Budget {
    pub(super) fn new(queue_timeout: Duration) -> Self {
        Budget { queue_timeout: Some(queue_timeout), since: None }
    }

    /// Starts the time unless it runs, and says since when and until when. `own` is the timeout of the gate itself.
    fn begin(&mut self, now: Instant, own: Duration) -> (Instant, Instant) {
        let since = *self.since.get_or_insert(now);
        let queue_timeout = self.queue_timeout.map_or(own, |all| all.min(own));
        // A timeout too long to be added is none that anybody will see the end of.
        (since, since.checked_add(queue_timeout).unwrap_or(now + Duration::from_secs(86400 * 365)))
    }
}

#[derive(Debug)]
enum State {
    Arriving,
    Waiting { ticket: Ticket, since: Instant, position: u32 },
    Done,
}

impl Acquire {
    pub(super) fn new(gate: Arc<Gate>, budget: Budget) -> Self {
        Acquire { gate: Some(gate), state: State::Arriving, budget }
    }

    /// What is left of the budget, for the next limit.
    pub(super) fn budget(&self) -> Budget {
        self.budget
    }

    pub(super) fn gate(&self) -> Option<&Arc<Gate>> {
        self.gate.as_ref()
    }

    fn permit(&mut self, waited: Option<Waited>) -> Permit {
        self.state = State::Done;
        Permit::new(self.gate.take().expect("the gate is present until the permit takes it"), waited)
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let gate = this.gate.as_ref().expect("polled after completion");
        match this.state {
            // Arriving => Waiting | Done
            State::Arriving => match arrive(gate, &mut this.budget, cx) {
                Arrival::Admitted => Poll::Ready(Ok(this.permit(None))),
                Arrival::Queued(state) => {
                    this.state = state;
                    Poll::Pending
                }
                Arrival::Rejected(rejection) => {
                    this.state = State::Done;
                    Poll::Ready(Err(rejection))
                }
            },
            // Waiting => Done
            State::Waiting { ticket, since, position } => {
                let mut waiting = gate.lock();
                if let Some(waker) = waiting.line.waker_mut(ticket) {
                    waker.clone_from(cx.waker());
                    return Poll::Pending;
                }
                let verdict = waiting.line.remove(ticket).expect("a waiter that does not wait has a verdict");
                drop(waiting);
                let waited = Waited { position, wait: now().saturating_duration_since(since) };
                gate.counters.waited(waited.wait, verdict == Verdict::Granted);
                match verdict {
                    Verdict::Granted => Poll::Ready(Ok(this.permit(Some(waited)))),
                    Verdict::Rejected(reason) => {
                        let rejection = gate.reject(reason, waited);
                        this.state = State::Done;
                        Poll::Ready(Err(rejection))
                    }
                }
            }
            State::Done => panic!("polled after completion"),
        }
    }
}

enum Arrival {
    Admitted,
    Queued(State),
    Rejected(Rejection),
}

fn arrive(gate: &Arc<Gate>, budget: &mut Budget, cx: &mut Context<'_>) -> Arrival {
    if gate.try_acquire() {
        return Arrival::Admitted;
    }
    let capacity = gate.queue();
    // Without the lock, from what is published beside it.
    let queued = gate.queued.load(Ordering::Relaxed);
    if gate.is_closed() || queued >= capacity {
        return refuse(gate, budget, queued);
    }

    let mut waiting = gate.lock();
    // From here on every release comes to this lock; what was released before is seen by the next line.
    gate.set_waiting();
    if waiting.line.is_empty() && !gate.is_closed() && gate.try_acquire_for_waiter() {
        gate.publish(&waiting);
        return Arrival::Admitted;
    }
    let ahead = waiting.line.len();
    if gate.is_closed() || ahead >= capacity {
        gate.publish(&waiting);
        drop(waiting);
        return refuse(gate, budget, ahead);
    }
    let now = now();
    gate.measure(&mut waiting, now);
    let (since, deadline) = budget.begin(now, gate.queue_timeout());
    let housekeeping = waiting.engage_housekeeper();
    gate.counters.queued();
    let waiter = Waiter { waker: cx.waker().clone(), key: None, level: Level::Normal, seats: 1, since, deadline };
    let ticket = waiting.line.push(now, waiter);
    gate.publish(&waiting);
    drop(waiting);
    if let Some(runtime) = housekeeping {
        start_housekeeper(gate, &runtime);
    }
    Arrival::Queued(State::Waiting { ticket, since, position: ahead + 1 })
}

fn refuse(gate: &Gate, budget: &Budget, ahead: u32) -> Arrival {
    let reason = match gate.queue() {
        _ if gate.is_closed() => Reason::Closed,
        0 => Reason::NoPermit,
        _ => Reason::QueueFull,
    };
    let wait = budget.since.map_or(Duration::ZERO, |since| now().saturating_duration_since(since));
    Arrival::Rejected(gate.reject(reason, Waited { position: ahead.saturating_add(1), wait }))
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let (Some(gate), State::Waiting { ticket, .. }) = (&self.gate, &self.state) else { return };
        let verdict = {
            let mut waiting = gate.lock();
            let verdict = waiting.line.remove(*ticket);
            gate.publish(&waiting);
            verdict
        };
        if verdict == Some(Verdict::Granted) {
            gate.release();
        }
    }
}
