//! What is noted of a request for the access log.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Request, Version};
use tokio::time::Instant;

use super::client::Client;
use super::headers::requested_host;
use super::recent::Asked;
use super::reply::Reply;
use crate::access_log::{Entry, Left, Log, Open, Outcome};
use crate::admission::{Permit, Waited};
use crate::upstream::Failure;

/// The entry of a request, held wherever something may happen to it; written when the last holder lets go. It says at
/// every moment what would be true if the client left then. Empty, and free, without an access log.
#[derive(Debug, Clone, Default)]
pub(super) struct Record(Option<Arc<Mutex<Open>>>);

impl Record {
    /// What nobody wants to know.
    pub(super) const UNKEPT: Record = Record(None);

    /// Begins the record of a request.
    pub(super) fn begin<B>(log: &Option<Log>, request: &Request<B>, client: &Client, id: &HeaderValue) -> Self {
        let Some(log) = log else { return Record(None) };
        let mut entry = blank(client.address_of(request.headers()), id.clone());
        entry.traceparent = request.headers().get("traceparent").cloned();
        entry.method = Some(request.method().clone());
        entry.host = requested_host(request);
        entry.target = Some(request.uri().clone());
        entry.version = request.version();
        Record::of(log, entry)
    }

    /// The record of what was refused before it was a request.
    pub(super) fn of_refused(log: &Option<Log>, client: &Client, id: &HeaderValue) -> Self {
        log.as_ref().map_or(Record(None), |log| Record::of(log, blank(client.peer(), id.clone())))
    }

    fn of(log: &Log, entry: Entry) -> Self {
        Record(Some(Arc::new(Mutex::new(log.open(entry)))))
    }

    /// Whether anybody wants to know.
    pub(super) fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    fn note(&self, note: impl FnOnce(&mut Entry)) {
        if let Some(open) = &self.0 {
            note(open.lock().unwrap_or_else(PoisonError::into_inner).entry());
        }
    }

    /// Who asked for what, if anybody wants to know.
    pub(super) fn asked(&self) -> Option<Asked> {
        let open = &mut *self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = open.entry();
        Some(Asked { client_ip: entry.client_ip, method: entry.method.clone(), target: entry.target.clone() })
    }

    /// Its route has no access log.
    pub(super) fn silence(&self) {
        if let Some(open) = &self.0 {
            open.lock().unwrap_or_else(PoisonError::into_inner).silence();
        }
    }

    pub(super) fn routed(&self, route: &Arc<str>, upstream: &Arc<str>) {
        self.note(|entry| {
            entry.route = Some(route.clone());
            entry.upstream = Some(upstream.clone());
        });
    }

    pub(super) fn admitted(&self, permit: Option<&Permit>, limit: Option<&Arc<str>>) {
        self.note(|entry| {
            entry.left = Some(Left::Upstream);
            entry.admitted = Some(Instant::now());
            entry.limit = limit.cloned();
            entry.in_flight = permit.map(Permit::in_flight);
            if let Some(waited) = permit.and_then(Permit::waited) {
                waited_in(entry, waited);
            }
        });
    }

    /// It goes to this endpoint.
    pub(super) fn sent_to(&self, endpoint: &Arc<str>) {
        self.note(|entry| entry.endpoint = Some(endpoint.clone()));
    }

    /// The upstream's head has come; its body is on its way.
    pub(super) fn headed(&self, status: u16, reused: bool, retries: u32) {
        self.note(|entry| {
            entry.headed = Some(Instant::now());
            entry.status = status;
            entry.left = Some(Left::Response);
            entry.reused = Some(reused);
            entry.retries = retries;
        });
    }

    /// It was a question to us, and got its answer.
    pub(super) fn answered(&self, status: u16) {
        self.note(|entry| {
            (entry.status, entry.reason, entry.outcome, entry.left) = (status, None, Outcome::Completed, None);
        });
    }

    /// An answer of ours ends it.
    pub(super) fn replied(&self, status: u16, reason: &'static str, outcome: Outcome, waited: Option<Waited>) {
        self.note(|entry| {
            (entry.status, entry.reason, entry.outcome, entry.left) = (status, Some(reason), outcome, None);
            if let Some(waited) = waited {
                waited_in(entry, waited);
            }
        });
    }

    pub(super) fn rejected_by(&self, limit: &str) {
        self.note(|entry| entry.limit = Some(limit.into()));
    }

    /// The last frame of the answer has been taken.
    pub(super) fn completed(&self, bytes: u64) {
        self.note(|entry| {
            entry.response_bytes = bytes;
            if entry.left == Some(Left::Response) {
                (entry.outcome, entry.reason, entry.left) = (Outcome::Completed, None, None);
            }
        });
    }

    /// The answer broke off.
    pub(super) fn broken(&self, bytes: u64, failure: &Failure) {
        self.note(|entry| {
            entry.response_bytes = bytes;
            entry.outcome = Outcome::Failed;
            entry.left = None;
            entry.reason = Some(match failure {
                Failure::Timeout => "upstream_stalled",
                Failure::Overdue => "max_duration",
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

fn waited_in(entry: &mut Entry, waited: Waited) {
    entry.queued = waited.wait;
    entry.ahead = Some(waited.position.saturating_sub(1));
}

/// An entry that says: the client left before anything happened.
fn blank(client_ip: IpAddr, request_id: HeaderValue) -> Entry {
    Entry {
        arrived: SystemTime::now(),
        start: Instant::now(),
        end: None,
        request_id,
        traceparent: None,
        client_ip,
        method: None,
        host: None,
        target: None,
        version: Version::HTTP_11,
        status: 499,
        outcome: Outcome::ClientGone,
        reason: Some("client_closed"),
        route: None,
        limit: None,
        queued: Duration::ZERO,
        ahead: None,
        admitted: None,
        in_flight: None,
        headed: None,
        upstream: None,
        endpoint: None,
        reused: None,
        retries: 0,
        response_bytes: 0,
        left: Some(Left::Queued),
    }
}
