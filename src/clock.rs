//! The time, looked at once between two system calls.
//!
//! When a request came, was admitted, was sent, and later had its head, gave back its permits and ended: that is asked a
//! dozen times for each, but all that is done between two system calls takes microseconds. nginx and HAProxy look at the
//! clock once for each turn of their loops; here a worker looks when somebody first asks after it has read or written.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::Outside) };
    static TOGETHER: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// How much of a turn this thread is in.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Nobody would say that time passes.
    Outside,
    /// Nobody has asked yet.
    Begun,
    Seen(Instant),
}

/// For so long the two clocks are taken to go alike. One that is set anew is believed after this.
const ALIKE: Duration = Duration::from_secs(1);

/// The time now; within a [turn], that of the first who asked since time [passed](passes).
#[inline]
pub(crate) fn now() -> Instant {
    match TURN.get() {
        Turn::Seen(now) => now,
        Turn::Outside => Instant::now(),
        Turn::Begun => {
            let now = Instant::now();
            TURN.set(Turn::Seen(now));
            now
        }
    }
}

/// This thread has been with the kernel.
#[inline]
pub(crate) fn passes() {
    if let Turn::Seen(_) = TURN.get() {
        TURN.set(Turn::Begun);
    }
}

/// What the time of day is at this moment, which is about now.
#[inline]
pub(crate) fn of_day(now: Instant) -> SystemTime {
    if let Some((moment, time)) = TOGETHER.get()
        && let Some(since) = now.checked_duration_since(moment)
        && since < ALIKE
    {
        return time + since;
    }
    // Not `now`, since when this thread may have had to stand back.
    let (moment, time) = (Instant::now(), SystemTime::now());
    TOGETHER.set(Some((moment, time)));
    time - moment.saturating_duration_since(now)
}

/// Takes all of `work` to be done in one turn. It waits for nothing, and whoever reads or writes in it says that time
/// [passes]. One within another is a part of that.
#[inline]
pub(crate) fn turn<T>(work: impl FnOnce() -> T) -> T {
    let _end = match TURN.get() {
        Turn::Outside => {
            TURN.set(Turn::Begun);
            Some(End)
        }
        Turn::Begun | Turn::Seen(_) => None,
    };
    work()
}

/// The end of a turn, also where a panic goes through.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        TURN.set(Turn::Outside);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const A_WHILE: Duration = Duration::from_millis(2);

    #[test]
    fn within_a_turn_time_passes_when_it_is_said_to() {
        let last = turn(|| {
            let first = now();
            sleep(A_WHILE);
            assert_eq!(now(), first);
            assert_eq!(turn(now), first, "one within another");
            assert_eq!(now(), first);
            passes();
            let second = now();
            assert!(second >= first + A_WHILE);
            second
        });
        sleep(A_WHILE);
        assert!(turn(now) >= last + A_WHILE, "another turn");
    }

    #[test]
    fn outside_of_turns_time_passes_by_itself() {
        let first = turn(now);
        sleep(A_WHILE);
        let second = now();
        assert!(second >= first + A_WHILE);
        passes();
        sleep(A_WHILE);
        assert!(now() >= second + A_WHILE);
    }

    #[test]
    fn the_end_of_a_turn_by_panic_is_one() {
        let ended = std::panic::catch_unwind(|| turn(|| panic!("within a turn, at {:?}", now())));
        assert!(ended.is_err());
        assert!(matches!(TURN.get(), Turn::Outside));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_day_goes_on_with_the_clock_and_follows_one_that_is_set_anew() {
        let begin = Instant::now();
        let time = of_day(begin);
        assert_eq!(of_day(begin + Duration::from_millis(7)), time + Duration::from_millis(7));
        // As if it had been set back by an hour at once.
        TOGETHER.set(Some((begin, time + Duration::from_secs(3600))));
        let later = of_day(begin + ALIKE);
        assert!(later < time + Duration::from_secs(60), "it looks again");
        assert!(of_day(begin) < time + Duration::from_secs(60), "also when asked of the past");
    }
}
