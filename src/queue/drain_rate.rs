//! How fast a full limit makes room.

use std::time::{Duration, Instant};

/// Completions per second, measured while somebody asks: the base of `Retry-After`.
///
/// Fed the total of completions whenever a request could not be admitted at once, which is when the limit is full and
/// its completions are what the upstream can do. Windows last a second or more and count half towards the estimate, so
/// it follows a change within a few seconds.
#[derive(Debug, Default)]
pub struct DrainRate {
    window: Option<Window>,
    per_second: Option<f64>,
    /// Completions that it rests on.
    rests_on: u64,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    start: Instant,
    seen: Instant,
    completed: u64,
}

/// Shorter windows would measure scheduling.
const WINDOW: Duration = Duration::from_secs(1);
/// The first estimate need not wait for the end of the window once it rests on so many completions.
const FIRST: u64 = 20;
/// Without a full limit for so long, the old window says nothing about this one.
const GAP: Duration = Duration::from_secs(10);

impl DrainRate {
    /// Takes note of the completions so far.
    pub fn observe(&mut self, now: Instant, completed: u64) {
        let window = match &mut self.window {
            Some(window) if now.saturating_duration_since(window.seen) < GAP => window,
            _ => {
                self.window = Some(Window { start: now, seen: now, completed });
                return;
            }
        };
        window.seen = now;
        let elapsed = now.saturating_duration_since(window.start);
        let done = completed.saturating_sub(window.completed);
        let early = elapsed < WINDOW && (self.per_second.is_some() || done < FIRST);
        if done == 0 || early || elapsed.is_zero() {
            return;
        }
        let sample = done as f64 / elapsed.as_secs_f64();
        self.per_second = Some(self.per_second.map_or(sample, |rate| (rate + sample) / 2.0));
        self.rests_on = self.rests_on.saturating_add(done);
        if elapsed >= WINDOW {
            self.window = Some(Window { start: now, seen: now, completed });
        }
    }

    /// Whether it rests on twenty completions or more: enough to turn somebody away for it.
    pub fn is_firm(&self) -> bool {
        self.rests_on >= FIRST
    }

    /// Completions per second. `None` before twenty completions, or the first in a second, have been seen.
    pub fn per_second(&self) -> Option<f64> {
        self.per_second
    }
}
