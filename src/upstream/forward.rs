//! Sending a request and waiting for the head of its response.

use std::future::poll_fn;
use std::io;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use http::header::{HOST, HeaderValue, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Method, Response, StatusCode, Uri};
use http_body::Body;

use super::again::Again;
use super::await_head::{AwaitHead, HeadFailed, Unanswered};
use super::connection::Connection;
use super::endpoint::{EndpointStatus, Seat};
use super::error::{BoxError, Failure};
use super::exchange::{Ending, Exchange};
use super::http1::{self, UpgradedIo};
use super::http2::{self, Lease, NoLease, Pump};
use super::kept::Kept;
use super::members::Members;
use super::ready::{Ready, Wanted};
use super::response_body::ResponseBody;
use super::settings::{HostHeader, Protocol, Settings};
use super::source::{Shared, Source};
use super::upload::Progress;

/// An upstream and its endpoints.
#[derive(Debug)]
pub struct Upstream {
    pub(super) settings: Settings,
    pub(super) members: Arc<Members>,
    pub(super) kept: Kept,
    /// Those whose place it takes, until it is in force.
    replaced: Mutex<Option<Arc<Members>>>,
    workers: usize,
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// From which worker.
    pub worker: usize,
    /// How it ends when nobody waits for it any more.
    pub ending: Ending,
    /// Whether what is held stands for one of the upstream's [slots](Upstream::slots).
    pub slot: bool,
}

/// What is told of a request on its way.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// It goes to this endpoint.
    To(&'a Arc<str>),
    /// It waits for room for a connection.
    Waits,
    /// It has room, or has waited in vain.
    Goes,
    /// No connection to this endpoint could be made.
    Unreached(&'a Arc<str>, &'a io::Error),
    /// There is a connection for it, which was not there before.
    Connected,
}

pub(super) type Told<'a> = dyn FnMut(Step<'_>) + Send + 'a;

/// A request that is on its way.
type Sent<B> = (Connection<B>, Option<Arc<Progress>>);

/// What came of a request.
#[derive(Debug)]
pub enum Answer<B: Send + 'static, H: Send + 'static> {
    /// A response.
    Response(Response<ResponseBody<B, H>>),
    /// Another protocol, where the request asked for one.
    Upgraded(Upgraded<H>),
}

/// A connection that has become something else.
#[derive(Debug)]
pub struct Upgraded<H> {
    /// The 101.
    pub head: Response<()>,
    /// The connection.
    pub io: UpgradedIo,
    /// The seat at the endpoint, to be dropped before what is held.
    pub seat: Seat,
    /// What was handed over with the request. Holding it is up to whoever uses the connection.
    pub held: H,
}

impl Upstream {
    /// An upstream without connections, for `workers` workers.
    pub fn new(settings: Settings, workers: usize) -> Self {
        let (members, kept) = (Arc::new(Members::new()), Kept::new(workers));
        let upstream = Upstream { settings, members, kept, replaced: Mutex::default(), workers };
        upstream.put_in_force();
        upstream
    }

    /// The same upstream with other settings, once they are [in force](Upstream::put_in_force). Its endpoints are one list
    /// for both, so that what is under way counts for both, unless they do not even speak the same protocol.
    pub fn with(&self, mut settings: Settings) -> Self {
        if settings.protocol != self.settings.protocol {
            let (members, kept) = (Arc::new(Members::new()), self.kept.clone());
            let replaced = Mutex::new(Some(self.members.clone()));
            let upstream = Upstream { settings, members, kept, replaced, workers: self.workers };
            upstream.members.drain_as(&self.members);
            return upstream;
        }
        if settings.tls == self.settings.tls {
            // The connections go on, and their files are looked after where the settings in force have them.
            settings.tls = self.settings.tls.clone();
        }
        let (members, kept) = (self.members.clone(), self.kept.clone());
        Upstream { settings, members, kept, replaced: Mutex::default(), workers: self.workers }
    }

    /// Makes the endpoints of its settings the ones that requests go to, those included that came before.
    pub fn put_in_force(&self) {
        self.members.put(&self.settings, self.workers);
        let replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner).take();
        replaced.iter().for_each(|members| members.retire());
    }

    /// How many requests may have a slot, at least one: the slots of the endpoints that get requests, and what still runs
    /// at the others.
    pub fn slots(&self) -> NonZeroU32 {
        NonZeroU32::new(self.members.slots()).unwrap_or(NonZeroU32::MIN)
    }

    /// Tells [how many](Upstream::slots) there are, now and whenever that changes, in place of whoever was told before.
    /// Nobody may send anything in `tell`.
    pub fn tell_slots(&self, tell: Box<dyn Fn(NonZeroU32) + Send + Sync>) {
        self.members.tell_slots(tell);
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Closes connections of this worker that have idled for too long. To be called now and then.
    pub fn prune(&self, worker: usize) {
        self.members.prune(worker);
    }

    /// Its endpoints, and how they are.
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.members.status()
    }

    /// Sends a request, and holds `held` until the exchange has ended. `told` hears which endpoint it goes to,
    /// each time that it is sent, whether it had to wait for room, and whether it took a new connection or found none.
    ///
    /// Its head is sent as it is, its fields ready for the upstream: its target in origin form, or with `h2c` in
    /// absolute form. With TLS it is a request of HTTP/1.1 whose `Host` a URL can have, and becomes one of HTTP/2 where the
    /// upstream has chosen that.
    ///
    /// # Errors
    /// A [`Failure`] when there is no response to pass on.
    ///
    /// # Cancel safety
    /// Dropped before the request was sent, it drops `held`. Dropped after that, the exchange is abandoned: it ends as
    /// `ending` says, and `held` is dropped then.
    pub async fn send<B, H>(
        &self,
        how: How,
        mut head: Box<Parts>,
        body: B,
        mut held: H,
        mut told: impl FnMut(Step<'_>) + Send,
    ) -> Result<Answer<B, H>, Failure>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
        H: Send + Unpin + 'static,
    {
        let How { worker, ending, slot } = how;
        let idempotent = head.method.is_idempotent();
        let mut body = (!body.is_end_stream()).then(|| Source::new(body));
        let bodiless = body.is_none();
        let mut again = Again::new(self.settings.retries);
        self.kept.budget.earn(worker);
        loop {
            // HTTP/2 has no upgrades.
            let upgrades = head.headers.contains_key(UPGRADE);
            let seat = self.members.seat(self.settings.balance, &again.tried, slot).ok_or(Failure::NoEndpoint)?;
            told(Step::To(seat.endpoint()));
            let ready = match seat
                .ready(
                    Wanted {
                        settings: &self.settings,
                        room: &self.kept.room,
                        worker,
                        idempotent,
                        upgrades,
                        fresh: again.fresh,
                    },
                    &mut told,
                )
                .await
            {
                Ok(ready) => ready,
                // Nothing was sent, and another endpoint may be reached.
                Err(NoLease { failure, news }) => {
                    if news {
                        seat.failed(self.settings.eject);
                    }
                    match &failure {
                        Failure::NoRoom => return Err(failure),
                        Failure::Connect(error) => told(Step::Unreached(seat.endpoint(), error)),
                        _ => {}
                    }
                    again.tried.push(seat.member().clone());
                    if !again.may_detour() || !self.members.has_untried(&again.tried) {
                        return Err(failure);
                    }
                    again.count(true);
                    self.kept.budget.sent_again();
                    continue;
                }
            };
            let reused = ready.reused();
            if !reused {
                told(Step::Connected);
            }
            // What may be done about what comes of it:
            //
            // | what came of it | sent again                                                                     |
            // |-----------------|--------------------------------------------------------------------------------|
            // | Unprocessed     | whatever the method (HTTP/1.1: if the connection was there before)             |
            // | Closed          | if it is idempotent and bodiless, and the connection was there before          |
            // | Ended           | never: the upstream may be working on it, or has had its say                   |
            // | Abandoned       | never: the exchange goes on without us, and has the permit                     |
            //
            // All of that at most `retries` times, within the budget, and with the one permit. A connection that ended
            // before the upstream had looked at the request is no word on the request and no work for the upstream: it
            // costs no retry until there have been many, and nothing of the budget.
            let retry = again.retries < again.most && ready.may_turn_away();
            let resend = retry && reused && idempotent && bodiless;
            let spare = (retry && ready.takes_the_head()).then(|| head.clone());
            let member = (retry && self.members.are_several()).then(|| seat.member().clone());
            let failed = match self.exchange((seat, ready), head, body, ending, held, again.times()).await {
                Ok(answer) => return Ok(answer),
                Err(HeadFailed::Abandoned(failure)) => return Err(failure),
                Err(HeadFailed::Unanswered(unanswered, again)) => {
                    held = again;
                    *unanswered
                }
            };
            let detour = matches!(failed, Unanswered::Unprocessed { refused: false, .. });
            let costs = match &failed {
                Unanswered::Unprocessed { refused, .. } => retry && *refused,
                Unanswered::Closed { .. } => resend,
                Unanswered::Ended(_) => false,
            };
            let unaffordable = costs && !self.kept.budget.spend();
            let (retry, resend) = (retry && !unaffordable, resend && !unaffordable);
            (head, body) = match (failed, spare.filter(|_| retry)) {
                (Unanswered::Unprocessed { parts: Some(unsent), body, .. }, _) if retry => (unsent, body),
                (Unanswered::Unprocessed { parts: None, body, .. }, Some(spare)) => (spare, body),
                (Unanswered::Closed { parts: Some(sent), .. }, _) if resend => (sent, None),
                (Unanswered::Closed { parts: None, .. }, Some(spare)) if resend => (spare, None),
                (
                    Unanswered::Unprocessed { failure, .. }
                    | Unanswered::Closed { failure, .. }
                    | Unanswered::Ended(failure),
                    _,
                ) => return Err(failure),
            };
            again.tried.extend(member);
            again.fresh |= reused;
            again.count(detour);
            self.kept.budget.sent_again();
        }
    }

    /// One attempt, on one connection.
    async fn exchange<B, H>(
        &self,
        (seat, ready): (Seat, Ready),
        mut head: Box<Parts>,
        body: Option<Source<B>>,
        ending: Ending,
        held: H,
        retried: u32,
    ) -> Result<Answer<B, H>, HeadFailed<B, H>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
        H: Send + Unpin + 'static,
    {
        if self.settings.host == HostHeader::Upstream && self.settings.endpoints.len() > 1 {
            name_host(&mut head, &seat.member().authority);
        }
        let upgrade = head.headers.contains_key(UPGRADE);
        let head_only = head.method == Method::HEAD;
        let (connection, upload) = match ready {
            Ready::Http1(connection) => {
                let (exchange, upload) = http1::Exchange::new(connection, head, body);
                (Connection::Http1(exchange), upload)
            }
            Ready::Http2(lease) => match Box::pin(self.begin_stream(lease, *head, body)).await {
                Ok(sent) => sent,
                Err(unsent) => return Err(HeadFailed::Unanswered(Box::new(unsent), held)),
            },
        };
        let faults = self.kept.faults.clone();
        let exchange = Exchange { connection, upload, ending, upgrade, faults, seat, held };
        let (response, mut exchange) =
            AwaitHead::new(exchange, self.settings.response_timeout, self.settings.eject).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Exchange { connection, seat, held, .. } = exchange;
            let Some(io) = connection.into_upgraded() else {
                return Err(HeadFailed::Abandoned(Failure::Protocol(None)));
            };
            return Ok(Answer::Upgraded(Upgraded { head: response, io, seat, held }));
        }
        if let Connection::Http1(exchange) = &mut exchange.connection
            && !exchange.reused()
            && self.settings.idle_timeout.is_none()
        {
            exchange.connection().learn_idle_timeout(response.headers());
        }
        if let Some(most) = self.settings.respect_retry_after {
            exchange.seat.heed(most, response.status(), response.headers());
        }
        let idle_timeout = self.settings.read_idle_timeout;
        // RFC 9110 §6.4.1. Over HTTP/2 the end of such an answer may come in a frame of its own.
        let bodiless = head_only || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(Answer::Response(response.map(|()| {
            if bodiless {
                ResponseBody::none(exchange, retried)
            } else {
                ResponseBody::new(exchange, idle_timeout, retried)
            }
        })))
    }

    /// Opens a stream, and sends what there is of the body at once; a task sends the rest.
    async fn begin_stream<B>(
        &self,
        lease: Lease,
        mut parts: Parts,
        body: Option<Source<B>>,
    ) -> Result<Sent<B>, Unanswered<B>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        if self.settings.protocol == Protocol::Tls {
            parts = match http2::from_http1(parts, &Scheme::HTTPS) {
                Ok(parts) => parts,
                Err(failure) => return Err(Unanswered::Ended(failure)),
            };
        }
        begin_stream(lease, parts, body).await
    }
}

/// Opens a stream, and sends what there is of the body at once; a task sends the rest.
async fn begin_stream<B>(lease: Lease, parts: Parts, body: Option<Source<B>>) -> Result<Sent<B>, Unanswered<B>>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let begun = match http2::begin(lease, parts, body.is_none()) {
        Ok(begun) => begun,
        Err(failure) => return Err(Unanswered::Unprocessed { parts: None, body, failure, refused: false }),
    };
    let mut progress = None;
    let source = body.map(Shared::new);
    if let Some(source) = &source {
        let upload = Arc::<Progress>::default();
        let mut pump = Pump::new(source.clone(), &begun.stream, upload.clone());
        progress = Some(upload);
        if poll_fn(|cx| Poll::Ready(Pin::new(&mut pump).poll(cx))).await.is_pending() {
            tokio::spawn(pump);
        }
    }
    let head = begun.response.head(source);
    Ok((Connection::Http2(http2::Exchange::new(begun.stream, head)), progress))
}

/// Has the upstream see its endpoint's own name for its host.
fn name_host(parts: &mut Parts, authority: &HeaderValue) {
    if parts.uri.authority().is_none() {
        parts.headers.insert(HOST, authority.clone());
        return;
    }
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.authority = Some(Authority::try_from(authority.as_bytes()).expect("a host and port"));
    parts.uri = Uri::from_parts(uri).expect("one authority is as good as another");
}
