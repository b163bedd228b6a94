//! Those who wait until an endpoint gets requests again.
//!
//! They have been admitted, and hold their permits: no more wait here than a limit allows, and whoever does not come so far
//! waits in its queue. When an endpoint is back they are let go one after the other, in the order in which they came, over a
//! second: all at once they would be the end of a server that has just begun. Dropping a wait leaves the line.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

/// The line of one upstream.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Whether no endpoint gets requests: what others look at on their way.
    closed: AtomicBool,
    /// How many have ever waited. Each has the number of those before it.
    tickets: AtomicU64,
    openings: watch::Sender<Opening>,
}

/// What whoever waits has to know.
#[derive(Debug, Clone, Copy, Default)]
struct Opening {
    /// Since when there has been no endpoint, if there is none.
    closed: Option<Instant>,
    /// Those with tickets from the first number to before the second are let go with the last opening.
    first: u64,
    last: u64,
}

/// How long somebody waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long it has waited elsewhere.
    pub waited: Duration,
    /// When it stops in any case.
    pub until: Option<Instant>,
}

/// In this time all who wait are let go.
const RAMP: Duration = Duration::from_secs(1);

impl Line {
    /// Whether there is no endpoint that gets requests.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Says whether there is one. One at a time may say so.
    pub(super) fn set_open(&self, open: bool) {
        if self.is_closed() != open {
            return;
        }
        self.closed.store(!open, Ordering::Relaxed);
        self.openings.send_modify(|opening| {
            *opening = match open {
                true => Opening { closed: None, first: opening.last, last: self.tickets.load(Ordering::SeqCst) },
                false => Opening { closed: Some(Instant::now()), ..*opening },
            }
        });
    }

    /// Waits until `seat` has something, which is asked first and then each time that it may have. `None` once it has been
    /// `time` since the last endpoint was lost, or since whoever waits has come if that was later.
    pub(super) async fn wait<T>(&self, time: Duration, patience: Patience, seat: impl Fn() -> Option<T>) -> Option<T> {
        let mut openings = self.openings.subscribe();
        let ticket = self.tickets.fetch_add(1, Ordering::SeqCst);
        let now = Instant::now();
        let came = now.checked_sub(patience.waited).unwrap_or(now);
        let since = openings.borrow().closed.map_or(came, |closed| closed.max(came));
        let end = since.checked_add(time).into_iter().chain(patience.until).min();
        let seated = async {
            loop {
                if let Some(seat) = seat() {
                    return Some(seat);
                }
                openings.changed().await.ok()?;
                let Opening { closed, first, last } = *openings.borrow_and_update();
                if closed.is_none() {
                    sleep(turn(ticket, first, last)).await;
                }
            }
        };
        match end {
            Some(end) => timeout_at(end, seated).await.ok().flatten(),
            None => seated.await,
        }
    }
}

/// After how long it is the turn of a ticket, of those from `first` to before `last`.
fn turn(ticket: u64, first: u64, last: u64) -> Duration {
    let all = last.saturating_sub(first).max(1);
    let before = ticket.saturating_sub(first).min(all);
    RAMP.mul_f64(before as f64 / all as f64)
}

#[cfg(test)]
mod tests;
