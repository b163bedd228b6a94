//! Those who wait until an endpoint gets requests again.
//!
//! They have been admitted, and hold their permits: no more wait here than a limit allows, and whoever does not come so far
//! waits in its queue. When an endpoint is back they are let go one after the other, in the order in which they came, over a
//! second: all at once they would be the end of a server that has just begun. Dropping a wait leaves the line.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

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
    /// When one is back, where that is known: it has asked for a pause, and is well.
    back: Option<Instant>,
    /// Those with tickets from the first number to before the second are let go with the last opening.
    first: u64,
    last: u64,
}

/// How long somebody waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long it has waited elsewhere.
    pub waited: Duration,
    /// How long it may wait there and here together for a pause to end, if the upstream does not let it wait for longer.
    pub queue: Duration,
    /// When it stops in any case.
    pub until: Option<Instant>,
}

/// In this time all who wait are let go.
const RAMP: Duration = Duration::from_secs(1);

/// By how much less a pause has to become longer for those who wait to hear of it. Where many answers say the same one after
/// the other, each moves the end a little.
const HARDLY: Duration = Duration::from_millis(100);

impl Line {
    /// Whether there is no endpoint that gets requests.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Says whether there is one, and if there is none, when one is back if that is known. One at a time may say so.
    pub(super) fn set(&self, open: bool, back: Option<Instant>) {
        let back = back.filter(|_| !open);
        let told = self.openings.borrow().back;
        let same = match (told, back) {
            (Some(told), Some(back)) => told <= back && back - told < HARDLY,
            (told, back) => told == back,
        };
        if self.is_closed() != open && same {
            return;
        }
        // One that is paused is not lost.
        let loses = !self.is_closed() || back.is_none();
        // Whoever finds it closed finds out why, and whoever hears that it is open finds it so.
        if open {
            self.closed.store(false, Ordering::Release);
        }
        self.openings.send_modify(|opening| {
            *opening = match open {
                true => {
                    Opening { first: opening.last, last: self.tickets.load(Ordering::SeqCst), ..Opening::default() }
                }
                false if loses => Opening { closed: Some(Instant::now()), back, ..*opening },
                false => Opening { back, ..*opening },
            }
        });
        self.closed.store(!open, Ordering::Release);
    }

    /// When an endpoint is back, where all that would get requests are paused.
    pub(super) fn back(&self) -> Option<Instant> {
        self.openings.borrow().back
    }

    /// Waits until `seat` has something, which is asked first and then each time that it may have. `None` once it has been
    /// `time` since the last endpoint was lost, or since whoever waits has come if that was later; and where all endpoints
    /// are paused, for longer than its patience lasts.
    pub(super) async fn wait<T>(&self, time: Duration, patience: Patience, seat: impl Fn() -> Option<T>) -> Option<T> {
        let mut openings = self.openings.subscribe();
        let mut ticket = None;
        let came = patience.came();
        let mut lost = None;
        loop {
            if let Some(seat) = seat() {
                return Some(seat);
            }
            let opening = *openings.borrow_and_update();
            let end = match opening.back {
                Some(back) => {
                    let end = patience.end(came, time);
                    if end.is_some_and(|end| end < back) {
                        return None;
                    }
                    end
                }
                None => {
                    let since = *lost.get_or_insert(opening.closed.map_or(came, |closed| closed.max(came)));
                    since.checked_add(time).into_iter().chain(patience.until).min()
                }
            };
            let Some(number) = ticket else {
                // Whoever gives up at once is nobody's predecessor. It may have been opened just before this.
                ticket = Some(self.tickets.fetch_add(1, Ordering::SeqCst));
                continue;
            };
            match end {
                Some(end) => timeout_at(end, openings.changed()).await.ok()?.ok()?,
                None => openings.changed().await.ok()?,
            }
            let Opening { closed, first, last, .. } = *openings.borrow_and_update();
            if closed.is_none() {
                let turn = Instant::now() + turn(number, first, last);
                sleep_until(end.map_or(turn, |end| end.min(turn))).await;
                if self.is_closed() {
                    // It stands behind those of this opening, in the order of their turns: all of them at once with the next
                    // one would be what it is here to prevent.
                    ticket = None;
                }
            }
        }
    }
}

impl Patience {
    /// Whether it lasts until an endpoint is `back` after a pause, where the upstream lets it wait for `time`.
    pub(super) fn outlasts(&self, back: Instant, time: Duration) -> bool {
        self.end(self.came(), time).is_none_or(|end| back <= end)
    }

    /// Until when it waits for a pause to end.
    fn end(&self, came: Instant, time: Duration) -> Option<Instant> {
        came.checked_add(self.queue.max(time)).into_iter().chain(self.until).min()
    }

    fn came(&self) -> Instant {
        let now = Instant::now();
        now.checked_sub(self.waited).unwrap_or(now)
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
