//! How long a request waits for an endpoint, where the upstream has none that takes requests.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::claim::subtract_time;
use super::forward::Forward;
use super::shared::Route;
use crate::admission::{Limiter, Limits, Waited};
use crate::upstream::{Failure, Patience};

impl Forward {
    /// Whether it is worth while to wait for a permit: not where all endpoints are paused, and for longer than the queue or
    /// its deadline allows. Whoever may wait in no queue can't wait for that either. And not for a slot where there is no
    /// endpoint that could give one.
    ///
    /// # Errors
    /// What it is to be told at once.
    pub(super) fn is_worth_waiting(&self, limits: Option<&Limits>) -> Result<(), Failure> {
        let patience = Patience { waited: Duration::ZERO, queue: longest_queue(limits), until: self.deadline };
        self.route().upstream.is_worth_waiting(patience)
    }

    /// Waits for an endpoint, and takes the time off what the upstream is told. Whether there is one then, sending will show.
    ///
    /// # Errors
    /// The upstream is paused for longer than the request may wait.
    pub(super) async fn until_open(
        &self,
        headers: &mut HeaderMap,
        exchange: Option<Instant>,
        waited: Option<Waited>,
    ) -> Result<(), Failure> {
        let Route { upstream, settings, limits, .. } = self.route();
        let start = Instant::now();
        let until = exchange.into_iter().chain(self.deadline).min();
        let waited = waited.map_or(Duration::ZERO, |waited| waited.wait);
        upstream.until_open(Patience { waited, queue: longest_queue(limits.as_ref()), until }).await?;
        if settings.claim.deadline {
            subtract_time(headers, || start.elapsed());
        }
        Ok(())
    }
}

/// How long one may wait for all of these limits together. Not at all where there are none, or where one has no queue.
fn longest_queue(limits: Option<&Limits>) -> Duration {
    let enforced = limits.into_iter().flat_map(Limits::limiters).filter(|limiter| !limiter.is_dry_run());
    let time = |limiter: &Limiter| if limiter.queue() == 0 { Duration::ZERO } else { limiter.queue_timeout() };
    enforced.map(time).min().unwrap_or_default()
}
