//! The last step: an admitted request goes upstream, and what comes back goes to the client.

use std::convert::Infallible;
use std::mem::take;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, HeaderValue, TE};
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use tokio::time::Instant;
use tower_service::Service;

use super::arrival::Arrival;
use super::body::{Body, Held, UpstreamBody};
use super::census::Field;
use super::claim::subtract_time;
use super::deadline::{Deadlines, Due, within};
use super::headers::{X_REQUEST_ID, append_via, set_forwarded, set_request_start, warn_of_disbelief};
use super::record::Record;
use super::refusal::Refusal;
use super::reply::Reply;
use super::request_ahead::{Ahead, ForwardedBody};
use super::request_body::{RequestBody, is_client_gone};
use super::rewrite::{set, set_on_request};
use super::sampling::Sampling;
use super::shared::Route;
use super::target::{absolute, authority, target};
use super::tunnel::Tunnel;
use crate::admission::{Admitted, Permit, Reason, Spool, Waited};
use crate::upstream::headers::{
    accept_trailers, accepts_trailers, remove_hop_by_hop, requested_upgrade, upgrade as upgrade_to,
};
use crate::upstream::{Answer, Failure, HostHeader, How, Protocol, Step, Upgraded};

/// Sends a request upstream.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) arrival: Arc<Arrival>,
    /// Until when its client waits.
    pub(super) deadline: Option<Instant>,
    /// What was read of the request's body before admission.
    pub(super) ahead: Option<Box<Ahead>>,
}

/// The future of [`Forward`].
pub(super) type Forwarding = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The head in a box, as it is moved about from here on.
#[inline]
pub(super) fn apart<B>(request: Request<B>) -> (Box<Parts>, B) {
    let head = Box::new_uninit();
    let (parts, body) = request.into_parts();
    (Box::write(head, parts), body)
}

/// What sends a request upstream once it has its permits. It is called once.
#[derive(Debug)]
pub(super) struct Once(pub(super) Option<Forward>);

impl Service<Admitted<RequestBody>> for Once {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Forwarding;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, admitted: Admitted<RequestBody>) -> Self::Future {
        let (head, rest) = apart(admitted.request);
        self.0.take().expect("a request is admitted once").admitted(head, rest, admitted.permit)
    }
}

impl Forward {
    /// The route that the request takes.
    pub(super) fn route(&self) -> &Route {
        self.arrival.route().expect("what is forwarded has a route")
    }

    /// The request has its permits.
    pub(super) fn admitted(self, head: Box<Parts>, rest: Spool<RequestBody>, permit: Permit) -> Forwarding {
        if let Some(told) = self.arrival.told() {
            told.set_admitted();
        }
        self.forward(head, rest, Some(permit))
    }

    /// Always answers. The permit, if there is one, goes with the exchange.
    pub(super) fn forward(
        mut self,
        mut head: Box<Parts>,
        rest: Spool<RequestBody>,
        permit: Option<Permit>,
    ) -> Forwarding {
        let ahead = self.ahead.take();
        let late = ahead.is_some() || permit.as_ref().is_some_and(|permit| permit.waited().is_some());
        let body = ForwardedBody::new(ahead, rest);
        let waited = permit.as_ref().and_then(Permit::waited);
        let bodiless = body.is_none();
        let route = self.route();
        let limit = permit.as_ref().and(route.names.limits.first()).map(|limit| limit.index);
        let admitted = self.arrival.record.admitted(permit.as_ref(), limit);
        let slot = permit.is_some();
        let held = Held::new(permit, &self.arrival.record);
        let detached = head.version == Version::HTTP_2;
        if let Err(refusal) = self.prepare(&mut head, late) {
            let reply = Reply { waited, ..Reply::refused(refusal) };
            let response = reply.into_response(&self.arrival.about());
            // Its body is dropped when the answer is fetched, or hyper takes that for the end of the connection.
            return Box::pin(async move {
                drop(body);
                Ok(response)
            });
        }
        let deadlines = Deadlines::begin(&route.settings.handling);
        let sampled = if slot { &route.sampled } else { &None };
        let mut sampling = Sampling::begin(sampled, self.arrival.worker, admitted);
        // Boxed here, and only what is needed from here on: hyper moves the whole future of every request once. The box comes
        // first, so that the future is made in it; it has room for much that is not there yet.
        let forwarding = Box::write(Box::new_uninit(), async move {
            let route = self.route();
            let Route { upstream, settings, .. } = route;
            let how = How { worker: self.arrival.worker, ending: settings.ending, slot, detached };
            let due = deadlines.exchange;
            let opened = match upstream.is_closed() {
                // Boxed, as is all that is seldom needed.
                true => {
                    sampling.pause();
                    let opened = Box::pin(self.until_open(&mut head.headers, due.map(|due| due.at), waited)).await;
                    sampling.begin_again();
                    opened
                }
                false => Ok(()),
            };
            let told = |step: Step<'_>| match step {
                Step::To(endpoint) => self.arrival.record.sent_to(endpoint),
                Step::Waits => sampling.pause(),
                Step::Goes => sampling.begin_again(),
                Step::Unreached(endpoint, error) => route.say_unreached(endpoint, error),
                Step::Connected => self.arrival.record.connected(),
            };
            let overdue = || Err(due.map_or(Failure::Overdue, Due::failure));
            let answer = match opened {
                Ok(()) => {
                    // Where it is made, for the same reason.
                    let sent = pin!(upstream.send(how, head, body, held, told));
                    within(due.map(|due| due.at), sent).await.unwrap_or_else(overdue)
                }
                Err(failure) => Err(failure),
            };
            Ok(match answer {
                Ok(Answer::Response(mut response)) => {
                    self.pass_on(&mut response, waited, &mut sampling);
                    let (ahead, record) = (settings.handling.buffer_response, self.arrival.record.clone());
                    return Ok(response.map(|body| Body::upstream(body, ahead, due, record)));
                }
                Ok(Answer::Upgraded(upgraded)) => {
                    sampling.forget();
                    self.tunnel(*upgraded, deadlines.upgraded, waited)
                }
                Err(failure) => {
                    sampling.failed(&failure);
                    upstream.count(&failure);
                    tracing::debug!(route = settings.name, error = &failure as &dyn std::error::Error, "no response");
                    let reply = Reply { waited, ..Reply::failed(&failure) };
                    let mut about = self.arrival.about();
                    if is_client_gone(&failure) {
                        about.record = &Record::UNKEPT;
                    }
                    // What is left of its body may never come, or never be read.
                    about.close |= !bodiless;
                    reply.into_response(&about)
                }
            })
        });
        Box::into_pin(forwarding)
    }

    /// Agrees to another protocol. The tunnel goes with the answer; the server runs it.
    fn tunnel(self, upgraded: Upgraded<Held>, deadline: Option<Instant>, waited: Option<Waited>) -> Response<Body> {
        let route = self.route();
        let Route { upstream, settings, .. } = route;
        let Upgraded { head, io, mut seat, mut held } = upgraded;
        let (held, place) = match route.upgrades() {
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
                    // The connection first: until it is closed, the upstream is at work.
                    drop(io);
                    drop(seat);
                    drop(held);
                    route.count_rejection(Reason::NoPermit);
                    let limits = route.limits.as_ref();
                    // For its counts: the answer stands whatever it says.
                    let _ = limits.and_then(|limits| limits.refuse(Reason::NoPermit));
                    let limiter = limits.map_or(upgrades, |limits| &limits.limiters()[0]);
                    let full = Reply::no_place(limiter.settings().reject_status, waited);
                    return full.into_response(&self.arrival.about());
                }
            },
        };
        let protocol = requested_upgrade(head.headers());
        let record = &self.arrival.record;
        record.upgraded(head.status().as_u16());
        let (mut parts, ()) = head.into_parts();
        self.arrival.clean(&mut parts.headers, route, waited);
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
                record: record.clone(),
            }),
        )
    }

    /// Makes the upstream's response ours.
    fn pass_on(&self, response: &mut Response<UpstreamBody>, waited: Option<Waited>, sampling: &mut Sampling) {
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
        let route = self.route();
        self.arrival.clean(response.headers_mut(), route, waited);
        set(response.headers_mut(), &route.settings.rewrite.set_response_headers);
    }

    /// Makes the head of the client's request ours. It is late if it has waited, for a permit or for its own body.
    fn prepare(&self, parts: &mut Parts, late: bool) -> Result<(), Refusal> {
        let route = self.route();
        let upstream = route.upstream.settings();
        let Arrival { client, request_id, arrived, census, host, .. } = &*self.arrival;
        let headers = &mut parts.headers;
        // HTTP/1.0 has no upgrades.
        let upgrades = census.has(Field::Upgrade) && parts.version == Version::HTTP_11;
        let upgrade = upgrades.then(|| requested_upgrade(headers)).flatten();
        let trailers = census.has(Field::Te) && accepts_trailers(headers);
        if census.has(Field::HopByHop) {
            remove_hop_by_hop(headers);
        }
        if census.has(Field::Expect) {
            // Answered on the first read of the body, which is the upstream's.
            headers.remove(EXPECT);
        }
        if late && census.has(Field::Deadline) && route.settings.claim.deadline {
            subtract_time(headers, || self.arrival.start.elapsed());
        }
        if self.arrival.has_begun() {
            // The head that would name the coding has been sent.
            headers.remove(ACCEPT_ENCODING);
        }
        if set_forwarded(headers, client, host.as_ref(), upstream.forwarded, *census) {
            warn_of_disbelief(client, *arrived);
        }
        set_request_start(headers, client, *arrived);
        headers.insert(X_REQUEST_ID, request_id.clone());
        if upstream.via {
            append_via(headers, parts.version, *census);
        }
        let rewrite = &route.settings.rewrite;
        set_on_request(headers, upstream, rewrite);
        let host = match &upstream.host {
            HostHeader::Preserve => host.as_ref().filter(|host| !host.is_empty()),
            HostHeader::Fixed(host) => Some(host),
            HostHeader::Upstream => None,
        };
        let host = host.unwrap_or(&route.authority);
        parts.uri = target(take(&mut parts.uri), rewrite, &upstream.base_path)?;
        self.arrival.record.tells_of_its_trace(headers, upstream.protocol.scheme(), &parts.uri);
        match upstream.protocol {
            Protocol::Http1 | Protocol::Tls => {
                if upstream.protocol == Protocol::Tls {
                    // It may become a request of HTTP/2, as the upstream likes.
                    authority(host)?;
                }
                headers.insert(HOST, host.clone());
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
                parts.uri = absolute(take(&mut parts.uri), host)?;
                parts.version = Version::HTTP_2;
            }
        }
        Ok(())
    }
}
