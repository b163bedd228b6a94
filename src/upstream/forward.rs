//! Sending a request and waiting for the head of its response.

use std::io;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::UPGRADE;
use http::request::Parts;
use http::{Method, Response};
use http_body::Body;

use super::again::Again;
use super::attempt::Outgoing;
use super::await_head::{HeadFailed, Unanswered};
use super::endpoint::{EndpointStatus, Seat};
use super::error::{BoxError, Failure};
use super::exchange::Ending;
use super::http1::UpgradedIo;
use super::http2::NoLease;
use super::kept::Kept;
use super::members::Members;
use super::ready::{Ready, Wanted};
use super::response_body::ResponseBody;
use super::settings::Settings;
use super::source::Source;
use crate::clock;

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
    /// Whether the answer may be held on to for longer than the exchange takes, as HTTP/2 does until it writes, and with
    /// fields that may come again for longer. It then keeps nothing of the connection's that is small.
    pub detached: bool,
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

/// What came of a request.
#[derive(Debug)]
pub enum Answer<B: Send + 'static, H: Send + 'static> {
    /// A response.
    Response(Response<ResponseBody<B, H>>),
    /// Another protocol, where the request asked for one. Boxed: it is rare, and the larger one.
    Upgraded(Box<Upgraded<H>>),
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
    /// A `body` that has ended already is none.
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
        body: Option<B>,
        mut held: H,
        mut told: impl FnMut(Step<'_>) + Send,
    ) -> Result<Answer<B, H>, Failure>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
        H: Send + Unpin + 'static,
    {
        let How { worker, ending, slot, detached } = how;
        let idempotent = head.method.is_idempotent();
        let mut body = body.filter(|body| !body.is_end_stream()).map(Source::new);
        let bodiless = body.is_none();
        let mut again = Again::new(self.settings.retries);
        self.kept.budget.earn(worker);
        loop {
            // HTTP/2 has no upgrades.
            let upgrades = head.headers.contains_key(UPGRADE);
            let seat = self.members.seat(self.settings.balance, &again.tried, slot).ok_or(Failure::NoEndpoint)?;
            told(Step::To(seat.endpoint()));
            let wanted = Wanted {
                settings: &self.settings,
                room: &self.kept.room,
                worker,
                idempotent,
                upgrades,
                fresh: again.fresh,
            };
            // One look at the clock is for all where nothing has to be waited for.
            let mut now = clock::now();
            let ready = match seat.idle(&wanted, now) {
                Some(connection) => Ok(Ready::Http1(connection)),
                // Boxed, as is all that is seldom needed: the future of every request has room for it.
                None => {
                    let ready = Box::pin(seat.ready(wanted, &mut told)).await;
                    now = clock::now();
                    ready
                }
            };
            let ready = match ready {
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
            let head_only = head.method == Method::HEAD;
            let outgoing = Outgoing { head, body, upgrade: upgrades, ending, detached };
            let begun = match ready {
                Ready::Http1(connection) => Ok(self.begin((seat, connection), now, outgoing, held)),
                Ready::Http2(lease) => Box::pin(self.begin_stream((seat, lease), outgoing, held)).await,
            };
            let begun = match begun {
                Ok(sent) => sent.await,
                Err(unsent) => Err(unsent),
            };
            let failed = match begun.and_then(|begun| self.answer(begun, head_only, again.times())) {
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
}
