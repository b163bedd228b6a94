//! From a request to its answer.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::time::Instant;

use super::body::Body;
use super::claim::RouteKeys;
use super::client::Client;
use super::deadline::within;
use super::forward::{Arrival, Forward};
use super::grpc;
use super::headers::{X_REQUEST_ID, new_request_id, request_id};
use super::matched::matched;
use super::max_forwards::{self, Step};
use super::negotiate::Form;
use super::preflight::{Preflight, is_preflight};
use super::queue_events::{self, Told};
use super::quotas::Quotas;
use super::record::Record;
use super::refusal::Refusal;
use super::reply::{About, Reply};
use super::request_ahead::Ahead;
use super::request_body::RequestBody;
use super::settings::Upgrade;
use super::shared::{Route, Shared};
use super::wants_events::wants_events;
use crate::admission::{Claim, Error, Level, Limiter, Limits, Reason, Rejection, Spool};
use crate::upstream::headers::requested_upgrade;

/// One worker's way through what is in force. A request goes all its way by the plan that it began with.
#[derive(Debug, Clone)]
pub struct Proxy {
    in_force: Arc<ArcSwap<Shared>>,
    worker: usize,
}

/// Why a request has no answer but ours.
enum Ended {
    Panicked,
    Cancelled,
}

/// Unread bodies up to this size are read and dropped after an answer of our own; larger ones cost the connection.
const DROPPABLE: u64 = 64 << 10;

impl Proxy {
    /// The way of one worker.
    pub fn new(in_force: Arc<ArcSwap<Shared>>, worker: usize) -> Self {
        Proxy { in_force, worker }
    }

    /// Answers a request. Never fails, and a panic on the way becomes a 500.
    ///
    /// # Cancel safety
    /// Dropping it means that the client has left: it leaves the queue, or abandons the exchange.
    pub async fn handle(&self, client: &Arc<Client>, mut request: Request<RequestBody>) -> Response<Body> {
        let arrival = self.arrival(client, &request);
        arrival.record.counts(request.body_mut());
        let spare = arrival.clone();
        let mut passing = pin!(self.pass(request, arrival));
        let passed = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| passing.as_mut().poll(cx))) {
            Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
            Ok(Poll::Pending) => spare.record.poll_cancelled(cx).map(|()| Err(Ended::Cancelled)),
            Err(_) => Poll::Ready(Err(Ended::Panicked)),
        });
        let ended = match passed.await {
            Ok(response) => return response,
            Err(ended) => ended,
        };
        let reply = match ended {
            Ended::Cancelled => Reply::cancelled(),
            Ended::Panicked => {
                // The panic's own message has gone to standard error.
                tracing::error!(request_id = ?spare.request_id, "a request failed in the proxy");
                Reply::internal()
            }
        };
        let route = spare.record.live().and_then(|live| live.route()).map(|route| &**route);
        reply.into_response(&About { close: true, ..spare.about(route) })
    }

    /// Answers what the server refused before there was a request to handle.
    pub fn refuse(&self, client: &Client, refusal: Refusal) -> Response<Body> {
        let request_id = &new_request_id();
        let record = &Record::of_refused(&self.in_force.load().readers, client, request_id);
        let form = Form::ProblemJson;
        let about = About {
            route: None,
            on: None,
            limit: None,
            request_id,
            form,
            grpc: None,
            close: true,
            record,
            reader: None,
            fields: &[],
            queue_position: false,
            quotas: &Quotas::NONE,
        };
        Reply::refused(refusal).into_response(&about)
    }

    /// Answers a request that the server refused.
    pub fn refuse_request(
        &self,
        client: &Arc<Client>,
        request: &Request<RequestBody>,
        refusal: Refusal,
    ) -> Response<Body> {
        Reply::refused(refusal).into_response(&self.arrival(client, request).about(None))
    }

    /// Closes this worker's idle connections whose time is over. To be called now and then.
    pub fn prune(&self) {
        self.in_force.load().upstreams.iter().for_each(|upstream| upstream.prune(self.worker));
    }

    fn arrival(&self, client: &Arc<Client>, request: &Request<RequestBody>) -> Arrival {
        let request_id = request_id(request.headers());
        let in_force = self.in_force.load();
        let live = in_force.registry().enter(self.worker, &request_id);
        Arrival {
            client: client.clone(),
            record: Record::begin(&in_force.readers, live, request, client, &request_id),
            request_id,
            reader: in_force.response_headers.cors.reader(request.headers()),
            accept: request.headers().get(ACCEPT).cloned(),
            grpc: grpc::content_type(request),
            arrived: SystemTime::now(),
            large: is_large(request.body()),
            told: None,
            queue_position: in_force.response_headers.queue_position,
            quotas: Quotas::NONE,
        }
    }

    async fn pass(&self, mut request: Request<RequestBody>, mut arrival: Arrival) -> Response<Body> {
        if max_forwards::step(&mut request) == Step::Last {
            return end_of_the_way(&arrival);
        }
        let Some(route) = &self.route(&request) else {
            return Reply::no_route().into_response(&arrival.about(None));
        };
        if route.settings.handling.unlogged {
            arrival.record.silence();
        }
        if route.settings.upgrade == Upgrade::Deny && requested_upgrade(request.headers()).is_some() {
            return Reply::upgrade_denied().into_response(&arrival.about(Some(route)));
        }
        arrival.quotas = Quotas::begin(self.in_force.load().response_headers.ratelimit, route);
        let preflight = is_preflight(&request).then(|| self.in_force.load().preflight);
        arrival.record.routed(route);
        let mut claim = match route.settings.claim.claim(request.headers(), &arrival.client, arrival.arrived) {
            Ok(claim) => claim,
            Err(reason) => match route.limits.as_ref().map(|limits| limits.refuse(reason)) {
                // All of its limits only count.
                Some(None) => Claim::default(),
                rejection => return turn_away(route, &arrival, reason, rejection.flatten()),
            },
        };
        arrival.record.claims(&claim);
        claim.tag = arrival.record.live().map_or(0, |live| live.tag());
        let mut ahead = None;
        let most = route.settings.handling.buffer_request;
        // A client of gRPC may wait for its server before it says more.
        if most > 0 && arrival.grpc.is_none() && !request.body().is_end_stream() {
            // Where all of its limits only count, nobody is turned away.
            let until = claim.deadline.filter(|_| !only_counts(route)).map(Instant::from_std);
            let account = route.limits.as_ref().map(|limits| limits.limiters()[0].account());
            let read = within(until, Box::pin(Ahead::read(request.body_mut(), most, account))).await;
            arrival.large = is_large(request.body());
            match read {
                Some(Ok(read)) => ahead = Some(Box::new(read)),
                Some(Err(error)) => {
                    let about = About { close: true, ..arrival.about(Some(route)) };
                    return Reply::body_failed(&error).into_response(&about);
                }
                None => {
                    let reason = Reason::DeadlineExpired;
                    let rejection = route.limits.as_ref().and_then(|limits| limits.refuse(reason));
                    return turn_away(route, &arrival, reason, rejection);
                }
            }
        }
        if route.settings.handling.queue_events && arrival.grpc.is_none() && wants_events(&request, ahead.as_deref()) {
            arrival.told = Some(Told::default());
        }
        // Where all of its limits only count, its deadline does not hold.
        let deadline = claim.deadline.filter(|_| !only_counts(route)).map(Instant::from_std);
        let forward = Forward { route: route.clone(), worker: self.worker, arrival, deadline, ahead };
        let limits = match preflight {
            Some(Preflight::Exempt) => None,
            Some(Preflight::First) => {
                claim.level = Level::First;
                route.limits.as_ref()
            }
            Some(Preflight::Count) | None => route.limits.as_ref(),
        };
        if route.upstream.is_closed()
            && let Err(failure) = forward.is_worth_waiting(limits)
        {
            return Reply::failed(&failure).into_response(&forward.arrival.about(Some(route)));
        }
        let Some(limits) = limits else {
            let Ok(response) = forward.forward(request.map(Spool::new), None).await;
            return response;
        };
        let Some(told) = forward.arrival.told.clone() else {
            return admit(route, limits, claim, request, forward).await;
        };
        let (on, limits, arrival) = (route.clone(), limits.clone(), forward.arrival.clone());
        let answering = Box::pin(async move { admit(&on, &limits, claim, request, forward).await });
        Box::pin(queue_events::answer(answering, told, arrival, route)).await
    }

    fn route(&self, request: &Request<RequestBody>) -> Option<Arc<Route>> {
        matched(&self.in_force.load().routes, request).cloned()
    }
}

/// Lets a request through its limits, and sends it on.
async fn admit(
    route: &Arc<Route>,
    limits: &Limits,
    claim: Claim,
    request: Request<RequestBody>,
    forward: Forward,
) -> Response<Body> {
    let arrival = forward.arrival.clone();
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
        return turn_away(route, &arrival, Reason::KeyLimit, rejection);
    }
    let mut admitting = pin!(limits.admit(request, claim, keys, forward));
    let admitted = poll_fn(|cx| {
        let polled = admitting.as_mut().poll(cx);
        if let Some(told) = &arrival.told {
            told.stands(|| admitting.as_ref().standing());
        }
        polled
    })
    .await;
    let mut about = arrival.about(Some(route));
    let reply = match admitted {
        Ok(response) => return response,
        Err(Error::Rejected(rejection)) => {
            route.count_rejection(rejection.reason);
            let limiter = &limits.limiters()[rejection.limit];
            about.limit = Some(limiter.name());
            about.record.rejected_by(limiter.name());
            let limit = limiter.settings();
            Reply::rejected(&rejection, limit.reject_status)
        }
        Err(Error::Body(error)) => {
            about.close = true;
            if error.is_client_gone() {
                // Nobody hears this, and what is noted says that the client has left.
                about.record = &Record::UNKEPT;
            }
            Reply::body_failed(&error)
        }
        Err(Error::Inner(never)) => match never {},
    };
    reply.into_response(&about)
}

/// Answers a request that may go no further. It has asked about the way, and takes no permit.
fn end_of_the_way(arrival: &Arrival) -> Response<Body> {
    let status = StatusCode::NO_CONTENT;
    arrival.record.answered(status.as_u16());
    let mut response = Response::new(Body::own(Bytes::new(), arrival.record.clone()));
    *response.status_mut() = status;
    response.headers_mut().insert(X_REQUEST_ID, arrival.request_id.clone());
    if arrival.large {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Answers a request that asks in vain, in the name of the limit that said so, if the route has one.
fn turn_away(route: &Route, arrival: &Arrival, reason: Reason, rejection: Option<Rejection>) -> Response<Body> {
    route.count_rejection(reason);
    let mut about = arrival.about(Some(route));
    if let (Some(limits), Some(rejection)) = (&route.limits, rejection) {
        let name = limits.limiters()[rejection.limit].name();
        about.limit = Some(name);
        about.record.rejected_by(name);
    }
    let waited = rejection.map(|rejection| rejection.waited);
    Reply { waited, ..Reply::no_claim(reason) }.into_response(&about)
}

/// Whether all limits of a route are dry runs.
fn only_counts(route: &Route) -> bool {
    route.limits.as_ref().is_some_and(|limits| limits.limiters().iter().all(Limiter::is_dry_run))
}

pub(super) fn is_large(body: &RequestBody) -> bool {
    body.size_hint().lower() > DROPPABLE
}
