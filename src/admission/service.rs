//! The services behind the layer: one that waits for the permit, one that keeps it.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::PermitBody;
use super::claim::{Claim, NoKeys};
use super::future::{Held, ResponseFuture};
use super::limits::Limits;
use super::permit::Permit;
use super::rejection::Rejection;
use super::spool::Spool;

/// Admits requests to `S`, which gets each one with its permit.
///
/// Always ready: the wait is in the response future, after the request is known, where it can be bounded, counted and
/// dropped. A permit taken in `poll_ready` would be parked on every idle connection.
#[derive(Debug, Clone)]
pub struct Admission<S> {
    limits: Limits,
    inner: S,
}

impl<S> Admission<S> {
    /// Admits through `limits`: a [`Limiter`](super::Limiter), or several.
    pub fn new(limits: impl Into<Limits>, inner: S) -> Self {
        Admission { limits: limits.into(), inner }
    }
}

/// A request that has been admitted. Who holds the permit is in flight.
#[derive(Debug)]
pub struct Admitted<B> {
    /// The request.
    pub request: Request<Spool<B>>,
    /// Its permit.
    pub permit: Permit,
}

/// What can go wrong between arrival and answer.
#[derive(Debug, thiserror::Error)]
pub enum Error<E, B> {
    /// It was not admitted.
    #[error("the request was not admitted")]
    Rejected(#[source] Rejection),
    /// Its body failed while it waited.
    #[error("the request's body failed while it waited")]
    Body(#[source] B),
    /// It was admitted, and the service behind failed.
    #[error(transparent)]
    Inner(E),
}

impl<S, B> Service<Request<B>> for Admission<S>
where
    S: Service<Admitted<B>> + Clone,
    B: Body<Data = Bytes> + Unpin,
{
    type Response = S::Response;
    type Error = Error<S::Error, B::Error>;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.limits.admit(request, Claim::default(), NoKeys, self.inner.clone())
    }
}

/// Calls `S` with the bare request and ties the permit to its response body.
#[derive(Debug, Clone)]
pub struct HoldPermit<S> {
    inner: S,
}

impl<S> HoldPermit<S> {
    pub(super) fn new(inner: S) -> Self {
        HoldPermit { inner }
    }
}

impl<S, B, R> Service<Admitted<B>> for HoldPermit<S>
where
    S: Service<Request<Spool<B>>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<PermitBody<R>>;
    type Error = S::Error;
    type Future = Held<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, admitted: Admitted<B>) -> Self::Future {
        Held::new(self.inner.call(admitted.request), admitted.permit)
    }
}
