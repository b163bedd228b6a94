//! Waiting for a permit.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::arrive::{Arrival, Place, arrive};
use super::claim::{Claim, Keyed};
use super::gate::{Gate, now};
use super::key::Key;
use super::observe::Forecast;
use super::permit::{Permit, Waited};
use super::rejection::{Reason, Rejection};
use super::waiting::Verdict;
use crate::queue::FlowId;

/// The future of [`Limiter::acquire`](super::Limiter::acquire).
///
/// # Cancel safety
/// Dropping it leaves the queue. A permit that was granted but not collected goes to the next in line.
#[derive(Debug)]
#[must_use = "nothing happens before the first poll"]
pub struct Acquire {
    turn: Turn,
    key: Option<Key>,
}

impl Acquire {
    pub(super) fn new(gate: Arc<Gate>, claim: Claim, key: Option<Key>) -> Self {
        Acquire { turn: Turn::new(gate, claim, Budget::default()), key }
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.turn.poll(cx, || Keyed::of(this.key.clone()))
    }
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

    /// Since when and until when one may wait who does now. `own` is the timeout of the gate itself.
    pub(super) fn until(&self, now: Instant, own: Duration) -> (Instant, Instant) {
        let since = self.since.unwrap_or(now);
        let queue_timeout = self.queue_timeout.map_or(own, |all| all.min(own));
        // A timeout too long to be added is none that anybody will see the end of.
        (since, since.checked_add(queue_timeout).unwrap_or(now + Duration::from_secs(86400 * 365)))
    }

    /// Starts the time unless it runs, and says the same.
    pub(super) fn begin(&mut self, now: Instant, own: Duration) -> (Instant, Instant) {
        self.since.get_or_insert(now);
        self.until(now, own)
    }

    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }
}

/// One request at one gate.
#[derive(Debug)]
pub(super) struct Turn {
    /// Taken by the permit.
    gate: Option<Arc<Gate>>,
    state: State,
    claim: Claim,
    budget: Budget,
    /// A wait after which it had to come again.
    waited: Option<Waited>,
}

#[derive(Debug)]
enum State {
    Arriving,
    Waiting(Place),
    Done,
}

impl Turn {
    pub(super) fn new(gate: Arc<Gate>, claim: Claim, budget: Budget) -> Self {
        let claim = if gate.takes_one { Claim { seats: 1, seats_from_client: false, ..claim } } else { claim };
        Turn { gate: Some(gate), state: State::Arriving, claim, budget, waited: None }
    }

    /// What is left of the budget, for the next limit.
    pub(super) fn budget(&self) -> Budget {
        self.budget
    }

    /// Where it stands, while it waits.
    pub(super) fn standing(&self) -> Option<Forecast> {
        let State::Waiting(Place { ticket, .. }) = self.state else { return None };
        self.gate.as_ref()?.standing(ticket)
    }

    /// Its place in line on arrival, while it waits.
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "nobody else keeps a log"))]
    pub(super) fn place(&self) -> Option<u32> {
        let State::Waiting(Place { position, .. }) = self.state else { return None };
        Some(position)
    }

    pub(super) fn gate(&self) -> Option<&Arc<Gate>> {
        self.gate.as_ref()
    }

    /// `whose` is asked at most once a poll, and only if the gate wants to know.
    #[inline]
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        whose: impl FnMut() -> Keyed,
    ) -> Poll<Result<Permit, Rejection>> {
        // Arriving => Done: what most requests do, and nothing but the word is asked.
        let gate = self.gate.as_ref().filter(|_| self.asks_for_seats_alone());
        if gate.is_some_and(|gate| gate.take(self.claim.seats_taken())) {
            return Poll::Ready(Ok(self.permit(self.claim.seats_taken(), None, None)));
        }
        self.poll_on(cx, whose)
    }

    #[inline(never)]
    fn poll_on(&mut self, cx: &mut Context<'_>, mut whose: impl FnMut() -> Keyed) -> Poll<Result<Permit, Rejection>> {
        loop {
            let gate = self.gate.as_ref().expect("polled after completion");
            match self.state {
                // Arriving => Waiting | Done
                State::Arriving => match arrive(gate, &self.claim, &mut self.budget, &mut whose, cx) {
                    Arrival::Admitted(flow, seats) => {
                        let waited = self.waited;
                        if let Some(Waited { wait, .. }) = waited {
                            gate.counters.waited(wait, true);
                        }
                        return Poll::Ready(Ok(self.permit(seats, flow, waited)));
                    }
                    Arrival::Queued(place) => {
                        self.state = State::Waiting(place);
                        return Poll::Pending;
                    }
                    Arrival::Rejected(rejection) => {
                        self.state = State::Done;
                        return Poll::Ready(Err(rejection));
                    }
                },
                // Waiting => Arriving | Done
                State::Waiting(place) => {
                    let Some((verdict, flow)) = collect(gate, place, &self.claim, cx) else { return Poll::Pending };
                    let now = now();
                    let waited = Waited { position: place.position, wait: now.saturating_duration_since(place.since) };
                    if verdict == Verdict::Again {
                        (self.state, self.waited) = (State::Arriving, Some(waited));
                        continue;
                    }
                    gate.counters.waited(waited.wait, verdict == Verdict::Granted);
                    let expired = self.claim.deadline.is_some_and(|deadline| deadline <= now);
                    let reason = match verdict {
                        Verdict::Granted if expired => {
                            // Nobody came for it in time.
                            gate.release(self.claim.seats_taken(), flow);
                            Reason::DeadlineExpired
                        }
                        Verdict::Granted => {
                            let permit = self.permit(self.claim.seats_taken(), flow, Some(waited));
                            return Poll::Ready(Ok(permit));
                        }
                        Verdict::Expired if place.client_ends_it => Reason::DeadlineExpired,
                        Verdict::Expired | Verdict::Again => Reason::QueueTimeout,
                        Verdict::Rejected(reason) => reason,
                    };
                    let rejection = gate.reject(reason, waited);
                    self.state = State::Done;
                    return Poll::Ready(Err(rejection));
                }
                State::Done => panic!("polled after completion"),
            }
        }
    }

    /// Whether it has just come, and nothing can stand against seats that are free.
    #[inline]
    fn asks_for_seats_alone(&self) -> bool {
        matches!(self.state, State::Arriving)
            && self.claim.deadline.is_none()
            && !self.claim.seats_from_client
            && self.waited.is_none()
    }

    #[inline]
    fn permit(&mut self, seats: u32, flow: Option<FlowId>, waited: Option<Waited>) -> Permit {
        self.state = State::Done;
        let gate = self.gate.take().expect("the gate is present until the permit takes it");
        gate.counters.admitted(self.claim.level);
        Permit::new(gate, seats, flow, waited)
    }
}

/// The verdict, if there is one, and under which flow it is counted; else who is to be woken for it.
fn collect(
    gate: &Gate,
    Place { ticket, .. }: Place,
    claim: &Claim,
    cx: &Context<'_>,
) -> Option<(Verdict, Option<FlowId>)> {
    let mut waiting = gate.lock();
    if let Some(waker) = waiting.line.waker_mut(ticket) {
        waker.clone_from(cx.waker());
        return None;
    }
    let flow = waiting.line.counted(ticket);
    let verdict = waiting.line.remove(ticket).expect("a waiter that does not wait has a verdict");
    if verdict == Verdict::Granted {
        gate.tally.collected(claim.seats_taken());
    }
    Some((verdict, flow))
}

impl Drop for Turn {
    #[inline]
    fn drop(&mut self) {
        if matches!(self.state, State::Waiting(_)) {
            self.leave();
        }
    }
}

impl Turn {
    #[cold]
    fn leave(&mut self) {
        let (Some(gate), State::Waiting(Place { ticket, .. })) = (&self.gate, &self.state) else { return };
        let mut waiting = gate.lock();
        let flow = waiting.line.counted(*ticket);
        let verdict = waiting.line.remove(*ticket);
        if verdict == Some(Verdict::Granted) {
            gate.tally.collected(self.claim.seats_taken());
        }
        // Capacity may have been saved up for it.
        gate.settle_from(waiting, |waiting| gate.next(waiting));
        if verdict == Some(Verdict::Granted) {
            gate.release(self.claim.seats_taken(), flow);
        }
    }
}
