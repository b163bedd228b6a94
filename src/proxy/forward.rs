//! The last step: an admitted request goes upstream, and what comes back goes to the client.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, HeaderValue, TE};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Body as _;
use tokio::time::Instant;
use tower_service::Service;

use super::body::{Body, Held, UpstreamBody};
use super::claim::subtract_time;
use super::client::Client;
use super::cors::Reader;
use super::deadline::{Deadlines, Due, within};
use super::headers::{X_REQUEST_ID, append_via, requested_host, set_forwarded, set_request_start, warn_of_disbelief};
use super::negotiate::Form;
use super::queue_events::Told;
use super::quotas::Quotas;
use super::record::Record;
use super::refusal::Refusal;
use super::reply::{About, Reply, X_LIMIT, X_QUEUE, X_REASON, queue_value};
use super::request_ahead::{Ahead, ForwardedBody};
use super::request_body::{RequestBody, is_client_gone};
use super::rewrite::{set, set_on_request};
use super::sampling::Sampling;
use super::shared::Route;
use super::target::{absolute, authority, target};
use super::tunnel::Tunnel;
use crate::admission::{Admitted, Limits, Permit, Reason, Spool, Waited};
use crate::upstream::headers::{
    accept_trailers, accepts_trailers, remove_hop_by_hop, requested_upgrade, upgrade as upgrade_to,
};
use crate::upstream::{Answer, Failure, HostHeader, How, Protocol, Step, Upgraded};

/// What is known of a request on arrival, and needed once it has been admitted or turned away.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) client: Arc<Client>,
    pub(super) request_id: HeaderValue,
    /// The origin that asks, if it may read answers of ours.
    pub(super) reader: Option<Reader>,
    /// Its first `Accept`, which is looked at only if the answer is ours.
    pub(super) accept: Option<HeaderValue>,
    /// Its content type, if that is one of gRPC's.
    pub(super) grpc: Option<HeaderValue>,
    pub(super) arrived: SystemTime,
    pub(super) record: Record,
    /// Its body is too large to be read and dropped after an answer of our own.
    pub(super) large: bool,
    /// How far it has come, if its client can be told that it waits.
    pub(super) told: Option<Told>,
    /// Whether its answer says how it waited.
    pub(super) queue_position: bool,
    pub(super) quotas: Quotas,
}

/// Sends the requests of a route upstream.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) route: Arc<Route>,
    pub(super) worker: usize,
    pub(super) arrival: Arrival,
    /// Until when its client waits.
    pub(super) deadline: Option<Instant>,
    /// What was read of the request's body before admission.
    pub(super) ahead: Option<Box<Ahead>>,
}

/// The future of [`Forward`].
pub(super) type Forwarding = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service<Admitted<RequestBody>> for Forward {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Forwarding;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, admitted: Admitted<RequestBody>) -> Self::Future {
        if let Some(told) = &self.arrival.told {
            told.set_admitted();
        }
        let Forward { route, worker, arrival, deadline, ahead } = self;
        // It is called once: what was read goes along.
        let ahead = ahead.take();
        let (route, arrival) = (route.clone(), arrival.clone());
        let once = Forward { route, worker: *worker, arrival, deadline: *deadline, ahead };
        once.forward(admitted.request, Some(admitted.permit))
    }
}

impl Forward {
    /// Always answers. The permit, if there is one, goes with the exchange.
    pub(super) fn forward(mut self, request: Request<Spool<RequestBody>>, permit: Option<Permit>) -> Forwarding {
        let ahead = self.ahead.take();
        let late = ahead.is_some() || permit.as_ref().is_some_and(|permit| permit.waited().is_some());
        let request = request.map(|rest| ForwardedBody::new(ahead, rest));
        let waited = permit.as_ref().and_then(Permit::waited);
        let bodiless = request.body().is_end_stream();
        let Route { names, .. } = &*self.route;
        let limit = permit.as_ref().and(names.limit.as_ref());
        let admitted = self.arrival.record.admitted(permit.as_ref(), limit);
        let mut request = match self.prepare(request, late) {
            Ok(request) => request,
            Err(refusal) => {
                let reply = Reply { waited, ..Reply::refused(refusal) };
                return Box::pin(ready(Ok(reply.into_response(&self.arrival.about(Some(&self.route))))));
            }
        };
        let deadlines = Deadlines::begin(&self.route.settings.handling);
        let sampled = if permit.is_some() { &self.route.sampled } else { &None };
        let mut sampling = Sampling::begin(sampled, self.worker, admitted);
        // Boxed here, and only what is needed from here on: hyper moves the whole future of every request once.
        Box::pin(async move {
            let Route { upstream, settings, .. } = &*self.route;
            let how = How { worker: self.worker, ending: settings.ending, slot: permit.is_some() };
            let due = deadlines.exchange;
            let opened = match upstream.is_closed() {
                // Boxed, as is all that is seldom needed.
                true => {
                    sampling.pause();
                    let opened = Box::pin(self.until_open(&mut request, due.map(|due| due.at), waited)).await;
                    sampling.begin_again();
                    opened
                }
                false => Ok(()),
            };
            let told = |step: Step<'_>| match step {
                Step::To(endpoint) => self.arrival.record.sent_to(endpoint),
                Step::Waits => sampling.pause(),
                Step::Goes => sampling.begin_again(),
                Step::Unreached(endpoint, error) => self.route.say_unreached(endpoint, error),
                Step::Connected => self.arrival.record.connected(),
            };
            let held = Held::new(permit, &self.arrival.record);
            let overdue = || Err(due.map_or(Failure::Overdue, Due::failure));
            let answer = match opened {
                Ok(()) => {
                    let sent = upstream.send(how, request, held, told);
                    within(due.map(|due| due.at), sent).await.unwrap_or_else(overdue)
                }
                Err(failure) => Err(failure),
            };
            Ok(match answer {
                Ok(Answer::Response(response)) => {
                    let response = self.pass_on(response, waited, &mut sampling);
                    let (ahead, record) = (settings.handling.buffer_response, self.arrival.record);
                    response.map(|body| Body::upstream(body, ahead, due, record))
                }
                Ok(Answer::Upgraded(upgraded)) => {
                    sampling.forget();
                    self.tunnel(upgraded, deadlines.upgraded, waited)
                }
                Err(failure) => {
                    sampling.failed(&failure);
                    upstream.count(&failure);
                    tracing::debug!(route = settings.name, error = &failure as &dyn std::error::Error, "no response");
                    let reply = Reply { waited, ..Reply::failed(&failure) };
                    let mut about = self.arrival.about(Some(&self.route));
                    if is_client_gone(&failure) {
                        about.record = &Record::UNKEPT;
                    }
                    // What is left of its body may never come, or never be read.
                    about.close |= !bodiless;
                    reply.into_response(&about)
                }
            })
        })
    }

    /// Agrees to another protocol. The tunnel goes with the answer; the server runs it.
    fn tunnel(self, upgraded: Upgraded<Held>, deadline: Option<Instant>, waited: Option<Waited>) -> Response<Body> {
        let Route { upstream, settings, .. } = &*self.route;
        let Upgraded { head, io, mut seat, mut held } = upgraded;
        let (held, place) = match self.route.upgrades() {
            None => {
                held.release_at_head();
                (Some(held), None)
            }
            // Its own place takes the place of the request's permits.
            Some(upgrades) => match upgrades.try_acquire() {
                Some(place) => {
                    seat.leave_slot();
                    drop(held);
                    (None, Some(place))
                }
                None => {
                    drop(seat);
                    drop(held);
                    self.route.count_rejection(Reason::NoPermit);
                    let limits = self.route.limits.as_ref();
                    // For its counts: the answer stands whatever it says.
                    let _ = limits.and_then(|limits| limits.refuse(Reason::NoPermit));
                    let limiter = limits.map_or(upgrades, |limits| &limits.limiters()[0]);
                    let full = Reply::no_place(limiter.settings().reject_status, waited);
                    return full.into_response(&self.arrival.about(Some(&self.route)));
                }
            },
        };
        let protocol = requested_upgrade(head.headers());
        let record = &self.arrival.record;
        record.upgraded(head.status().as_u16());
        let (mut parts, ()) = head.into_parts();
        self.arrival.clean(&mut parts.headers, &self.route, waited);
        set(&mut parts.headers, &settings.rewrite.set_response_headers);
        if let Some(protocol) = protocol {
            upgrade_to(&mut parts.headers, protocol);
        }
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        let idle_timeout = upstream.settings().upgrade_idle_timeout;
        let grace = settings.ending.abort_grace;
        Response::from_parts(
            parts,
            Body::tunnel(Tunnel {
                upstream: io,
                idle_timeout,
                deadline,
                grace,
                seat,
                held,
                place,
                record: self.arrival.record,
            }),
        )
    }

    /// Makes the upstream's response ours.
    fn pass_on(
        &self,
        mut response: Response<UpstreamBody>,
        waited: Option<Waited>,
        sampling: &mut Sampling,
    ) -> Response<UpstreamBody> {
        let (status, body) = (response.status().as_u16(), response.body());
        let headed = self.arrival.record.headed(status, body.reused(), body.retries());
        sampling.headed(status, response.headers(), body.retries(), headed);
        if let Some(held) = response.body_mut().held_mut() {
            held.release_at_head();
        }
        *response.version_mut() = Version::HTTP_11;
        if response.status() == StatusCode::NO_CONTENT {
            // It says no length (RFC 9110 §8.6), whatever the upstream thinks.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        self.arrival.clean(response.headers_mut(), &self.route, waited);
        set(response.headers_mut(), &self.route.settings.rewrite.set_response_headers);
        response
    }

    /// Makes the client's request ours. It is late if it has waited, for a permit or for its own body.
    fn prepare(&self, request: Request<ForwardedBody>, late: bool) -> Result<Request<ForwardedBody>, Refusal> {
        let host = requested_host(&request);
        // HTTP/1.0 has no upgrades.
        let upgrade = (request.version() == Version::HTTP_11).then(|| requested_upgrade(request.headers())).flatten();
        let (mut parts, body) = request.into_parts();
        let upstream = self.route.upstream.settings();
        let Arrival { client, request_id, arrived, .. } = &self.arrival;
        let headers = &mut parts.headers;
        let trailers = accepts_trailers(headers);
        remove_hop_by_hop(headers);
        // Answered on the first read of the body, which is the upstream's.
        headers.remove(EXPECT);
        if late && self.route.settings.claim.deadline {
            subtract_time(headers, || arrived.elapsed().unwrap_or_default());
        }
        if self.arrival.has_begun() {
            // The head that would name the coding has been sent.
            headers.remove(ACCEPT_ENCODING);
        }
        if set_forwarded(headers, client, host.as_ref(), upstream.forwarded) {
            warn_of_disbelief(client, *arrived);
        }
        set_request_start(headers, client, *arrived);
        headers.insert(X_REQUEST_ID, request_id.clone());
        if upstream.via {
            append_via(headers, parts.version);
        }
        let rewrite = &self.route.settings.rewrite;
        set_on_request(headers, upstream, rewrite);
        let host = match &upstream.host {
            HostHeader::Preserve => host.filter(|host| !host.is_empty()),
            HostHeader::Fixed(host) => Some(host.clone()),
            HostHeader::Upstream => None,
        };
        let host = host.unwrap_or_else(|| self.route.authority.clone());
        parts.uri = target(parts.uri, rewrite, &upstream.base_path)?;
        self.arrival.record.tells_of_its_trace(headers, upstream.protocol.scheme(), &parts.uri);
        match upstream.protocol {
            Protocol::Http1 | Protocol::Tls => {
                if upstream.protocol == Protocol::Tls {
                    // It may become a request of HTTP/2, as the upstream likes.
                    authority(&host)?;
                }
                headers.insert(HOST, host);
                if trailers {
                    accept_trailers(headers);
                }
                if let Some(protocols) = upgrade {
                    upgrade_to(headers, protocols);
                }
                parts.version = Version::HTTP_11;
            }
            // It has frames for bodies, a pseudo-field for the host, and no upgrades (RFC 9113 §8.2.2, §8.3.1, §8.6): a
            // request that asks for one is served as it is.
            Protocol::H2c => {
                headers.remove(HOST);
                if trailers {
                    headers.insert(TE, HeaderValue::from_static("trailers"));
                }
                parts.uri = absolute(parts.uri, &host)?;
                parts.version = Version::HTTP_2;
            }
        }
        Ok(Request::from_parts(parts, body))
    }
}

impl Arrival {
    /// Whether its answer is a stream of events that has begun.
    fn has_begun(&self) -> bool {
        self.told.as_ref().is_some_and(Told::has_begun)
    }

    /// Makes the fields of the upstream's head ours.
    fn clean(&self, headers: &mut HeaderMap, route: &Route, waited: Option<Waited>) {
        remove_hop_by_hop(headers);
        // Ours alone: whoever reads them takes the answer for one of ours.
        if headers.keys().any(|name| name.as_str().starts_with("x-sluicegate-")) {
            for name in [X_REASON, X_LIMIT, X_QUEUE] {
                headers.remove(name);
            }
        }
        if let Some(waited) = waited.filter(|_| self.queue_position) {
            headers.insert(X_QUEUE, queue_value(waited));
        }
        self.quotas.tell(route, false, headers);
    }

    pub(super) fn about<'a>(&'a self, route: Option<&'a Route>) -> About<'a> {
        About {
            route: route.map(|route| route.settings.name.as_str()),
            on: route,
            limit: route.and_then(|route| route.limits.as_ref()).map(Limits::name),
            request_id: &self.request_id,
            form: if self.has_begun() { Form::ProblemJson } else { Form::wanted(self.accept.as_ref()) },
            grpc: self.grpc.as_ref(),
            close: self.large,
            record: &self.record,
            reader: self.reader.as_ref(),
            fields: route.map_or(&[], |route| &route.settings.rewrite.set_response_headers),
            queue_position: self.queue_position,
            quotas: &self.quotas,
        }
    }
}
