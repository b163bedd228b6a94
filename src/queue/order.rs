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
    /// Oldest first, until the queue has stood for 100 ms; then newest first, until it has been empty.
    ///
    /// A queue that empties now and then absorbs bursts, and everybody's turn comes. One that does not is overload: some
    /// will not be served whatever the order, and oldest first makes those wait in vain who could have been served
    /// (Facebook's adaptive LIFO, Maurer 2015). Once it has stood for 300 ms, who has been overtaken a hundred times,
    /// and twice for each seat of the limit, is let go of ([`Queue::next_overtaken`](super::Queue::next_overtaken)), instead of being served in a lull.
    ///
    /// With keys and levels this holds for each key on each level by itself: one that floods stands, while the others'
    /// few go on oldest first. (In the simulation of nine quiet keys beside one that floods, their 99th percentile is
    /// 0.14 s so, and 0.16 s if all turn around with the one.)
    AdaptiveLifo,
}

/// What has not been empty for so long is standing: CoDel's interval (RFC 8289), a worst-case round trip.
pub(super) const STOOD: Duration = Duration::from_millis(100);

/// What has stood for so long stands for overload rather than for a burst: those who are overtaken from then on are counted.
/// (At once, a burst of 150 ms costs the simulation 29 % of its requests instead of 19; after a second, what is served in
/// the lulls until then is the 99th percentile.)
const OVERLOADED: Duration = Duration::from_millis(300);

impl Order {
    /// Whether the newest goes first of those who wait where nobody did until `stood_since`.
    pub(super) fn newest_first(self, stood_since: u64, now: u64) -> bool {
        match self {
            Order::Fifo => false,
            Order::Lifo => true,
            Order::AdaptiveLifo => now.saturating_sub(stood_since) >= nanos(STOOD),
        }
    }

    /// Whether those are counted as overtaken who stand behind the one who goes.
    pub(super) fn overtakes(self, stood_since: u64, now: u64) -> bool {
        self == Order::AdaptiveLifo && now.saturating_sub(stood_since) >= nanos(OVERLOADED)
    }
}
