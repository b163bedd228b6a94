//! What adaptive limits are told of a request on its way: how long the upstream took for the head, or that it failed.
//!
//! The time begins when the request is forwarded: not before its permits, not while all endpoints are out, and not while it
//! waits for room for a connection. It ends with the head. Answers of our own, upgrades and bodies are no samples. Where no limit of the route asks, this costs a branch;
//! where one does, it uses the moments that the log and the registry have been told anyway, if they have.

use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderName;
use tokio::time::Instant;

use crate::admission::Samples;
use crate::moment;
use crate::upstream::Failure;

/// Where samples of a route's requests go: to each of its limits that asks for them. `None` where none does.
pub(super) type Sampled = Option<Arc<[Arc<Samples>]>>;

/// A request of which nothing is known yet. Dropping it means that it was given up.
#[derive(Debug)]
pub(super) struct Sampling {
    /// `None` once it is told, or if nobody asks.
    sampled: Sampled,
    worker: usize,
    /// `None` while it waits.
    since: Option<Instant>,
}

impl Sampling {
    /// A request that is forwarded, at this moment if that is known.
    #[inline]
    pub(super) fn begin(sampled: &Sampled, worker: usize, now: Option<Instant>) -> Self {
        let since = sampled.as_ref().map(|_| now.unwrap_or_else(Instant::now));
        Sampling { sampled: sampled.clone(), worker, since }
    }

    /// It waits for something that is not the upstream's work. What it comes to meanwhile is no sample.
    pub(super) fn pause(&mut self) {
        self.since = None;
    }

    /// It has waited for that; its time begins now.
    pub(super) fn begin_again(&mut self) {
        self.since = self.sampled.as_ref().map(|_| moment::now());
    }

    /// The upstream's head has come, at this moment if that is known. One that was sent again says nothing.
    #[inline]
    pub(super) fn headed(&mut self, status: u16, headers: &HeaderMap, retries: u32, now: Option<Instant>) {
        let Some(sampled) = self.sampled.take() else { return };
        if is_overload(status, headers) {
            sampled.iter().for_each(|samples| samples.failed(self.worker));
        } else if retries == 0
            && let Some(since) = self.since
        {
            let after = now.unwrap_or_else(Instant::now).saturating_duration_since(since);
            sampled.iter().for_each(|samples| samples.answered(self.worker, after));
        }
    }

    /// It came to nothing.
    pub(super) fn failed(&mut self, failure: &Failure) {
        match failure {
            // The time until then is the least that it would have taken.
            Failure::Timeout | Failure::Overdue | Failure::Outlived | Failure::Cancelled => self.cut(),
            Failure::Connect(_) | Failure::Reset(_) | Failure::Protocol(_) => {
                let sampled = self.sampled.take();
                sampled.iter().flat_map(|sampled| sampled.iter()).for_each(|samples| samples.failed(self.worker));
            }
            // None of these is the work of the upstream.
            Failure::NoEndpoint | Failure::Paused(_) | Failure::NoRoom | Failure::RequestBody(_) => self.forget(),
        }
    }

    /// It says nothing about how long requests take.
    pub(super) fn forget(&mut self) {
        self.sampled = None;
    }

    fn cut(&mut self) {
        if let (Some(sampled), Some(since)) = (self.sampled.take(), self.since) {
            let after = since.elapsed();
            sampled.iter().for_each(|samples| samples.cut(self.worker, after));
        }
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Whether an answer says that it is too much, or that it went wrong: such come fast, and are no measure of the work.
fn is_overload(status: u16, headers: &HeaderMap) -> bool {
    status == 429 || status >= 500 || headers.get(&GRPC_STATUS).is_some_and(|code| GRPC.contains(&code.as_bytes()))
}

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What gRPC says in a head without a body: deadline exceeded, resource exhausted, internal, unavailable.
const GRPC: [&[u8]; 4] = [b"4", b"8", b"13", b"14"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;
    use crate::admission::{Adaptive, AdaptiveSettings, Limiter, Seen, Settings};
    use crate::upstream::BoxError;

    fn adaptive() -> Adaptive {
        let ten = std::num::NonZeroU32::new(10).expect("not zero");
        let settings = AdaptiveSettings { min: ten, max: ten, initial: None, shadow: false, queue_follows: true };
        Adaptive::new(Limiter::new(Settings::new("api", ten)), settings, None, 2)
    }

    /// What is seen of one request, and how long it took in milliseconds.
    async fn seen(end: impl FnOnce(&mut Sampling)) -> (u64, u64, u64, u64) {
        let adaptive = adaptive();
        let mut sampling = Sampling::begin(&Some([adaptive.samples().clone()].into()), 1, None);
        tokio::time::advance(Duration::from_millis(50)).await;
        end(&mut sampling);
        drop(sampling);
        let Seen { answered, cut, failed } = adaptive.samples().read();
        let mean = if answered.count > 0 { answered.mean() } else { cut.mean() };
        let millis = if answered.count + cut.count > 0 { (mean.exp() * 1e3).round() as u64 } else { 0 };
        (answered.count, cut.count, failed, millis)
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_good_head_is_an_answer() {
        let none = HeaderMap::new();
        for status in [200, 204, 302, 404, 400] {
            assert_eq!(seen(|sampling| sampling.headed(status, &none, 0, None)).await, (1, 0, 0, 50), "{status}");
        }
        for status in [429, 500, 502, 503, 504] {
            assert_eq!(seen(|sampling| sampling.headed(status, &none, 0, None)).await, (0, 0, 1, 0), "{status}");
        }
        let grpc = |code| HeaderMap::from_iter([(GRPC_STATUS.clone(), HeaderValue::from_static(code))]);
        assert_eq!(seen(|sampling| sampling.headed(200, &grpc("8"), 0, None)).await, (0, 0, 1, 0));
        assert_eq!(seen(|sampling| sampling.headed(200, &grpc("5"), 0, None)).await, (1, 0, 0, 50));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_up_took_at_least_so_long() {
        assert_eq!(seen(|_| ()).await, (0, 1, 0, 50));
        for failure in [Failure::Timeout, Failure::Overdue, Failure::Outlived] {
            assert_eq!(seen(|sampling| sampling.failed(&failure)).await, (0, 1, 0, 50), "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_no_fast_answer() {
        let error = || -> BoxError { "gone".into() };
        let connect = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        for failure in [Failure::Connect(connect), Failure::Reset(error()), Failure::Protocol(None)] {
            assert_eq!(seen(|sampling| sampling.failed(&failure)).await, (0, 0, 1, 0), "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_the_upstreams_work_is_no_sample() {
        let nothing = (0, 0, 0, 0);
        assert_eq!(seen(Sampling::forget).await, nothing);
        assert_eq!(seen(|sampling| sampling.headed(200, &HeaderMap::new(), 1, None)).await, nothing);
        for failure in [Failure::NoEndpoint, Failure::NoRoom, Failure::RequestBody("left".into())] {
            assert_eq!(seen(|sampling| sampling.failed(&failure)).await, nothing, "{failure:?}");
        }
        assert_eq!(seen(Sampling::pause).await, nothing, "its client has left");
        let waited = |sampling: &mut Sampling| {
            sampling.pause();
            sampling.begin_again();
            sampling.headed(200, &HeaderMap::new(), 0, None);
        };
        assert_eq!(seen(waited).await, (1, 0, 0, 0));
    }
}
