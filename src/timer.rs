//! A deadline that moves for free.
//!
//! Timeouts on the request path move with every request and hardly ever fire. Here moving one later is a store: the
//! runtime's timer stays where it was, fires early, sees that the deadline has moved, and is set anew. So it is touched
//! about once per timeout, not twice per request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// One movable deadline. It registers nothing with the runtime until it is first polled with a deadline set.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Sets the deadline, or with `None` takes it away.
    pub(crate) fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Whether a deadline is set.
    pub(crate) fn is_set(&self) -> bool {
        self.deadline.is_some()
    }

    /// Ready, once, when the deadline has passed; it is taken away then. Pending without a deadline.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                self.deadline = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    async fn fires_after(timer: &mut Timer) -> Duration {
        let start = Instant::now();
        poll_fn(|cx| timer.poll(cx)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn fires_at_its_deadline_wherever_it_was_moved() {
        let mut timer = Timer::default();
        for (first, moved) in [(100, 100), (100, 300), (300, 100)] {
            let now = Instant::now();
            timer.set(Some(now + Duration::from_millis(first)));
            assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
            timer.set(Some(now + Duration::from_millis(moved)));
            assert_eq!(fires_after(&mut timer).await, Duration::from_millis(moved));
            assert!(!timer.is_set());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_taken_away_does_not_fire() {
        let mut timer = Timer::default();
        timer.set(Some(Instant::now() + Duration::from_millis(10)));
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
        timer.set(None);
        tokio::select! {
            () = poll_fn(|cx| timer.poll(cx)) => panic!("it fired"),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
