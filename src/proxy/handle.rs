//! From a request to its answer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::time::Instant;

use super::arrival::Arrival;
use super::body::Body;
use super::census::Field;
use super::client::Client;
use super::deadline::within;
use super::forward::{Forward, apart};
use super::headers::{X_REQUEST_ID, new_request_id, requested_host};
use super::matched::matched;
use super::max_forwards;
use super::negotiate::Form;
use super::passage::{Admitting, Passage, Step};
use super::preflight::{Preflight, is_preflight};
use super::queue_events;
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

impl Proxy {
    /// The way of one worker.
    pub fn new(in_force: Arc<ArcSwap<Shared>>, worker: usize) -> Self {
        Proxy { in_force, worker }
    }

    /// Answers a request, which is there. It is taken by whoever it ends with, and stays where it is until then, since it is
    /// large. Never fails, and a panic on the way becomes a 500.
    pub fn handle(&self, client: &Arc<Client>, taken: &mut Option<Request<RequestBody>>) -> Passage {
        let request = taken.as_mut().expect(PRESENT);
        // Looked at once: a request goes all its way by one plan.
        let in_force = self.in_force.load();
        let step = max_forwards::step(request);
        let host = requested_host(request);
        let route = match step {
            max_forwards::Step::On => {
                matched(&in_force.routes, host.as_ref().and_then(|host| host.to_str().ok()), request)
            }
            // It goes nowhere.
            max_forwards::Step::Last => None,
        };
        let arrival = Arrival::new(&in_force, self.worker, client, request, host, route);
        arrival.record.counts(request.body_mut());
        Passage::begin(arrival, |arrival| pass(in_force.preflight, step, taken, arrival))
    }

    /// Answers what the server refused before there was a request to handle.
    pub fn refuse(&self, client: &Client, refusal: Refusal) -> Response<Body> {
        let request_id = &new_request_id();
        let in_force = self.in_force.load();
        let record = &Record::of_refused(&in_force, self.worker, client, request_id);
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
        let host = requested_host(request);
        let arrival = Arrival::new(&self.in_force.load(), self.worker, client, request, host, None);
        Reply::refused(refusal).into_response(&arrival.about())
    }

    /// Closes this worker's idle connections whose time is over. To be called now and then.
    pub fn prune(&self) {
        self.in_force.load().upstreams.iter().for_each(|upstream| upstream.prune(self.worker));
    }
}

/// What becomes of a request before anything is waited for. Nobody else has the arrival yet.
fn pass(
    preflight: Preflight,
    step: max_forwards::Step,
    taken: &mut Option<Request<RequestBody>>,
    arrival: &Arc<Arrival>,
) -> Step {
    let request = taken.as_ref().expect(PRESENT);
    if step == max_forwards::Step::Last {
        return Step::turned_away(end_of_the_way(arrival), taken);
    }
    let Some(route) = arrival.route() else {
        return Step::turned_away(Reply::no_route().into_response(&arrival.about()), taken);
    };
    if route.settings.upgrade == Upgrade::Deny && requested_upgrade(request.headers()).is_some() {
        return Step::turned_away(Reply::upgrade_denied().into_response(&arrival.about()), taken);
    }
    let preflight = is_preflight(request).then_some(preflight);
    let mut claim = match route.settings.claim.claim(
        request.headers(),
        arrival.census.has(Field::Deadline),
        &arrival.client,
        arrival.arrived,
    ) {
        Ok(claim) => claim,
        Err(reason) => match route.limits.as_ref().map(|limits| limits.refuse(reason)) {
            // All of its limits only count.
            Some(None) => Claim::default(),
            rejection => {
                return Step::turned_away(turn_away(route, arrival, reason, rejection.flatten()), taken);
            }
        },
    };
    arrival.record.claims(&claim);
    claim.tag = arrival.record.live().map_or(0, |live| live.tag());
    let routed = Routed { arrival: arrival.clone(), preflight, claim };
    let most = route.settings.handling.buffer_request;
    // A client of gRPC may wait for its server before it says more.
    if most > 0 && arrival.grpc.is_none() && !request.body().is_end_stream() {
        let request = taken.take().expect(PRESENT);
        return Step::Seldom(Box::pin(routed.read_ahead(request)));
    }
    routed.go_on(taken, None)
}

/// A request that is handled is taken once, by whoever it ends with.
pub(super) const PRESENT: &str = "the request is there until its way is known";

/// A request that has found its route.
struct Routed {
    arrival: Arc<Arrival>,
    preflight: Option<Preflight>,
    claim: Claim,
}

impl Routed {
    /// Reads the request's body before it asks for a permit.
    async fn read_ahead(self, mut request: Request<RequestBody>) -> Step {
        let arrival = &self.arrival;
        let route = arrival.route().expect("it has been found");
        let most = route.settings.handling.buffer_request;
        // Where all of its limits only count, nobody is turned away.
        let until = self.claim.deadline.filter(|_| !only_counts(route)).map(Instant::from_std);
        let account = route.limits.as_ref().map(|limits| limits.limiters()[0].account());
        let read = within(until, Box::pin(Ahead::read(request.body_mut(), most, account))).await;
        arrival.measure(request.body());
        match read {
            Some(Ok(read)) => self.go_on(&mut Some(request), Some(Box::new(read))),
            Some(Err(error)) => {
                let mut about = About { close: true, ..arrival.about() };
                if error.is_client_gone() {
                    about.record = &Record::UNKEPT;
                }
                Step::answered(Reply::body_failed(&error).into_response(&about))
            }
            None => {
                let reason = Reason::DeadlineExpired;
                let rejection = route.limits.as_ref().and_then(|limits| limits.refuse(reason));
                Step::answered(turn_away(route, arrival, reason, rejection))
            }
        }
    }

    /// Goes to its limits with it, or to the upstream where there are none.
    fn go_on(self, taken: &mut Option<Request<RequestBody>>, ahead: Option<Box<Ahead>>) -> Step {
        let Routed { arrival, preflight, mut claim } = self;
        let request = taken.as_ref().expect(PRESENT);
        let route = arrival.route().expect("it has been found");
        if route.settings.handling.queue_events && arrival.grpc.is_none() && wants_events(request, ahead.as_deref()) {
            arrival.can_be_told();
        }
        // Where all of its limits only count, its deadline does not hold.
        let deadline = claim.deadline.filter(|_| !only_counts(route)).map(Instant::from_std);
        let forward = Forward { arrival: arrival.clone(), deadline, ahead };
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
            return Step::turned_away(Reply::failed(&failure).into_response(&arrival.about()), taken);
        }
        let Some(limits) = limits else {
            let (head, body) = apart(taken.take().expect(PRESENT));
            return Step::Forwarding(forward.forward(head, Spool::new(body), None));
        };
        let told = arrival.told().cloned();
        let (told, admitting) = match (told, Admitting::begin(limits, claim, taken, forward)) {
            (Some(told), Step::Admitting(admitting)) => (told, admitting),
            (_, step) => return step,
        };
        let events = async move { Step::answered(queue_events::answer(Box::into_pin(admitting), told, arrival).await) };
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
    if arrival.closes() {
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
    let mut about = arrival.about();
    if let Some(limit) = rejection.and_then(|rejection| route.names.limits.get(rejection.limit)) {
        about.limit = Some(limit);
        about.record.rejected_by(limit.index);
    }
    let waited = rejection.map(|rejection| rejection.waited);
    Reply { waited, ..Reply::no_claim(reason) }.into_response(&about)
}

/// Whether all limits of a route are dry runs.
fn only_counts(route: &Route) -> bool {
    route.limits.as_ref().is_some_and(|limits| limits.limiters().iter().all(Limiter::is_dry_run))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::access_log::{AccessLog, Lines, LogFormat, Output, Readers, Writer};
    use crate::config;
    use crate::proxy::TrustedProxies;

    fn shared(keys: &[(&str, &str)]) -> Shared {
        let keys = [("UPSTREAM", "http://127.0.0.1:9"), ("LIMIT", "1"), ("QUEUE", "0")].iter().chain(keys);
        let environment = keys.map(|(key, value)| (format!("SLUICEGATE_{key}"), (*value).to_owned())).collect();
        let sources = config::Sources { environment, ..config::Sources::default() };
        Shared::try_new(config::load(&sources).unwrap().settings.plan, 1, Readers::default()).unwrap()
    }

    #[test]
    fn a_request_is_kept_while_somebody_can_look_or_its_line_is_written() {
        let nowhere = Output::open(&AccessLog::File("/dev/null".into()), LogFormat::Json).unwrap().unwrap();
        let writer = Writer::start(nowhere, Lines::default(), 1);
        let read = || Readers { log: Some(writer.log()), tracer: None };
        let unlogged = [("_ROUTES__DEFAULT__LOG", "false")];
        for (readers, keys, open, kept) in [
            (Readers::default(), &[][..], false, false),
            (Readers::default(), &[][..], true, true),
            (read(), &[][..], false, true),
            (read(), &unlogged[..], false, false),
            (read(), &unlogged[..], true, true),
        ] {
            let mut shared = shared(keys);
            shared.readers = readers;
            if open {
                shared.registry().open();
            }
            let client = Arc::new(Client::new(Ipv4Addr::LOCALHOST.into(), &TrustedProxies::default()));
            let request = Request::new(RequestBody::empty());
            let route = Some(&shared.all_routes[0]);
            let arrival = Arrival::new(&shared, 0, &client, &request, None, route);
            assert_eq!(arrival.record.is_kept(), kept, "{keys:?} {open}");
            assert_eq!(shared.registry().all().len(), usize::from(kept));
            drop(arrival);
            assert_eq!(shared.registry().all().len(), 0);
        }
    }

    #[tokio::test]
    async fn a_request_goes_all_its_way_by_one_plan() {
        let before = shared(&[("_RESPONSE_HEADERS__QUEUE_POSITION", "true")]);
        let _taken = before.limiters()[0].try_acquire().unwrap();
        let after = shared(&[("_ROUTES__DEFAULT__PATH", "/elsewhere")]);
        let in_force = Arc::new(ArcSwap::from_pointee(before));
        let proxy = Proxy::new(in_force.clone(), 0);
        let client = Arc::new(Client::new(Ipv4Addr::LOCALHOST.into(), &TrustedProxies::default()));
        let reason = async |passage: Passage| passage.await.headers()["x-sluicegate-reason"].clone();
        let request = || Some(Request::new(RequestBody::empty()));
        let begun = proxy.handle(&client, &mut request());
        in_force.store(Arc::new(after));
        assert_eq!(reason(begun).await, "no_permit");
        assert_eq!(reason(proxy.handle(&client, &mut request())).await, "no_route");
    }
}
