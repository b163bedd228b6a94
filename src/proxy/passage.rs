//! A request on its way: the future of [`Proxy::handle`].
//!
//! Written out, where an `async fn` would keep what it was given beside what it has made of it: a waiting request would take
//! 4 KiB more, and every request would be moved about with that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};

use super::body::Body;
use super::claim::RouteKeys;
use super::forward::{Arrival, Forward, Forwarding};
use super::handle::{Proxy, turn_away};
use super::preflight::is_preflight;
use super::record::Record;
use super::reply::{About, Reply};
use super::request_body::RequestBody;
use super::shared::Route;
use crate::admission::{Claim, Error, Limits, Reason, Rejection, ResponseFuture};

/// A request on its way.
///
/// Never fails: a panic on the way becomes a 500.
///
/// # Cancel safety
/// Dropping it means that the client has left: it leaves the queue, or abandons the exchange.
#[must_use = "nothing happens before the first poll"]
pub struct Passage {
    step: Step,
    /// For the answer where the step can give none.
    spare: Arrival,
}

/// How far it has come.
#[allow(clippy::large_enum_variant, reason = "the large ones are those that most requests are at")]
pub(super) enum Step {
    Begun {
        proxy: Proxy,
        request: Request<RequestBody>,
        arrival: Arrival,
    },
    Admitting(Admitting),
    Forwarding(Forwarding),
    /// What few requests have to do before they go on.
    Seldom(Pin<Box<dyn Future<Output = Step> + Send>>),
    Answered(Response<Body>),
    Over,
}

impl Passage {
    pub(super) fn new(proxy: Proxy, request: Request<RequestBody>, arrival: Arrival) -> Self {
        let spare = arrival.clone();
        Passage { step: Step::Begun { proxy, request, arrival }, spare }
    }

    /// The answer to a request that had none.
    fn give_up(&mut self, reply: Reply) -> Response<Body> {
        let route = self.spare.record.live().and_then(|live| live.route()).map(|route| &**route);
        let response = reply.into_response(&About { close: true, ..self.spare.about(route) });
        self.step = Step::Over;
        response
    }
}

impl Future for Passage {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let this = self.get_mut();
        match catch_unwind(AssertUnwindSafe(|| this.step.poll(cx))) {
            Ok(Poll::Ready(response)) => Poll::Ready(response),
            Ok(Poll::Pending) => {
                ready!(this.spare.record.poll_cancelled(cx));
                Poll::Ready(this.give_up(Reply::cancelled()))
            }
            Err(_) => {
                // The panic's own message has gone to standard error.
                tracing::error!(request_id = ?this.spare.request_id, "a request failed in the proxy");
                Poll::Ready(this.give_up(Reply::internal()))
            }
        }
    }
}

impl Step {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        loop {
            match self {
                // Begun => any other
                Step::Begun { .. } => {
                    let Step::Begun { proxy, request, arrival } = std::mem::replace(self, Step::Over) else {
                        unreachable!("the step was just matched")
                    };
                    *self = proxy.pass(request, arrival);
                }
                Step::Admitting(admitting) => return Pin::new(admitting).poll(cx),
                Step::Forwarding(forwarding) => {
                    let Ok(response) = ready!(forwarding.as_mut().poll(cx));
                    return Poll::Ready(response);
                }
                // Seldom => any other
                Step::Seldom(future) => *self = ready!(future.as_mut().poll(cx)),
                // Answered => Over
                Step::Answered(_) => {
                    let Step::Answered(response) = std::mem::replace(self, Step::Over) else {
                        unreachable!("the step was just matched")
                    };
                    return Poll::Ready(response);
                }
                Step::Over => panic!("polled after completion"),
            }
        }
    }
}

/// A request at its limits, and then on its way upstream.
pub(super) struct Admitting {
    route: Arc<Route>,
    limits: Limits,
    arrival: Arrival,
    admitting: ResponseFuture<Forward, RequestBody, Option<RouteKeys>>,
}

impl Admitting {
    /// Lets a request through its limits, and sends it on.
    ///
    /// # Errors
    /// The answer to one that is turned away before it has come to them.
    #[allow(clippy::result_large_err, reason = "it goes on as an answer, in the room for one")]
    pub(super) fn begin(
        limits: &Limits,
        claim: Claim,
        request: Request<RequestBody>,
        forward: Forward,
    ) -> Result<Self, Response<Body>> {
        let (route, limits, arrival) = (forward.route.clone(), limits.clone(), forward.arrival.clone());
        // A browser sends no credentials with a preflight: those of all keys share a turn.
        let keys = (!route.keys.is_empty() && !is_preflight(&request)).then(|| RouteKeys {
            route: route.clone(),
            client: arrival.client.clone(),
            quotas: arrival.quotas.clone(),
            live: arrival.record.live().cloned(),
        });
        if let Some(limit) = keys.as_ref().and_then(|keys| keys.refused_by(&request)) {
            let rejection = limits.limiters()[limit].refuse(Reason::KeyLimit);
            let rejection = rejection.map(|rejection| Rejection { limit, ..rejection });
            return Err(turn_away(&route, &arrival, Reason::KeyLimit, rejection));
        }
        let admitting = limits.admit(request, claim, keys, forward);
        Ok(Admitting { route, limits, arrival, admitting })
    }
}

impl Future for Admitting {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.admitting).poll(cx);
        if let Some(told) = &this.arrival.told {
            told.stands(|| Pin::new(&this.admitting).standing());
        }
        let error = match ready!(polled) {
            Ok(response) => return Poll::Ready(response),
            Err(error) => error,
        };
        let mut about = this.arrival.about(Some(&this.route));
        let reply = match error {
            Error::Rejected(rejection) => {
                this.route.count_rejection(rejection.reason);
                let limiter = &this.limits.limiters()[rejection.limit];
                about.limit = Some(limiter.name());
                about.record.rejected_by(limiter.name());
                Reply::rejected(&rejection, limiter.settings().reject_status)
            }
            Error::Body(error) => {
                about.close = true;
                if error.is_client_gone() {
                    // Nobody hears this, and what is noted says that the client has left.
                    about.record = &Record::UNKEPT;
                }
                Reply::body_failed(&error)
            }
            Error::Inner(never) => match never {},
        };
        Poll::Ready(reply.into_response(&about))
    }
}
