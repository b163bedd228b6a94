//! One look at the clock for all that is done at once.
//!
//! A request has to know what time it is a dozen times, most of them in the same breath, and each look takes as long as
//! hundreds of instructions. So whoever polls it says that what follows is done [at once](at_once), and the clock is looked
//! at where the first one asks. Outside of that, each look is one at the clock.

use std::cell::Cell;

use tokio::time::Instant;

thread_local! {
    static MOMENT: Cell<Moment> = const { Cell::new(Moment::Passing) };
}

#[derive(Clone, Copy)]
enum Moment {
    /// Nobody has said that what is done is done at once.
    Passing,
    /// Nobody has asked yet.
    Unseen,
    Seen(Instant),
}

/// What time it is, or was when it was first asked in what is done at once.
#[inline]
pub(crate) fn now() -> Instant {
    match MOMENT.get() {
        Moment::Seen(now) => now,
        Moment::Passing => Instant::now(),
        Moment::Unseen => {
            let now = Instant::now();
            MOMENT.set(Moment::Seen(now));
            now
        }
    }
}

/// Takes all of `work` to be done at one moment. It may wait for nothing, and should be short: what it says of itself is as
/// old as it took so far. One within another is part of that.
#[inline]
pub(crate) fn at_once<T>(work: impl FnOnce() -> T) -> T {
    let _over = match MOMENT.get() {
        Moment::Passing => {
            MOMENT.set(Moment::Unseen);
            Some(Over)
        }
        Moment::Unseen | Moment::Seen(_) => None,
    };
    work()
}

/// Lets time pass again, also where a panic goes through.
struct Over;

impl Drop for Over {
    fn drop(&mut self) {
        MOMENT.set(Moment::Passing);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_done_at_once_has_one_moment_and_what_comes_then_another() {
        let first = now();
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = at_once(|| {
            let second = now();
            assert_eq!(at_once(now), second);
            assert_eq!(now(), second);
            second
        });
        assert_eq!(second - first, Duration::from_secs(1));
        let _ = catch_unwind(|| at_once(|| panic!("in the middle of it, at {:?}", now())));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(now() - second, Duration::from_secs(1));
    }
}
