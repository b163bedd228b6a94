//! Several limits on one request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Request;
use tower_service::Service;

use super::acquire::{Budget, Turn};
use super::at_once::Begun;
use super::claim::{Claim, Keyed, Keys};
use super::future::ResponseFuture;
use super::gate::Gate;
use super::judge::too_wide;
use super::key::Key;
use super::limiter::Limiter;
use super::observe::Forecast;
use super::permit::Permit;
use super::rejection::{Reason, Rejection};
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
        self.acquire_as(Claim::default(), None)
    }

    /// The same for a request that asks for more than one seat of each, or is urgent, or has a deadline, or whose key is
    /// known.
    pub fn acquire_as(&self, claim: Claim, key: Option<Key>) -> AcquireAll {
        AcquireAll { turns: Turns::new(self.clone(), claim, Begun::default()), key }
    }

    /// Passes `request` to `service` once it has its permits: [`Admission`](super::Admission) for a single request.
    ///
    /// It takes the seats of `claim` at each limit. `keys` says whose it is, if a limit wants to know.
    pub fn admit<S, B, K>(&self, request: Request<B>, claim: Claim, keys: K, service: S) -> ResponseFuture<S, B, K>
    where
        S: Service<Admitted<B>>,
        K: Keys<Spool<B>>,
    {
        self.admit_from(Begun::default(), request, claim, keys, service)
    }

    /// The same for one that has [begun](Limits::at_once).
    pub(crate) fn admit_from<S, B, K>(
        &self,
        begun: Begun,
        request: Request<B>,
        claim: Claim,
        keys: K,
        service: S,
    ) -> ResponseFuture<S, B, K>
    where
        S: Service<Admitted<B>>,
        K: Keys<Spool<B>>,
    {
        ResponseFuture::new(Turns::new(self.clone(), claim, begun), request, keys, service)
    }

    /// Turns away a request that asks in vain: in the name of the first that is no dry run. `None` if all of them are.
    pub fn refuse(&self, reason: Reason) -> Option<Rejection> {
        let limiters = self.limiters().iter();
        let in_force = limiters.enumerate().find(|(_, limiter)| !limiter.is_dry_run());
        let (limit, limiter) = in_force.unwrap_or((0, &self.limiters()[0]));
        limiter.refuse(reason).map(|rejection| Rejection { limit, ..rejection })
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
///
/// # Cancel safety
/// Dropping it leaves the queue and gives back what it had.
#[derive(Debug)]
#[must_use = "nothing happens before the first poll"]
pub struct AcquireAll {
    turns: Turns,
    key: Option<Key>,
}

impl Future for AcquireAll {
    type Output = Result<Permit, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.turns.poll_with(cx, |_| Keyed::of(this.key.clone()))
    }
}

/// One request at all its gates, one after the other.
#[derive(Debug)]
pub(super) struct Turns {
    turn: Turn,
    limits: Limits,
    claim: Claim,
    looks_ahead: bool,
    /// Which limit it is at.
    at: usize,
    /// The permits of those before, each of which holds the one before it.
    held: Option<Permit>,
}

impl Turns {
    fn new(limits: Limits, claim: Claim, Begun { at, held }: Begun) -> Self {
        // One wait budget for all of them: the smallest, but for limits where nobody waits. A single limit knows its own.
        let budget = match limits.limiters() {
            [_] => Budget::default(),
            several => {
                let enforced = several.iter().filter(|limiter| !limiter.is_dry_run());
                enforced.map(Limiter::queue_timeout).min().map_or(Budget::default(), Budget::new)
            }
        };
        let turn = Turn::new(limits.limiters()[at].0.clone(), claim, budget);
        Turns { turn, limits, claim, looks_ahead: true, at, held }
    }

    /// Looks at the later limits, once: what can never fit one of them waits at none before it, and pushes nobody out
    /// there.
    fn refused_later(&mut self) -> Option<Rejection> {
        let looks_ahead = std::mem::take(&mut self.looks_ahead) && self.claim.seats_from_client;
        let mut later = self.limits.limiters().iter().enumerate().skip(1).filter(|_| looks_ahead);
        let (limit, limiter) = later.find(|(_, limiter)| !limiter.is_dry_run() && too_wide(&limiter.0, &self.claim))?;
        limiter.refuse(Reason::Cost).map(|rejection| Rejection { limit, ..rejection })
    }

    /// Where it stands at the limit that it waits for.
    pub(super) fn standing(&self) -> Option<Forecast> {
        self.turn.standing()
    }

    /// At which limit it waits, and at which place it began.
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "nobody else keeps a log"))]
    pub(super) fn place(&self) -> Option<(usize, u32)> {
        Some((self.at, self.turn.place()?))
    }

    /// Where it waits.
    pub(super) fn gate(&self) -> Option<&Arc<Gate>> {
        self.turn.gate()
    }

    /// `whose` says the key for the limit of an index.
    pub(super) fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        mut whose: impl FnMut(usize) -> Keyed,
    ) -> Poll<Result<Permit, Rejection>> {
        if let Some(rejection) = self.refused_later() {
            return Poll::Ready(Err(rejection));
        }
        loop {
            let at = self.at;
            let permit = match ready!(self.turn.poll(cx, || whose(at))) {
                Ok(permit) => permit.with_narrower(self.held.take()),
                Err(rejection) => {
                    self.held = None;
                    return Poll::Ready(Err(Rejection { limit: at, ..rejection }));
                }
            };
            self.at += 1;
            match self.limits.limiters().get(self.at) {
                None => return Poll::Ready(Ok(permit)),
                Some(next) => {
                    self.held = Some(permit);
                    self.turn = Turn::new(next.0.clone(), self.claim, self.turn.budget());
                }
            }
        }
    }
}
