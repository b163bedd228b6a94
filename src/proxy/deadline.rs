//! How long an exchange may take, from its admission on (`timeout`, `max_duration`).
//!
//! Both are one deadline to whatever is under way: the earlier one for an ordinary exchange, `max_duration` alone for a
//! connection that has been upgraded. Before the head it makes an answer of ours, the same for both; after it,
//! [`Relay`](super::relay::Relay) and [`Tunnel`](super::Tunnel) cut what has not ended, and what is noted of it says which
//! of the two it was.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::settings::Handling;
use crate::timer::Timer;
use crate::upstream::Failure;

/// When an exchange of HTTP must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: Instant,
    /// Whether it is `timeout` that says so, and not `max_duration`.
    by_timeout: bool,
}

impl Due {
    /// What becomes of one that has not ended by then.
    pub(super) fn failure(self) -> Failure {
        if self.by_timeout { Failure::Overdue } else { Failure::Outlived }
    }
}

/// Until when an exchange must have ended, if it must.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// While it is one of HTTP.
    pub(super) exchange: Option<Due>,
    /// Once it has become something else.
    pub(super) upgraded: Option<Instant>,
}

impl Deadlines {
    /// Those of an exchange that is admitted now. The clock is read only where there are any.
    pub(super) fn begin(handling: &Handling) -> Self {
        let Handling { timeout, max_duration, .. } = *handling;
        let shorter = timeout.into_iter().chain(max_duration).min();
        let now = shorter.map(|_| Instant::now());
        let after = |duration| now.zip(duration).and_then(|(now, duration)| now.checked_add(duration));
        let exchange = after(shorter).map(|at| Due { at, by_timeout: shorter == timeout });
        Deadlines { exchange, upgraded: after(max_duration) }
    }
}

pin_project! {
    /// Resolves to what `F` does, or to `None` at the deadline. Dropping it drops `F`.
    pub(super) struct Within<F> {
        #[pin]
        future: F,
        timer: Timer,
    }
}

/// `future`, until `deadline`.
pub(super) fn within<F: Future>(deadline: Option<Instant>, future: F) -> Within<F> {
    Within { future, timer: timer(deadline) }
}

/// One that fires at `deadline`, or never.
pub(super) fn timer(deadline: Option<Instant>) -> Timer {
    let mut timer = Timer::default();
    timer.set(deadline);
    timer
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let this = self.project();
        match this.future.poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => this.timer.poll(cx).map(|()| None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_exchange_has_the_earlier_deadline_and_a_tunnel_its_own() {
        let seconds = |n: u64| Some(Duration::from_secs(n));
        for (timeout, max_duration, exchange, by_timeout) in [
            (None, None, None, false),
            (seconds(3), None, seconds(3), true),
            (None, seconds(5), seconds(5), false),
            (seconds(3), seconds(5), seconds(3), true),
            (seconds(7), seconds(5), seconds(5), false),
        ] {
            let deadlines = Deadlines::begin(&Handling { timeout, max_duration, ..Handling::default() });
            let left = |deadline: Option<Instant>| deadline.map(|deadline| deadline - Instant::now());
            let due = deadlines.exchange;
            assert_eq!((left(due.map(|due| due.at)), left(deadlines.upgraded)), (exchange, max_duration));
            assert_eq!(due.is_some_and(|due| matches!(due.failure(), Failure::Overdue)), by_timeout);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_ready_at_the_deadline_is_over() {
        let soon = Instant::now() + Duration::from_secs(1);
        assert_eq!(within(Some(soon), std::future::pending::<()>()).await, None);
        assert_eq!(Instant::now(), soon);
        assert_eq!(within(Some(soon), async { 1 }).await, Some(1));
        assert_eq!(within(None, async { 1 }).await, Some(1));
    }
}
