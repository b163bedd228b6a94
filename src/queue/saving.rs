//! How long capacity is kept free for a wide request that is first in line.
//!
//! Kept free until there is enough, it might idle for as long as the longest of those that hold the rest; never kept free,
//! the wide would starve behind the narrow. So it is kept for a second, then for a second others may take what is free, in
//! turn and those behind it in its own lane as well; then it is kept for two seconds and open for two, and so on. Capacity
//! idles for half of the time at most, and nobody waits for a wide request longer than that has waited itself. It goes
//! as soon as there is room for it, at the latest when it is kept for longer than what is in flight takes to end.

/// The first time that capacity is kept.
pub(super) const FIRST: u64 = 1_000_000_000;

/// Whether capacity is kept free now for one that has been first, and too wide, since then. In nanoseconds.
pub(super) fn is_saved_up(since: u64, now: u64) -> bool {
    let waited = now.saturating_sub(since) / FIRST;
    // A round of 2^n to keep and 2^n to be open begins after 2 + 4 + ... + 2^n, which is 2^(n + 1) - 2.
    let round = (waited / 2 + 1).ilog2();
    waited - (2 * (1 << round) - 2) < 1 << round
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_and_open_for_equally_long_and_each_time_for_twice_as_long() {
        let kept = |second: u64| is_saved_up(7, 7 + second * FIRST + FIRST / 2);
        let phases: String = (0..30).map(|second| if kept(second) { 'k' } else { 'o' }).collect();
        assert_eq!(phases, "kokkookkkkoooo kkkkkkkkoooooooo".replace(' ', ""));
    }
}
