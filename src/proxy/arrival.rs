//! What is known of a request on arrival, and needed as long as it has no answer.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Body as _;
use tokio::time::Instant;

use super::census::{Census, Field};
use super::client::Client;
use super::cors::Reader;
use super::grpc;
use super::headers::{client_request_id, new_request_id};
use super::negotiate::Form;
use super::queue_events::Told;
use super::quotas::Quotas;
use super::record::{Beginning, Record};
use super::reply::{About, X_LIMIT, X_QUEUE, X_REASON, tell_wait};
use super::request_body::RequestBody;
use super::shared::{Route, Shared};
use crate::admission::Waited;
use crate::clock;
use crate::upstream::headers::remove_hop_by_hop;

/// A request that has arrived. One for all who have to do with it.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Who serves it.
    pub(super) worker: usize,
    pub(super) client: Arc<Client>,
    pub(super) request_id: HeaderValue,
    /// Which fields it came with.
    pub(super) census: Census,
    /// The host that it asks for.
    pub(super) host: Option<HeaderValue>,
    /// The origin that asks, if it may read answers of ours.
    pub(super) reader: Option<Reader>,
    /// Its first `Accept`, which is looked at only if the answer is ours.
    accept: Option<HeaderValue>,
    /// Its content type, if that is one of gRPC's.
    pub(super) grpc: Option<HeaderValue>,
    pub(super) arrived: SystemTime,
    /// The same, to measure from.
    pub(super) start: Instant,
    pub(super) record: Record,
    /// Its route, if there is one for it.
    route: Option<Arc<Route>>,
    /// Its body costs the connection after an answer of our own: it is too large to be read and dropped, or is one that may
    /// never come.
    costly: AtomicBool,
    /// How far it has come, if its client can be told that it waits.
    told: OnceLock<Told>,
    /// Whether its answer says how it waited.
    queue_position: bool,
    pub(super) quotas: Quotas,
}

/// Unread bodies up to this size are read and dropped after an answer of our own; larger ones cost the connection.
const DROPPABLE: u64 = 64 << 10;

impl Arrival {
    pub(super) fn new(
        in_force: &Shared,
        worker: usize,
        client: &Arc<Client>,
        request: &Request<RequestBody>,
        host: Option<HeaderValue>,
        route: Option<&Arc<Route>>,
    ) -> Arc<Self> {
        let headers = request.headers();
        let census = Census::of(headers);
        let own = census.has(Field::RequestId).then(|| client_request_id(headers)).flatten();
        let request_id = own.unwrap_or_else(new_request_id);
        let start = clock::now();
        let arrived = clock::of_day(start);
        let response_headers = &in_force.response_headers;
        Arc::new(Arrival {
            worker,
            client: client.clone(),
            record: Record::begin(
                in_force,
                request,
                Beginning { worker, client, id: &request_id, host: host.as_ref(), route, census, arrived, start },
            ),
            request_id,
            census,
            host,
            reader: response_headers.cors.reader(headers),
            accept: census.has(Field::Accept).then(|| headers.get(ACCEPT).cloned()).flatten(),
            grpc: grpc::content_type(request),
            arrived,
            start,
            route: route.cloned(),
            costly: AtomicBool::new(is_costly(request.body(), census.has(Field::Expect))),
            told: OnceLock::new(),
            queue_position: response_headers.queue_position,
            quotas: route.map_or(Quotas::NONE, |route| Quotas::begin(response_headers.ratelimit, route)),
        })
    }

    /// Its route, if there is one for it.
    pub(super) fn route(&self) -> Option<&Arc<Route>> {
        self.route.as_ref()
    }

    /// More of its body may have come.
    pub(super) fn measure(&self, body: &RequestBody) {
        self.costly.store(is_costly(body, self.census.has(Field::Expect)), Relaxed);
    }

    /// Whether an answer of ours closes the connection.
    pub(super) fn closes(&self) -> bool {
        self.costly.load(Relaxed)
    }

    /// Its client can be told that it waits.
    pub(super) fn can_be_told(&self) {
        let _ = self.told.set(Told::default());
    }

    /// How far it has come, if its client can be told that it waits.
    pub(super) fn told(&self) -> Option<&Told> {
        self.told.get()
    }

    /// Whether its answer is a stream of events that has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.told().is_some_and(Told::has_begun)
    }

    /// Makes the fields of the upstream's head ours.
    pub(super) fn clean(&self, headers: &mut HeaderMap, route: &Route, waited: Option<Waited>) {
        remove_hop_by_hop(headers);
        // Ours alone: whoever reads them takes the answer for one of ours.
        if headers.keys().any(|name| name.as_str().starts_with("x-sluicegate-")) {
            for name in [X_REASON, X_LIMIT, X_QUEUE] {
                headers.remove(name);
            }
        }
        if let Some(waited) = waited.filter(|_| self.queue_position) {
            tell_wait(headers, waited);
        }
        self.quotas.tell(route, false, headers);
    }

    pub(super) fn about(&self) -> About<'_> {
        let route = self.route.as_deref();
        About {
            route: route.map(|route| route.settings.name.as_str()),
            on: route,
            limit: route.and_then(|route| route.names.limits.first()),
            request_id: &self.request_id,
            form: if self.has_begun() { Form::ProblemJson } else { Form::wanted(self.accept.as_ref()) },
            grpc: self.grpc.as_ref(),
            close: self.closes(),
            record: &self.record,
            reader: self.reader.as_ref(),
            fields: route.map_or(&[], |route| &route.settings.rewrite.set_response_headers),
            queue_position: self.queue_position,
            quotas: &self.quotas,
        }
    }
}

/// Whether a body that nobody has read costs the connection. One whose client waits for `100 Continue` may never come: after
/// another answer, what comes could be either the body or the next request (RFC 9110 §10.1.1).
pub(super) fn is_costly(body: &RequestBody, expects: bool) -> bool {
    body.size_hint().lower() > DROPPABLE || expects && !body.is_begun() && !body.is_end_stream()
}
