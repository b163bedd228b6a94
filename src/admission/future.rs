//! From arrival to answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::PermitBody;
use super::claim::{Keys, NoKeys};
use super::limits::Turns;
use super::observe::Forecast;
use super::permit::Permit;
use super::service::{Admitted, Error};
use super::spool::Spool;

pin_project! {
    /// The future of [`Admission`](super::Admission).
    ///
    /// # Cancel safety
    /// Dropping it leaves the queue, or drops the inner service's future with whatever that does about its permit.
    #[must_use = "nothing happens before the first poll"]
    pub struct ResponseFuture<S, B, K = NoKeys>
    where
        S: Service<Admitted<B>>,
    {
        #[pin]
        state: State<S, B, K, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    #[project_ref = StateRef]
    #[project_replace = StateOwned]
    enum State<S, B, K, F> {
        Waiting { acquire: Turns, request: Request<Spool<B>>, keys: K, inner: S },
        Readying { admitted: Option<Admitted<B>>, inner: S },
        Answering { #[pin] response: F },
        Rejected,
    }
}

impl<S, B, K> ResponseFuture<S, B, K>
where
    S: Service<Admitted<B>>,
{
    pub(super) fn new(acquire: Turns, request: Request<B>, keys: K, inner: S) -> Self {
        ResponseFuture { state: State::Waiting { acquire, request: request.map(Spool::new), keys, inner } }
    }

    /// Where the request stands in line now. `None` if it does not wait. Counts those before it, up to a thousand, under the
    /// lock of the limit: not to be asked at every poll.
    pub fn standing(self: Pin<&Self>) -> Option<Forecast> {
        match self.project_ref().state.project_ref() {
            StateRef::Waiting { acquire, .. } => acquire.standing(),
            _ => None,
        }
    }
}

#[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "nobody else keeps a log"))]
impl<S, B, K> ResponseFuture<S, B, K>
where
    S: Service<Admitted<B>>,
{
    /// Which of its limits the request waits at, and its place in line there on arrival (1 is next). `None` if it does not
    /// wait.
    pub(crate) fn place(self: Pin<&Self>) -> Option<(usize, u32)> {
        match self.project_ref().state.project_ref() {
            StateRef::Waiting { acquire, .. } => acquire.place(),
            _ => None,
        }
    }
}

impl<S, B, K> Future for ResponseFuture<S, B, K>
where
    S: Service<Admitted<B>>,
    B: Body<Data = Bytes> + Unpin,
    K: Keys<Spool<B>>,
{
    type Output = Result<S::Response, Error<S::Error, B::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                // Waiting => Readying | Rejected
                StateProj::Waiting { acquire, request, keys, .. } => {
                    match acquire.poll_with(cx, |limit| keys.key(limit, request)) {
                        Poll::Ready(Ok(permit)) => {
                            let StateOwned::Waiting { request, inner, .. } =
                                state.as_mut().project_replace(State::Rejected)
                            else {
                                unreachable!("the state was just matched")
                            };
                            let admitted = Some(Admitted { request, permit });
                            state.set(State::Readying { admitted, inner });
                        }
                        Poll::Ready(Err(rejection)) => {
                            state.set(State::Rejected);
                            return Poll::Ready(Err(Error::Rejected(rejection)));
                        }
                        Poll::Pending => {
                            // The first read of the body is what answers `Expect: 100-continue`; that is for the admitted.
                            if let Some(gate) = acquire.gate()
                                && !request.headers().contains_key(EXPECT)
                                && let Poll::Ready(error) = request.body_mut().poll_read_ahead(gate, cx)
                            {
                                state.set(State::Rejected);
                                return Poll::Ready(Err(Error::Body(error)));
                            }
                            return Poll::Pending;
                        }
                    }
                }
                // Readying => Answering
                StateProj::Readying { admitted, inner } => {
                    ready!(inner.poll_ready(cx)).map_err(Error::Inner)?;
                    let response = inner.call(admitted.take().expect("admitted is present until the call"));
                    state.set(State::Answering { response });
                }
                StateProj::Answering { response } => return response.poll(cx).map_err(Error::Inner),
                StateProj::Rejected => panic!("polled after completion"),
            }
        }
    }
}

pin_project! {
    /// The future of [`HoldPermit`](super::HoldPermit): the permit moves into the response's body.
    #[must_use = "nothing happens before the first poll"]
    pub struct Held<F> {
        #[pin]
        inner: F,
        permit: Option<Permit>,
    }
}

impl<F> Held<F> {
    pub(super) fn new(inner: F, permit: Permit) -> Self {
        Held { inner, permit: Some(permit) }
    }
}

impl<F, R, E> Future for Held<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<PermitBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx));
        let permit = this.permit.take().expect("polled after completion");
        Poll::Ready(response.map(|response| response.map(|body| PermitBody::new(body, permit))))
    }
}
