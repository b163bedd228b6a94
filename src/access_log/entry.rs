//! What is known of a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Method, Uri, Version};
use tokio::time::Instant;

use super::readers::Tracer;
use super::writer::Log;
use crate::clock;
use crate::telemetry::Trace;

/// A request, from its arrival on.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it arrived.
    pub arrived: SystemTime,
    /// The same, to measure from: all other times are told as how long after this they were.
    pub start: Instant,
    /// When it ended.
    pub end: Option<Duration>,
    /// Its id, the client's or ours.
    pub request_id: HeaderValue,
    /// Its `traceparent`.
    pub traceparent: Option<HeaderValue>,
    /// What else is known of it if it is traced.
    pub traced: Option<Box<Traced>>,
    /// Who sent it.
    pub client_ip: IpAddr,
    /// Its method; `None` for what was no request, as with the target.
    pub method: Option<Method>,
    /// The host that it asked for.
    pub host: Option<HeaderValue>,
    /// Its target; of this, only the path is written.
    pub target: Option<Uri>,
    /// The protocol that it came in.
    pub version: Version,
    /// The status of the answer; 499 for a client that left before there was one.
    pub status: u16,
    /// Whether the client has the status already, so that none that comes later is its own.
    pub begun: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// The reason, for what did not go well.
    pub reason: Option<&'static str>,
    /// Its route, and what belongs to that.
    pub names: Option<Arc<Names>>,
    /// Which of its route's limits has admitted or rejected it, or where it waits.
    pub limit: Option<usize>,
    /// How long it waited.
    pub queued: Duration,
    /// How many were ahead when it joined the queue.
    pub ahead: Option<u32>,
    /// When it was admitted.
    pub admitted: Option<Duration>,
    /// In flight at its limit then, itself included.
    pub in_flight: Option<u32>,
    /// When its permits came back.
    pub released: Option<Duration>,
    /// How urgent it was.
    pub priority: Option<&'static str>,
    /// How many permits of each limit it took.
    pub cost: Option<u32>,
    /// When it was sent again.
    pub dialled: Option<Duration>,
    /// How long it took to get a connection that was not there before.
    pub connected_in: Option<Duration>,
    /// Fields of its head that were asked for.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Bytes of its body that have come. `None` for none.
    pub request_bytes: Option<Arc<AtomicU64>>,
    /// When the head of the upstream's answer came.
    pub headed: Option<Duration>,
    /// The address or name that it was sent to.
    pub endpoint: Option<Arc<str>>,
    /// Whether it went on a connection that was there before.
    pub reused: Option<bool>,
    /// How often it was sent again.
    pub retries: u32,
    /// Bytes of the answer's body that the client's connection has taken.
    pub response_bytes: u64,
    /// Where it was when its client left.
    pub left: Option<Left>,
}

impl Entry {
    /// An entry that says: the client left before anything happened.
    pub fn new(client_ip: IpAddr, request_id: HeaderValue, arrived: SystemTime, start: Instant) -> Self {
        Entry {
            arrived,
            start,
            end: None,
            request_id,
            traceparent: None,
            traced: None,
            client_ip,
            method: None,
            host: None,
            target: None,
            version: Version::HTTP_11,
            status: 499,
            begun: false,
            outcome: Outcome::ClientGone,
            reason: Some("client_closed"),
            names: None,
            limit: None,
            queued: Duration::ZERO,
            ahead: None,
            admitted: None,
            in_flight: None,
            released: None,
            priority: None,
            cost: None,
            dialled: None,
            connected_in: None,
            headers: Vec::new(),
            request_bytes: None,
            headed: None,
            endpoint: None,
            reused: None,
            retries: 0,
            response_bytes: 0,
            left: Some(Left::Queued),
        }
    }

    /// Its route's name.
    pub fn route(&self) -> Option<&str> {
        Some(&self.names.as_ref()?.route)
    }

    /// The name of its upstream.
    pub fn upstream(&self) -> Option<&str> {
        Some(&self.names.as_ref()?.upstream)
    }

    /// The name of the limit.
    pub fn limit(&self) -> Option<&str> {
        self.names.as_ref()?.limits.get(self.limit?).map(|name| &**name)
    }

    /// How long it waited. A client that leaves the queue has been told nothing of that: it waited for as long as it was there.
    pub fn waited(&self) -> Duration {
        match self.left {
            Some(Left::Queued) if self.priority.is_some() => self.took(),
            _ => self.queued,
        }
    }

    /// How long it took, up to its end.
    pub fn took(&self) -> Duration {
        self.end.unwrap_or_else(|| self.age())
    }

    /// How long ago it came.
    pub fn age(&self) -> Duration {
        clock::now().saturating_duration_since(self.start)
    }

    /// Who seems to have left was cut by us.
    fn was_cut(&mut self) {
        if self.left.take().is_some() {
            if !self.begun && self.headed.is_none() {
                self.status = DRAINING;
            }
            (self.outcome, self.reason) = (Outcome::Failed, Some("drain_cut"));
        }
    }

    /// Notes the status of its answer, unless its client has had another.
    pub fn set_status(&mut self, status: u16) {
        if !self.begun {
            self.status = status;
        }
    }
}

/// What a route is called, and what belongs to it.
#[derive(Debug)]
pub struct Names {
    /// The route.
    pub route: Arc<str>,
    /// Its upstream.
    pub upstream: Arc<str>,
    /// Its limits, in their order.
    pub limits: Box<[Arc<str>]>,
}

/// The status of an answer that there was not, because the proxy had to end: it would have been a 503.
pub const DRAINING: u16 = 503;

/// What is known of a request that is traced.
#[derive(Debug, Clone)]
pub struct Traced {
    /// Its trace.
    pub trace: Trace,
    /// What came with the `traceparent`.
    pub state: Option<HeaderValue>,
    /// How the client's connection is secured: `http` or `https`.
    pub scheme: &'static str,
    /// What the client calls itself.
    pub user_agent: Option<HeaderValue>,
    /// When it had waited.
    pub waited: Option<Duration>,
    /// When it was first sent to an endpoint.
    pub sent: Option<Duration>,
    /// What it was sent there with: scheme, path and query.
    pub target: Option<(&'static str, Uri)>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The upstream's answer was passed on whole.
    Completed,
    /// It was not admitted.
    Rejected,
    /// It was admitted, and there was no answer, or not all of it.
    Failed,
    /// It was no request that could be routed.
    Refused,
    /// Its client left.
    ClientGone,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 5] =
        [Outcome::Completed, Outcome::Rejected, Outcome::Failed, Outcome::Refused, Outcome::ClientGone];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Rejected => "rejected",
            Outcome::Failed => "failed",
            Outcome::Refused => "refused",
            Outcome::ClientGone => "client_gone",
        }
    }
}

/// Where a request was when its client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// In a queue.
    Queued,
    /// Upstream, without an answer yet.
    Upstream,
    /// In the middle of its answer.
    Response,
}

impl Left {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Left::Queued => "queued",
            Left::Upstream => "upstream",
            Left::Response => "response",
        }
    }
}

/// An entry that is written, and passed on, when this is dropped.
#[derive(Debug)]
pub struct Open {
    /// The entry, to add to.
    pub entry: Entry,
    /// Which worker serves the request.
    worker: usize,
    /// `None` where nobody wants to read it.
    log: Option<Log>,
    /// Only of a request that is traced.
    tracer: Option<Tracer>,
}

impl Open {
    /// Begins an entry, for the log, for those who collect traces, or for both.
    pub fn new(entry: Entry, worker: usize, log: Option<Log>, tracer: Option<Tracer>) -> Self {
        Open { entry, worker, log, tracer }
    }

    /// Whether it is of a request that is traced.
    pub fn is_traced(&self) -> bool {
        self.tracer.is_some()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.log.is_none() && self.tracer.is_none() {
            return;
        }
        self.entry.end = Some(self.entry.took());
        if let Some(log) = &self.log {
            if log.is_cut() {
                self.entry.was_cut();
            }
            log.write(self.worker, &self.entry);
        }
        if let Some(tracer) = &self.tracer {
            tracer.pass_on(Box::new(self.entry.clone()));
        }
    }
}
