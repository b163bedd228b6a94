//! From a request to its answer.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::time::Instant;

use super::body::Body;
use super::client::Client;
use super::deadline::within;
use super::forward::{Arrival, Forward};
use super::grpc;
use super::headers::{X_REQUEST_ID, new_request_id, request_id};
use super::matched::matched;
use super::max_forwards;
use super::negotiate::Form;
use super::passage::{Admitting, Passage, Step};
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
use crate::admission::{Claim, Level, Limiter, Reason, Rejection, Spool};
use crate::upstream::headers::requested_upgrade;

/// One worker's way through what is in force. A request goes all its way by the plan that it began with.
#[derive(Debug, Clone)]
pub struct Proxy {
    in_force: Arc<ArcSwap<Shared>>,
    worker: usize,
}

/// Unread bodies up to this size are read and dropped after an answer of our own; larger ones cost the connection.
const DROPPABLE: u64 = 64 << 10;

impl Proxy {
    /// The way of one worker.
    pub fn new(in_force: Arc<ArcSwap<Shared>>, worker: usize) -> Self {
        Proxy { in_force, worker }
    }

    /// Answers a request. Never fails, and a panic on the way becomes a 500.
    pub fn handle(&self, client: &Arc<Client>, mut request: Request<RequestBody>) -> Passage {
        let arrival = self.arrival(client, &request);
        arrival.record.counts(request.body_mut());
        Passage::new(self.clone(), request, arrival)
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
        let arrived = SystemTime::now();
        Arrival {
            client: client.clone(),
            record: Record::begin(&in_force.readers, live, request, client, &request_id, arrived),
            request_id,
            reader: in_force.response_headers.cors.reader(request.headers()),
            accept: request.headers().get(ACCEPT).cloned(),
            grpc: grpc::content_type(request),
            arrived,
            large: is_large(request.body()),
            told: None,
            queue_position: in_force.response_headers.queue_position,
            quotas: Quotas::NONE,
        }
    }

    /// What becomes of a request before anything is waited for.
    pub(super) fn pass(&self, mut request: Request<RequestBody>, mut arrival: Arrival) -> Step {
        if max_forwards::step(&mut request) == max_forwards::Step::Last {
            return Step::Answered(end_of_the_way(&arrival));
        }
        let Some(route) = self.route(&request) else {
            return Step::Answered(Reply::no_route().into_response(&arrival.about(None)));
        };
        if route.settings.handling.unlogged {
            arrival.record.silence();
        }
        if route.settings.upgrade == Upgrade::Deny && requested_upgrade(request.headers()).is_some() {
            return Step::Answered(Reply::upgrade_denied().into_response(&arrival.about(Some(&route))));
        }
        arrival.quotas = Quotas::begin(self.in_force.load().response_headers.ratelimit, &route);
        let preflight = is_preflight(&request).then(|| self.in_force.load().preflight);
        arrival.record.routed(&route);
        let mut claim = match route.settings.claim.claim(request.headers(), &arrival.client, arrival.arrived) {
            Ok(claim) => claim,
            Err(reason) => match route.limits.as_ref().map(|limits| limits.refuse(reason)) {
                // All of its limits only count.
                Some(None) => Claim::default(),
                rejection => return Step::Answered(turn_away(&route, &arrival, reason, rejection.flatten())),
            },
        };
        arrival.record.claims(&claim);
        claim.tag = arrival.record.live().map_or(0, |live| live.tag());
        let routed = Routed { worker: self.worker, route, preflight, claim };
        let most = routed.route.settings.handling.buffer_request;
        // A client of gRPC may wait for its server before it says more.
        if most > 0 && arrival.grpc.is_none() && !request.body().is_end_stream() {
            return Step::Seldom(Box::pin(routed.read_ahead(request, arrival)));
        }
        routed.go_on(request, arrival, None)
    }

    fn route(&self, request: &Request<RequestBody>) -> Option<Arc<Route>> {
        matched(&self.in_force.load().routes, request).cloned()
    }
}

/// What is known of a request that has found its route.
struct Routed {
    worker: usize,
    route: Arc<Route>,
    preflight: Option<Preflight>,
    claim: Claim,
}

impl Routed {
    /// Reads the request's body before it asks for a permit.
    async fn read_ahead(self, mut request: Request<RequestBody>, mut arrival: Arrival) -> Step {
        let route = &self.route;
        let most = route.settings.handling.buffer_request;
        // Where all of its limits only count, nobody is turned away.
        let until = self.claim.deadline.filter(|_| !only_counts(route)).map(Instant::from_std);
        let account = route.limits.as_ref().map(|limits| limits.limiters()[0].account());
        let read = within(until, Box::pin(Ahead::read(request.body_mut(), most, account))).await;
        arrival.large = is_large(request.body());
        match read {
            Some(Ok(read)) => self.go_on(request, arrival, Some(Box::new(read))),
            Some(Err(error)) => {
                let mut about = About { close: true, ..arrival.about(Some(route)) };
                if error.is_client_gone() {
                    about.record = &Record::UNKEPT;
                }
                Step::Answered(Reply::body_failed(&error).into_response(&about))
            }
            None => {
                let reason = Reason::DeadlineExpired;
                let rejection = route.limits.as_ref().and_then(|limits| limits.refuse(reason));
                Step::Answered(turn_away(route, &arrival, reason, rejection))
            }
        }
    }

    /// Goes to its limits with it, or to the upstream where there are none.
    fn go_on(self, request: Request<RequestBody>, mut arrival: Arrival, ahead: Option<Box<Ahead>>) -> Step {
        let Routed { worker, route, preflight, mut claim } = self;
        if route.settings.handling.queue_events && arrival.grpc.is_none() && wants_events(&request, ahead.as_deref()) {
            arrival.told = Some(Told::default());
        }
        // Where all of its limits only count, its deadline does not hold.
        let deadline = claim.deadline.filter(|_| !only_counts(&route)).map(Instant::from_std);
        let forward = Forward { route: route.clone(), worker, arrival, deadline, ahead };
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
            return Step::Answered(Reply::failed(&failure).into_response(&forward.arrival.about(Some(&route))));
        }
        let Some(limits) = limits else {
            return Step::Forwarding(forward.forward(request.map(Spool::new), None));
        };
        let (told, arrival) =
            (forward.arrival.told.clone(), forward.arrival.told.as_ref().map(|_| forward.arrival.clone()));
        let admitting = match Admitting::begin(limits, claim, request, forward) {
            Ok(admitting) => admitting,
            Err(response) => return Step::Answered(response),
        };
        let (Some(told), Some(arrival)) = (told, arrival) else {
            return Step::Admitting(admitting);
        };
        let events =
            async move { Step::Answered(queue_events::answer(Box::pin(admitting), told, arrival, &route).await) };
        Step::Seldom(Box::pin(events))
    }
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
pub(super) fn turn_away(
    route: &Route,
    arrival: &Arrival,
    reason: Reason,
    rejection: Option<Rejection>,
) -> Response<Body> {
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
