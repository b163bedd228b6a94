//! Several limits on one request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Request;
use tower_service::Service;

use super::acquire::{Acquire, Budget};
use super::claim::{Claim, Keys};
use super::future::ResponseFuture;
use super::limiter::{Gate, Limiter};
use super::permit::Permit;
use super::rejection::Rejection;
use super::service::Admitted;
use super::spool::Spool;

/// The limits that a request passes, in the order in which it takes them.
///
/// A request waits at one limit at a time and holds only permits of earlier ones. Where all requests take the limits
/// that they share in the same order, there is no deadlock.
#[derive(Debug, Clone)]
pub struct Limits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limiters: Box<[Limiter]>,
}

impl Limits {
    /// These limits, in this order. `None` without any.
    pub fn new(limiters: Vec<Limiter>) -> Option<Self> {
        (!limiters.is_empty()).then(|| Limits(Arc::new(Inner { limiters: limiters.into() })))
    }

    /// A permit of each, or a [`Rejection`] that says whose there was none of. Dropping the future leaves the queue and
    /// gives back what it had.
    pub fn acquire(&self) -> AcquireAll {
        self.acquire_as(Claim::default())
    }

    /// The same for a request that asks for more than one seat, or is urgent, or has a deadline.
    pub fn acquire_as(&self, _claim: Claim) -> AcquireAll {
        // One wait budget for all of them: the smallest. A single limit knows its own.
        let budget = match &*self.0.limiters {
            [_] => Budget::default(),
            several => several.iter().map(Limiter::queue_timeout).min().map_or(Budget::default(), Budget::new),
        };
        AcquireAll {
            acquire: Acquire::new(self.0.limiters[0].0.clone(), budget),
            limits: self.clone(),
            at: 0,
            held: None,
        }
    }

    /// Passes `request` to `service` once it has its permits: [`Admission`](super::Admission) for a single request.
    /// `keys` says whose it is, if a limit wants to know.
    pub fn admit<S, B, K>(&self, request: Request<B>, claim: Claim, keys: K, service: S) -> ResponseFuture<S, B, K>
    where
        S: Service<Admitted<B>>,
        K: Keys<Spool<B>>,
    {
        ResponseFuture::new(self.acquire_as(claim), request, keys, service)
    }

    /// The name of the first, which stands for all of them where only one is named.
    pub fn name(&self) -> &str {
        self.0.limiters[0].name()
    }

    /// The limits, in order. [`Rejection::limit`] is an index into it.
    pub fn limiters(&self) -> &[Limiter] {
        &self.0.limiters
    }
}

impl From<Limiter> for Limits {
    fn from(limiter: Limiter) -> Self {
        Limits(Arc::new(Inner { limiters: Box::new([limiter]) }))
    }
}

/// The future of [`Limits::acquire`].
#[derive(Debug)]
#[must_use = "nothing happens before the first poll"]
pub struct AcquireAll {
    acquire: Acquire,
    limits: Limits,
    /// Which limit it is at.
    at: usize,
    /// The permits of those before, each of which holds the one before it.
    held: Option<Permit>,
}

impl AcquireAll {
    /// Where it waits.
    pub(super) fn gate(&self) -> Option<&Arc<Gate>> {
        self.acquire.gate()
    }
}

impl Future for AcquireAll {
    type Output = Result<Permit, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let permit = match ready!(Pin::new(&mut this.acquire).poll(cx)) {
                Ok(permit) => permit.with_narrower(this.held.take()),
                Err(rejection) => {
                    this.held = None;
                    return Poll::Ready(Err(Rejection { limit: this.at, ..rejection }));
                }
            };
            this.at += 1;
            match this.limits.limiters().get(this.at) {
                None => return Poll::Ready(Ok(permit)),
                Some(next) => {
                    this.held = Some(permit);
                    this.acquire = Acquire::new(next.0.clone(), this.acquire.budget());
                }
            }
        }
    }
}
