//! What is noted of a request: for the access log, and for those who look on.

mod waiting;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::SystemTime;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body::Body as _;
use tokio::time::Instant;

use self::waiting::waited_in;
use super::census::{Census, Field};
use super::client::Client;
use super::recent::Asked;
use super::registry::{Live, Phase};
use super::reply::Reply;
use super::request_body::{RequestBody, is_client_gone};
use super::shared::{Route, Shared};
use crate::access_log::{Entry, Left, Log, Open, Outcome, Readers, Traced};
use crate::admission::{Claim, Permit, Waited};
use crate::clock;
use crate::telemetry::{TRACEPARENT, TRACESTATE};
use crate::upstream::Failure;

/// What is known of a request, held wherever something may happen to it; its line is written when the last holder lets
/// go. It says at every moment what would be true if the client left then. Empty, and free, where nobody wants to know.
#[derive(Debug, Clone, Default)]
pub(super) struct Record(Option<Arc<Noted>>);

#[derive(Debug)]
struct Noted {
    /// Its line of the access log, and what becomes its spans.
    ///
    /// Boxed: most of what is noted is large, and where there is no log and no trace, nobody makes room for it.
    open: Option<Box<Mutex<Open>>>,
    /// Whether it is traced.
    traced: bool,
    /// Its place among those that are under way.
    live: Arc<Live>,
}

impl Drop for Noted {
    fn drop(&mut self) {
        // If its exchange goes on, that holds it as well.
        let end = self.live.ended(clock::now());
        if let Some(open) = &mut self.open {
            let entry = &mut open.get_mut().unwrap_or_else(PoisonError::into_inner).entry;
            entry.end = Some(end);
            entry.released = self.live.released_after();
            entry.endpoint = self.live.endpoint();
        }
    }
}

/// What is known at once of a request that has arrived, beside what it says.
#[derive(Debug)]
pub(super) struct Beginning<'a> {
    /// Who serves it.
    pub(super) worker: usize,
    pub(super) client: &'a Client,
    pub(super) id: &'a HeaderValue,
    pub(super) host: Option<&'a HeaderValue>,
    pub(super) route: Option<&'a Arc<Route>>,
    /// Which fields it has.
    pub(super) census: Census,
    pub(super) arrived: SystemTime,
    /// The same, to measure from.
    pub(super) start: Instant,
}

impl Record {
    /// What nobody wants to know.
    pub(super) const UNKEPT: Record = Record(None);

    /// Begins the record of a request.
    pub(super) fn begin<B>(
        in_force: &Shared,
        request: &Request<B>,
        Beginning { worker, client, id, host, route, census, arrived, start }: Beginning<'_>,
    ) -> Self {
        let headers = request.headers();
        let Readers { log, tracer } = &in_force.readers;
        let log = log.as_ref().filter(|_| !route.is_some_and(|route| route.settings.handling.unlogged));
        let tracer = tracer.as_ref().and_then(|tracer| Some((tracer, tracer.begin(headers)?)));
        let is_read = log.is_some() || tracer.is_some();
        let registry = in_force.registry();
        if !is_read && !registry.is_open() {
            return Record::UNKEPT;
        }
        let live = registry.enter(worker, id, route, start);
        if !is_read {
            return Record(Some(Arc::new(Noted { open: None, traced: false, live })));
        }
        let (address, id) = (client.address_of(headers), id.clone());
        let traces = tracer.as_ref().map(|(tracer, _)| (*tracer).clone());
        let to = log.cloned();
        let mut open = boxed(|| Open::new(Entry::new(address, id, arrived, start), worker, to, traces));
        let begun = open.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (traced, entry) = (begun.is_traced(), &mut begun.entry);
        entry.traceparent = census.has(Field::TraceParent).then(|| headers.get(TRACEPARENT).cloned()).flatten();
        entry.method = Some(request.method().clone());
        entry.host = host.cloned();
        entry.target = Some(request.uri().clone());
        entry.version = request.version();
        entry.names = route.map(|route| route.names.logged.clone());
        for name in log.into_iter().flat_map(Log::headers) {
            entry.headers.extend(headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
        }
        entry.traced = tracer.map(|(_, trace)| {
            Box::new(Traced {
                trace,
                state: trace.parent.and_then(|_| headers.get(TRACESTATE).cloned()),
                scheme: client.scheme,
                user_agent: headers.get(USER_AGENT).cloned(),
                waited: None,
                sent: None,
                target: None,
            })
        });
        Record(Some(Arc::new(Noted { open: Some(open), traced, live })))
    }

    /// The record of what was refused before it was a request.
    pub(super) fn of_refused(in_force: &Shared, worker: usize, client: &Client, id: &HeaderValue) -> Self {
        let (log, registry, start) = (&in_force.readers.log, in_force.registry(), clock::now());
        if log.is_none() && !registry.is_open() {
            return Record::UNKEPT;
        }
        let entry = || Entry::new(client.peer(), id.clone(), clock::of_day(start), start);
        let open = log.as_ref().map(|log| boxed(|| Open::new(entry(), worker, Some(log.clone()), None)));
        Record(Some(Arc::new(Noted { open, traced: false, live: registry.enter(worker, id, None, start) })))
    }

    /// Whether anybody wants to know.
    pub(super) fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Its place among those that are under way, if they are kept.
    pub(super) fn live(&self) -> Option<&Arc<Live>> {
        Some(&self.0.as_ref()?.live)
    }

    /// Resolves once an operator has ended it.
    pub(super) fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.live().map_or(Poll::Pending, |live| live.poll_cancelled(cx))
    }

    fn open(&self) -> Option<MutexGuard<'_, Open>> {
        Some(self.0.as_ref()?.open.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what becomes of it, as far as that is seen by now.
    fn ends(&self, outcome: Outcome) {
        if let Some(live) = self.live() {
            live.ends(outcome);
        }
    }

    fn has_status(&self, status: u16) {
        if let Some(live) = self.live() {
            live.has_status(status);
        }
    }

    /// Notes how far it has come.
    fn is_in(&self, phase: Phase) {
        if let Some(live) = self.live() {
            live.is_in(phase);
        }
    }

    fn note(&self, note: impl FnOnce(&mut Entry)) {
        if let Some(mut open) = self.open() {
            note(&mut open.entry);
        }
    }

    /// Tells the upstream which span it is called from, if the request is traced, and notes what it is sent. What is not
    /// traced goes on as it came.
    pub(super) fn tells_of_its_trace(&self, headers: &mut HeaderMap, scheme: &'static str, target: &Uri) {
        if !self.0.as_ref().is_some_and(|noted| noted.traced) {
            return;
        }
        self.note_traced(|traced| {
            headers.insert(TRACEPARENT, traced.trace.traceparent());
            if traced.trace.parent.is_none() {
                // What it says is of a trace that nobody could make out.
                headers.remove(TRACESTATE);
            }
            traced.target = Some((scheme, target.clone()));
        });
    }

    fn note_traced(&self, note: impl FnOnce(&mut Traced)) {
        self.note(|entry| {
            if let Some(traced) = entry.traced.as_deref_mut() {
                note(traced);
            }
        });
    }

    /// Who asked for what, if anybody wants to know.
    pub(super) fn asked(&self) -> Option<Asked> {
        let Entry { client_ip, method, target, .. } = &self.open()?.entry;
        Some(Asked { client_ip: *client_ip, method: method.clone(), target: target.clone() })
    }

    /// It is upgraded: its connection becomes something else.
    pub(super) fn upgraded(&self, status: u16) {
        self.headed(status, false, 0);
        self.is_in(Phase::Upgraded);
    }

    /// Returns when that is, if anybody wants to know.
    pub(super) fn admitted(&self, permit: Option<&Permit>, limit: Option<usize>) -> Option<Instant> {
        let (live, now) = (self.live()?, clock::now());
        let after = live.admitted(now);
        self.note(|entry| {
            entry.left = Some(Left::Upstream);
            entry.admitted = Some(after);
            entry.limit = limit;
            entry.in_flight = permit.map(Permit::in_flight);
            if let Some(waited) = permit.and_then(Permit::waited) {
                waited_in(entry, waited);
            }
        });
        Some(now)
    }

    /// What it asks of its limits.
    pub(super) fn claims(&self, claim: &Claim) {
        if let Some(live) = self.live() {
            live.claims(claim.seats.max(1));
        }
        self.note(|entry| (entry.priority, entry.cost) = (Some(claim.level.as_str()), Some(claim.seats)));
    }

    /// Its body is counted, if it has one and there is a line for it.
    pub(super) fn counts(&self, body: &mut RequestBody) {
        if !body.is_end_stream() {
            self.note(|entry| entry.request_bytes = Some(body.count()));
        }
    }

    /// The connection that it goes on was not there before.
    pub(super) fn connected(&self) {
        self.note(|entry| {
            let since = entry.dialled.or(entry.admitted);
            entry.connected_in = since.map(|since| entry.start.elapsed().saturating_sub(since));
        });
    }

    /// Where it was sent to last.
    pub(super) fn endpoint(&self) -> Option<Arc<str>> {
        self.live()?.endpoint()
    }

    /// It goes to this endpoint.
    pub(super) fn sent_to(&self, endpoint: &Arc<str>) {
        let Some(noted) = &self.0 else { return };
        // The first time is that of the admission.
        if noted.live.sent_to(endpoint) {
            self.note(|entry| entry.dialled = Some(entry.age()));
        } else if noted.traced {
            self.note(|entry| {
                let age = entry.age();
                entry.traced.iter_mut().for_each(|traced| traced.sent = Some(age));
            });
        }
    }

    /// Its client has a head, whatever becomes of the request.
    pub(super) fn begun(&self, status: u16) {
        if let Some(live) = self.live() {
            live.begun(status);
        }
        self.note(|entry| (entry.status, entry.begun) = (status, true));
    }

    /// The upstream's head has come; its body is on its way. Returns when that is, if anybody wants to know.
    pub(super) fn headed(&self, status: u16, reused: bool, retries: u32) -> Option<Instant> {
        let (live, now) = (self.live()?, clock::now());
        let after = live.headed(status, now);
        self.note(|entry| {
            entry.headed = Some(after);
            entry.set_status(status);
            entry.left = Some(Left::Response);
            entry.reused = Some(reused);
            entry.retries = retries;
        });
        Some(now)
    }

    /// It was a question to us, and got its answer.
    pub(super) fn answered(&self, status: u16) {
        self.has_status(status);
        self.ends(Outcome::Completed);
        self.note(|entry| {
            (entry.status, entry.reason, entry.outcome, entry.left) = (status, None, Outcome::Completed, None);
        });
    }

    /// An answer of ours ends it.
    pub(super) fn replied(&self, status: u16, reason: &'static str, outcome: Outcome, waited: Option<Waited>) {
        self.has_status(status);
        self.ends(outcome);
        self.note(|entry| {
            entry.set_status(status);
            (entry.reason, entry.outcome, entry.left) = (Some(reason), outcome, None);
            if let Some(waited) = waited {
                waited_in(entry, waited);
            }
        });
    }

    pub(super) fn rejected_by(&self, limit: usize) {
        self.note(|entry| entry.limit = Some(limit));
    }

    /// The last frame of the answer has been taken.
    pub(super) fn completed(&self, bytes: u64) {
        if let Some(live) = self.live() {
            live.completed();
        }
        self.note(|entry| {
            entry.response_bytes = bytes;
            if entry.left == Some(Left::Response) {
                (entry.outcome, entry.reason, entry.left) = (Outcome::Completed, None, None);
            }
        });
    }

    /// The answer broke off.
    pub(super) fn broken(&self, bytes: u64, failure: &Failure) {
        if is_client_gone(failure) {
            return self.left(bytes);
        }
        self.ends(Outcome::Failed);
        self.note(|entry| {
            entry.response_bytes = bytes;
            entry.outcome = Outcome::Failed;
            entry.left = None;
            entry.reason = Some(match failure {
                Failure::Timeout => "upstream_stalled",
                Failure::Overdue => "upstream_timeout",
                Failure::Outlived => "max_duration",
                Failure::Cancelled => "cancelled",
                Failure::RequestBody(error) => Reply::body_failed(error.as_ref()).reason,
                _ => "upstream_cut",
            });
        });
    }

    /// Nobody takes the rest of the answer.
    pub(super) fn left(&self, bytes: u64) {
        self.note(|entry| entry.response_bytes = bytes);
    }
}

/// The box comes first, so that what is large is made in it.
#[inline(always)]
fn boxed(open: impl FnOnce() -> Open) -> Box<Mutex<Open>> {
    Box::write(Box::new_uninit(), Mutex::new(open()))
}
