//! Oldest or newest first?

use std::time::Duration;

use super::deadlines::nanos;

/// Who goes first within a key's turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Arrival order is admission order.
    #[default]
    Fifo,
    /// Newest first: the one whose client is surest to be there still.
    Lifo,
    /// Oldest first, until the queue has [stood](STOOD) for a while; then newest first, until it has been empty.
    ///
    /// A queue that empties now and then absorbs bursts, and everybody's turn comes. One that does not is overload: some
    /// will not be served whatever the order, and oldest first makes those wait in vain who could have been served
    /// (Facebook's adaptive LIFO, Maurer 2015).
    AdaptiveLifo,
}

/// A queue that has not been empty for so long is standing: CoDel's interval (RFC 8289), a worst-case round trip.
pub(super) const STOOD: Duration = Duration::from_millis(100);

/// The order in force.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) order: Order,
    /// When the queue was last empty; its last waiter came then.
    since: u64,
}

impl Standing {
    /// The queue has ceased to be empty.
    pub(super) fn begin(&mut self, now: u64) {
        self.since = now;
    }

    /// Whether the newest goes first, if there is anybody.
    pub(super) fn newest_first(&self, now: u64) -> bool {
        match self.order {
            Order::Fifo => false,
            Order::Lifo => true,
            Order::AdaptiveLifo => now.saturating_sub(self.since) >= nanos(STOOD),
        }
    }
}
