//! A request on its way: the future of [`Proxy::handle`].
//!
//! Written out, where an `async fn` would keep what it was given beside what it has made of it: a waiting request would take
//! 4 KiB more, and every request would be moved about with that.

use std::mem::replace;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};

use super::arrival::Arrival;
use super::body::Body;
use super::claim::RouteKeys;
use super::forward::{Forward, Forwarding, Once, apart};
use super::handle::{PRESENT, turn_away};
use super::preflight::is_preflight;
use super::record::Record;
use super::reply::{About, Reply};
use super::request_body::RequestBody;
use crate::admission::{AtOnce, Claim, Error, Limits, Reason, Rejection, ResponseFuture, Spool};

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
    arrival: Arc<Arrival>,
}

/// How far it has come.
///
/// All of it in boxes: hyper moves the future of every request about, and each connection has room for one.
pub(super) enum Step {
    Admitting(Box<Admitting>),
    Forwarding(Forwarding),
    /// What few requests have to do before they go on.
    Seldom(Pin<Box<dyn Future<Output = Step> + Send>>),
    /// With the request's body, where nobody has looked for it: hyper takes one that is dropped before the answer has
    /// been asked for as the end of its connection.
    Answered(Box<(Response<Body>, Option<RequestBody>)>),
    Over,
}

impl Step {
    pub(super) fn answered(response: Response<Body>) -> Self {
        Step::Answered(Box::new((response, None)))
    }

    /// With no look at its body.
    pub(super) fn turned_away(response: Response<Body>, request: &mut Option<Request<RequestBody>>) -> Self {
        let unread = request.as_mut().map(|request| replace(request.body_mut(), RequestBody::empty()));
        Step::Answered(Box::write(Box::new_uninit(), (response, unread)))
    }
}

impl Passage {
    /// Takes the first step at once: it waits for nothing.
    pub(super) fn begin(arrival: Arc<Arrival>, first: impl FnOnce(&mut Arc<Arrival>) -> Step) -> Self {
        let mut passage = Passage { step: Step::Over, arrival };
        let Passage { step, arrival } = &mut passage;
        if catch_unwind(AssertUnwindSafe(|| *step = first(arrival))).is_err() {
            passage.step = Step::answered(passage.fail());
        }
        passage
    }

    /// A panic's own message has gone to standard error.
    #[cold]
    fn fail(&mut self) -> Response<Body> {
        tracing::error!(
            request_id = self.arrival.request_id.to_str().unwrap_or_default(),
            "a request failed in the proxy"
        );
        self.give_up(Reply::internal())
    }

    /// The answer to a request that had none.
    fn give_up(&mut self, reply: Reply) -> Response<Body> {
        let response = reply.into_response(&About { close: true, ..self.arrival.about() });
        self.step = Step::Over;
        response
    }
}

impl Future for Passage {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let this = self.get_mut();
        let mut polled = Poll::Pending;
        // An answer is large: what is returned through here is copied more than once.
        if catch_unwind(AssertUnwindSafe(|| polled = this.step.poll(cx))).is_err() {
            return Poll::Ready(this.fail());
        }
        if polled.is_pending() {
            ready!(this.arrival.record.poll_cancelled(cx));
            return Poll::Ready(this.give_up(Reply::cancelled()));
        }
        polled
    }
}

impl Step {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        loop {
            match self {
                Step::Admitting(admitting) => return Pin::new(&mut **admitting).poll(cx),
                Step::Forwarding(forwarding) => {
                    let Ok(response) = ready!(forwarding.as_mut().poll(cx));
                    return Poll::Ready(response);
                }
                // Seldom => any other
                Step::Seldom(future) => *self = ready!(future.as_mut().poll(cx)),
                // Answered => Over
                Step::Answered(..) => {
                    let Step::Answered(answered) = replace(self, Step::Over) else {
                        unreachable!("the step was just matched")
                    };
                    let (response, _unread) = *answered;
                    return Poll::Ready(response);
                }
                Step::Over => panic!("polled after completion"),
            }
        }
    }
}

/// A request at its limits, and then on its way upstream.
pub(super) struct Admitting {
    arrival: Arc<Arrival>,
    admitting: ResponseFuture<Once, RequestBody, Option<RouteKeys>>,
    /// The limit that it was last seen waiting at.
    waits_at: Option<usize>,
}

impl Admitting {
    /// Lets a request through its limits, and sends it on.
    pub(super) fn begin(
        limits: &Limits,
        claim: Claim,
        taken: &mut Option<Request<RequestBody>>,
        forward: Forward,
    ) -> Step {
        let request = taken.as_ref().expect(PRESENT);
        let arrival = &forward.arrival;
        let route = forward.route();
        // A browser sends no credentials with a preflight: those of all keys share a turn.
        let keys = (!route.keys.is_empty() && !is_preflight(request)).then(|| RouteKeys(arrival.clone()));
        if let Some(limit) = keys.as_ref().and_then(|keys| keys.refused_by(request)) {
            let rejection = limits.limiters()[limit].refuse(Reason::KeyLimit);
            let rejection = rejection.map(|rejection| Rejection { limit, ..rejection });
            return Step::turned_away(turn_away(route, arrival, Reason::KeyLimit, rejection), taken);
        }
        let begun = match limits.at_once(&claim) {
            AtOnce::Admitted(permit) => {
                let (head, body) = apart(taken.take().expect(PRESENT));
                return Step::Forwarding(forward.admitted(head, Spool::new(body), permit));
            }
            AtOnce::Rejected(rejection) => return Step::turned_away(rejected(arrival, &rejection), taken),
            AtOnce::Later(begun) => begun,
        };
        let (arrival, request) = (arrival.clone(), taken.take().expect(PRESENT));
        let admitting = limits.admit_from(begun, request, claim, keys, Once(Some(forward)));
        Step::Admitting(Box::new(Admitting { arrival, admitting, waits_at: None }))
    }
}

impl Admitting {
    /// Whoever leaves while waiting says nothing of where that was.
    fn note_place(&mut self) {
        let Some((limit, position)) = Pin::new(&self.admitting).place() else { return };
        if self.waits_at.replace(limit) != Some(limit)
            && let Some(name) = self.arrival.route().and_then(|route| route.names.limits.get(limit))
        {
            self.arrival.record.waits(name.index, position);
        }
    }
}

impl Future for Admitting {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.admitting).poll(cx);
        if polled.is_pending() {
            this.note_place();
        }
        if let Some(told) = this.arrival.told() {
            told.stands(|| Pin::new(&this.admitting).standing());
        }
        let error = match ready!(polled) {
            Ok(response) => return Poll::Ready(response),
            Err(error) => error,
        };
        let error = match error {
            Error::Rejected(rejection) => return Poll::Ready(rejected(&this.arrival, &rejection)),
            Error::Body(error) => error,
            Error::Inner(never) => match never {},
        };
        let mut about = About { close: true, ..this.arrival.about() };
        if error.is_client_gone() {
            // Nobody hears this, and what is noted says that the client has left.
            about.record = &Record::UNKEPT;
        }
        Poll::Ready(Reply::body_failed(&error).into_response(&about))
    }
}

/// Answers a request that one of its limits has turned away.
fn rejected(arrival: &Arrival, rejection: &Rejection) -> Response<Body> {
    let mut about = arrival.about();
    let route = about.on.expect("a limit is a route's");
    route.count_rejection(rejection.reason);
    let limits = route.limits.as_ref().expect("one of them has turned it away");
    let limiter = &limits.limiters()[rejection.limit];
    let name = &route.names.limits[rejection.limit];
    about.limit = Some(name);
    about.record.rejected_by(name.index);
    Reply::rejected(rejection, limiter.settings().reject_status).into_response(&about)
}
