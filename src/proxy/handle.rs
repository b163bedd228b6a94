//! From a request to its answer.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::SystemTime;

use http::header::{ACCEPT, HeaderValue};
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;

use super::body::Body;
use super::client::Client;
use super::forward::{Arrival, Forward};
use super::headers::{new_request_id, request_id};
use super::negotiate::Form;
use super::record::Record;
use super::refusal::Refusal;
use super::reply::{About, Reply};
use super::settings::{Plan, RouteSettings};
use crate::access_log::Log;
use crate::admission::{Error, Limiter, Limits, Reason, Spool};
use crate::route::{Conflict, Table};
use crate::upstream::Upstream;

/// What the workers share: the routes with their limits, and the upstreams with their connections.
#[derive(Debug)]
pub struct Shared {
    log: Option<Log>,
    routes: Table<Arc<Route>>,
    all_routes: Vec<Arc<Route>>,
    limiters: Vec<Limiter>,
    upstreams: Vec<Arc<Upstream<Spool<Incoming>>>>,
}

/// A route with its limit and its way upstream.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) settings: RouteSettings,
    /// `None` for `limit = "none"`.
    pub(super) limits: Option<Limits>,
    pub(super) upstream: Arc<Upstream<Spool<Incoming>>>,
    /// The upstream's own `host:port`.
    pub(super) authority: HeaderValue,
    pub(super) names: Names,
    /// Rejections by its limits, by reason.
    rejected: [AtomicU64; Reason::ALL.len()],
}

/// What the access log calls it, and what belongs to it.
#[derive(Debug)]
pub(super) struct Names {
    route: Arc<str>,
    upstream: Arc<str>,
    pub(super) limit: Option<Arc<str>>,
    pub(super) endpoint: Arc<str>,
}

/// One worker's way through [`Shared`].
#[derive(Debug, Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    worker: usize,
}

/// Unread bodies up to this size are read and dropped after an answer of our own; larger ones cost the connection.
const DROPPABLE: u64 = 64 << 10;

impl Shared {
    /// Makes the routes, limits and upstreams of `plan`, for `workers` workers. What becomes of requests goes to `log`.
    ///
    /// # Errors
    /// The pairs of routes that one request could match equally well.
    ///
    /// # Panics
    /// When an index of a route is not one of the plan.
    pub fn try_new(plan: Plan, workers: usize, log: Option<Log>) -> Result<Self, Vec<Conflict>> {
        let upstreams: Vec<_> =
            plan.upstreams.into_iter().map(|settings| Arc::new(Upstream::new(settings, workers))).collect();
        let limiters: Vec<_> = plan.limits.into_iter().map(Limiter::new).collect();
        let routes: Vec<_> =
            plan.routes.into_iter().map(|settings| Arc::new(Route::new(settings, &limiters, &upstreams))).collect();
        let table = routes.iter().map(|route| (route.settings.conditions.clone(), route.clone())).collect();
        Ok(Shared { log, routes: Table::try_new(table)?, all_routes: routes, limiters, upstreams })
    }

    /// All limits, in the order of the plan.
    pub fn limiters(&self) -> &[Limiter] {
        &self.limiters
    }

    /// All routes, in the order of the plan: their settings, and how many requests their limits have rejected.
    pub fn routes(&self) -> impl Iterator<Item = (&RouteSettings, [(Reason, u64); Reason::ALL.len()])> {
        self.all_routes.iter().map(|route| {
            let rejected = Reason::ALL.map(|reason| (reason, route.rejected[reason as usize].load(Relaxed)));
            (&route.settings, rejected)
        })
    }

    /// Ends every wait with the reason `draining`. Returns how many there were.
    pub fn close_limits(&self) -> u32 {
        self.limiters.iter().map(Limiter::close).sum()
    }
}

impl Route {
    fn new(settings: RouteSettings, limiters: &[Limiter], upstreams: &[Arc<Upstream<Spool<Incoming>>>]) -> Self {
        let upstream = upstreams[settings.upstream].clone();
        let endpoint = &upstream.settings().endpoint;
        let authority = if endpoint.port == 80 && !endpoint.host.contains(':') {
            endpoint.host.clone()
        } else {
            endpoint.to_string()
        };
        let authority = HeaderValue::try_from(authority).expect("a checked host is a valid field value");
        let limits = Limits::new(settings.limits.iter().map(|limit| limiters[*limit].clone()).collect());
        let names = Names {
            route: settings.name.as_str().into(),
            upstream: upstream.settings().name.as_str().into(),
            limit: limits.as_ref().map(|limits| limits.name().into()),
            endpoint: upstream.settings().endpoint.to_string().into(),
        };
        Route { settings, limits, upstream, authority, names, rejected: Default::default() }
    }
}

impl Proxy {
    /// The way of one worker.
    pub fn new(shared: Arc<Shared>, worker: usize) -> Self {
        Proxy { shared, worker }
    }

    /// Answers a request. Never fails, and a panic on the way becomes a 500.
    ///
    /// # Cancel safety
    /// Dropping it means that the client has left: it leaves the queue, or abandons the exchange.
    pub async fn handle(&self, client: &Arc<Client>, request: Request<Incoming>) -> Response<Body> {
        let request_id = request_id(request.headers());
        let arrival = Arrival {
            client: client.clone(),
            record: Record::begin(&self.shared.log, &request, client, &request_id),
            request_id: request_id.clone(),
            accept: request.headers().get(ACCEPT).cloned(),
            arrived: SystemTime::now(),
            large: request.body().size_hint().lower() > DROPPABLE,
        };
        let (accept, record) = (arrival.accept.clone(), arrival.record.clone());
        let mut passing = pin!(self.pass(request, arrival));
        let passed = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| passing.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        });
        match passed.await {
            Ok(response) => response,
            Err(_) => {
                // The panic's own message has gone to standard error.
                tracing::error!(?request_id, "a request failed in the proxy");
                let form = Form::wanted(accept.as_ref());
                let about =
                    About { route: None, limit: None, request_id: &request_id, form, close: true, record: &record };
                Reply::internal().into_response(&about)
            }
        }
    }

    /// Answers what the server refused before there was a request to handle.
    pub fn refuse(&self, client: &Client, refusal: Refusal) -> Response<Body> {
        let request_id = &new_request_id();
        let record = &Record::of_refused(&self.shared.log, client, request_id);
        let about = About { route: None, limit: None, request_id, form: Form::ProblemJson, close: true, record };
        Reply::refused(refusal).into_response(&about)
    }

    /// Closes this worker's idle connections whose time is over. To be called now and then.
    pub fn prune(&self) {
        self.shared.upstreams.iter().for_each(|upstream| upstream.prune(self.worker));
    }

    async fn pass(&self, request: Request<Incoming>, arrival: Arrival) -> Response<Body> {
        let Some(route) = self.route(&request) else {
            return Reply::no_route().into_response(&arrival.about(None));
        };
        arrival.record.routed(&route.names.route, &route.names.upstream);
        let forward = Forward { route: route.clone(), worker: self.worker, arrival };
        let Some(limits) = &route.limits else {
            let Ok(response) = forward.forward(request.map(Spool::new), None).await;
            return response;
        };
        let arrival = forward.arrival.clone();
        let mut about = arrival.about(Some(route));
        let reply = match limits.admit(request, forward).await {
            Ok(response) => return response,
            Err(Error::Rejected(rejection)) => {
                route.rejected[rejection.reason as usize].fetch_add(1, Relaxed);
                let limit = limits.limiters()[rejection.limit].settings();
                about.limit = Some(&limit.name);
                about.record.rejected_by(&limit.name);
                Reply::rejected(&rejection, limit)
            }
            Err(Error::Body(error)) => {
                about.close = true;
                Reply::body_failed(&error)
            }
            Err(Error::Inner(never)) => match never {},
        };
        reply.into_response(&about)
    }

    fn route(&self, request: &Request<Incoming>) -> Option<&Arc<Route>> {
        let uri = request.uri();
        let host = match uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok()),
        };
        self.shared.routes.find(request.method(), host, uri.path(), request.headers())
    }
}
