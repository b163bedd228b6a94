//! Saying now and then what anybody could make happen all the time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When something was last said.
#[derive(Debug, Default)]
pub(super) struct Rarely(Mutex<Option<Instant>>);

const EVERY: Duration = Duration::from_secs(60);

impl Rarely {
    /// Whether it is to be said: at first, and then once a minute.
    pub(super) fn is_time(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_time = said.is_none_or(|said| now.duration_since(said) >= EVERY);
        if is_time {
            *said = Some(now);
        }
        is_time
    }
}
