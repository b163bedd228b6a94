//! Answers of our own: the one home of their statuses, reasons and form.

use std::error::Error as StdError;
use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::body::Body;
use super::cors::Reader;
use super::grpc;
use super::headers::{X_REQUEST_ID, once};
use super::names::LimitName;
use super::negotiate::Form;
use super::prepared::Prepared;
use super::problem::Problem;
use super::quotas::Quotas;
use super::recent;
use super::record::Record;
use super::refusal::Refusal;
use super::request_body::RequestBodyError;
use super::rewrite::set;
use super::shared::Route;
use crate::access_log::Outcome;
use crate::admission::{self, Rejection, Waited};
use crate::digits;
use crate::upstream::Failure;

pub(super) const X_REASON: HeaderName = HeaderName::from_static("x-sluicegate-reason");
pub(super) const X_LIMIT: HeaderName = HeaderName::from_static("x-sluicegate-limit");
pub(super) const X_QUEUE: HeaderName = HeaderName::from_static("x-sluicegate-queue");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What an answer of ours says. The words of [`reason`](Reply::reason) are closed and stable.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) detail: &'static str,
    /// In seconds. Only on shed load.
    pub(super) retry_after: Option<u64>,
    pub(super) waited: Option<Waited>,
    /// The wait would have been in vain, and was not begun.
    pub(super) predicted: bool,
    pub(super) outcome: Outcome,
    /// Why one of its limits turned it away, if that was it.
    pub(super) rejected: Option<admission::Reason>,
    /// What lay behind it, for operators alone.
    pub(super) cause: Option<Box<str>>,
}

/// What an answer says about its request.
#[derive(Debug, Clone)]
pub(super) struct About<'a> {
    pub(super) route: Option<&'a str>,
    /// The same, where it is kept for those who ask why.
    pub(super) on: Option<&'a Route>,
    pub(super) limit: Option<&'a LimitName>,
    pub(super) request_id: &'a HeaderValue,
    pub(super) form: Form,
    /// The content type of a gRPC request: then the form is gRPC's own.
    pub(super) grpc: Option<&'a HeaderValue>,
    /// The request's body is too large to be read and dropped.
    pub(super) close: bool,
    /// Where it is noted.
    pub(super) record: &'a Record,
    /// Whose script may read it.
    pub(super) reader: Option<&'a Reader>,
    /// What its route adds to answers.
    pub(super) fields: &'a [(HeaderName, HeaderValue)],
    /// Whether it may say how the request waited.
    pub(super) queue_position: bool,
    pub(super) quotas: &'a Quotas,
}

impl Reply {
    fn new(status: StatusCode, reason: &'static str, detail: &'static str) -> Self {
        let outcome = Outcome::Refused;
        let (retry_after, waited, rejected, cause) = (None, None, None, None);
        Reply { status, reason, detail, retry_after, waited, predicted: false, outcome, rejected, cause }
    }

    pub(super) fn no_route() -> Self {
        Reply::new(StatusCode::NOT_FOUND, "no_route", "No route takes this request.")
    }

    pub(super) fn upgrade_denied() -> Self {
        Reply::new(StatusCode::FORBIDDEN, "upgrade_denied", "This route's connections may not be upgraded.")
    }

    pub(super) fn internal() -> Self {
        let reply = Reply::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The proxy failed on this request.");
        Reply { outcome: Outcome::Failed, ..reply }
    }

    /// An operator has ended it, after its admission or before it could wait.
    pub(super) fn cancelled() -> Self {
        let reply = Reply::new(StatusCode::SERVICE_UNAVAILABLE, "flushed", "The request was ended by an operator.");
        Reply { outcome: Outcome::Failed, retry_after: Some(1), ..reply }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        let (reason, detail) = match refusal {
            Refusal::Malformed(detail) => ("bad_request", detail),
            Refusal::TransferCoding => ("bad_request", "The only transfer coding that is supported is chunked."),
            Refusal::HeaderTooLarge => ("header_too_large", "The request's head is too large."),
            Refusal::BodyTooLarge => ("body_too_large", "The request's body is too large."),
            Refusal::Timeout => ("request_timeout", "The request did not arrive in time."),
        };
        Reply::new(refusal.status(), reason, detail)
    }

    pub(super) fn rejected(rejection: &Rejection, capacity: StatusCode) -> Self {
        use admission::Reason;
        let (status, detail) = match rejection.reason {
            Reason::NoPermit => (capacity, "As many requests as the limit allows are in flight."),
            Reason::QueueFull => (capacity, "As many requests as the queue holds are waiting."),
            Reason::QueueTimeout if rejection.predicted => (capacity, "The request would wait for longer than it may."),
            Reason::QueueTimeout => (capacity, "The request waited for as long as it may."),
            Reason::Evicted => (capacity, "The request was pushed out of the queue by one that goes first."),
            Reason::Flushed => (capacity, "The request was turned away by an operator while it waited."),
            Reason::KeyLimit => (StatusCode::TOO_MANY_REQUESTS, "The share of this request's key is used up."),
            Reason::KeyQueueFull => (StatusCode::TOO_MANY_REQUESTS, "Too many requests of the same key are waiting."),
            Reason::DeadlineUnmeetable => (capacity, "The request's turn would come after its deadline."),
            Reason::DeadlineExpired => (StatusCode::GATEWAY_TIMEOUT, "The request's deadline passed while it waited."),
            Reason::Cost => (StatusCode::BAD_REQUEST, "The request takes more permits than the limit has."),
            Reason::Closed => (StatusCode::SERVICE_UNAVAILABLE, "The proxy is shutting down."),
        };
        let reason = rejection.reason.as_str();
        // Jitter, so that those who were turned away together do not come back together.
        let seconds = rejection.drains_in.map_or(0.0, |time| time.as_secs_f64()) * (0.8 + 0.4 * fastrand::f64());
        // What was wrong with the request itself is wrong later, too.
        let later = !matches!(rejection.reason, Reason::Cost | Reason::DeadlineExpired);
        let retry_after = later.then(|| seconds.ceil().clamp(1.0, 60.0) as u64);
        let waited = Some(rejection.waited);
        let (predicted, rejected) = (rejection.predicted, Some(rejection.reason));
        let reply = Reply::new(status, reason, detail);
        Reply { retry_after, waited, predicted, outcome: Outcome::Rejected, rejected, ..reply }
    }

    /// The request asks in vain, whatever its limits say.
    pub(super) fn no_claim(reason: admission::Reason) -> Self {
        let reply = match reason {
            admission::Reason::Cost => Reply::new(
                StatusCode::BAD_REQUEST,
                reason.as_str(),
                "The request's cost is not a whole number from 1 on.",
            ),
            admission::Reason::KeyLimit => {
                let detail = "The request has no key, or an unknown one, where the limit needs to know it.";
                Reply::new(StatusCode::TOO_MANY_REQUESTS, reason.as_str(), detail)
            }
            _ => Reply::new(StatusCode::GATEWAY_TIMEOUT, reason.as_str(), "The request's deadline has passed."),
        };
        Reply { outcome: Outcome::Rejected, ..reply }
    }

    /// The request was admitted, and the connection that it became has no place.
    pub(super) fn no_place(capacity: StatusCode, waited: Option<Waited>) -> Self {
        let reply = Reply::new(capacity, "no_permit", "As many connections as may be are upgraded.");
        let waited = waited.or(Some(Waited { position: 1, wait: Duration::ZERO }));
        Reply { outcome: Outcome::Rejected, retry_after: Some(1), waited, ..reply }
    }

    pub(super) fn failed(failure: &Failure) -> Self {
        let gateway = |reason, detail| Reply::new(StatusCode::BAD_GATEWAY, reason, detail);
        let reply = match failure {
            Failure::NoEndpoint => {
                let detail = "No endpoint of the upstream takes requests at the moment.";
                let reply = Reply::new(StatusCode::SERVICE_UNAVAILABLE, "no_endpoint", detail);
                // Jitter, as with those who wait for a permit.
                Reply { retry_after: Some(fastrand::u64(1..=3)), ..reply }
            }
            Failure::Paused(left) => {
                let detail = "The upstream has asked for a pause, which is longer than the request may wait.";
                let reply = Reply::new(StatusCode::SERVICE_UNAVAILABLE, "upstream_paused", detail);
                let seconds = left.as_secs_f64().ceil().clamp(1.0, 60.0) as u64;
                Reply { retry_after: Some(seconds), ..reply }
            }
            Failure::Connect(_) => gateway("connect_failed", "The upstream can't be reached."),
            Failure::NoRoom => {
                gateway("connect_failed", "All connections that may be open to the upstream are in use.")
            }
            Failure::Reset(_) => gateway("upstream_reset", "The upstream closed the connection before it answered."),
            Failure::Protocol(_) => gateway("upstream_protocol", "The upstream's answer is not valid HTTP."),
            Failure::Timeout | Failure::Overdue | Failure::Outlived => {
                Reply::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "The upstream took too long to answer.")
            }
            Failure::Cancelled => return Reply::cancelled(),
            Failure::RequestBody(error) => return Reply::body_failed(error.as_ref()),
        };
        Reply { outcome: Outcome::Failed, cause: cause(failure), ..reply }
    }

    /// A request's body that failed on our side: what the wire said about it is at the bottom of the error.
    pub(super) fn body_failed(error: &(dyn StdError + 'static)) -> Self {
        let bottom = std::iter::successors(Some(error), |error| (*error).source()).last();
        if let Some(RequestBodyError::TooLarge) = bottom.and_then(|error| error.downcast_ref()) {
            return Reply::refused(Refusal::BodyTooLarge);
        }
        let kind = bottom.and_then(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
        Reply::refused(match kind {
            Some(io::ErrorKind::TimedOut) => Refusal::Timeout,
            _ => Refusal::Malformed("The request's body is malformed or incomplete."),
        })
    }

    pub(super) fn into_response(self, about: &About<'_>) -> Response<Body> {
        let prepared = self.prepared(about);
        let (status, content_type, body) = match about.grpc {
            Some(content_type) => (StatusCode::OK, content_type.clone(), Bytes::new()),
            None => {
                let (content_type, body) = self.render(about, prepared);
                (self.status, content_type, body)
            }
        };
        recent::keep(&self, about);
        about.record.replied(status.as_u16(), self.reason, self.outcome, self.waited);
        let mut response = Response::new(Body::own(body, about.record.clone()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if let Some(prepared) = prepared {
            *headers = prepared.fields.clone();
            headers.insert(X_REQUEST_ID, about.request_id.clone());
        } else {
            self.put(content_type, about, headers);
        }
        if prepared.is_none_or(|prepared| prepared.retry_after != self.retry_after)
            && let Some(seconds) = self.retry_after
        {
            headers.insert(RETRY_AFTER, digits_value(seconds));
        }
        if let Some(route) = about.on {
            about.quotas.tell(route, self.outcome == Outcome::Rejected, headers);
        }
        if let Some(waited) = self.waited.filter(|_| about.queue_position) {
            tell_wait(headers, waited);
        }
        if about.close {
            headers.insert(CONNECTION, const { HeaderValue::from_static("close") });
        }
        response
    }

    /// Puts the fields there that most answers of ours have.
    fn put(&self, content_type: HeaderValue, about: &About<'_>, headers: &mut HeaderMap) {
        // Room for all of them, and for what the server adds.
        headers.reserve(FIELDS);
        // First, since what is said of this answer is not the route's.
        set(headers, about.fields);
        if let Some(reader) = about.reader {
            reader.admit(headers);
        }
        headers.insert(CONTENT_TYPE, content_type);
        if about.grpc.is_some() {
            grpc::set_status(headers, self.reason, self.retry_after);
        }
        headers.insert(CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
        headers.insert(X_REASON, HeaderValue::from_static(self.reason));
        headers.insert(X_REQUEST_ID, about.request_id.clone());
        // Where there is no limit to name, that is said: the field is always there.
        let limit = about.limit.map(|limit| limit.value.clone());
        headers.insert(X_LIMIT, limit.unwrap_or(const { HeaderValue::from_static("none") }));
    }

    /// What rejections like this one have in common, where nobody has a say in what else is in their heads.
    fn prepared<'a>(&self, about: &About<'a>) -> Option<&'a Prepared> {
        let usual = self.retry_after.is_some()
            && self.waited.is_some()
            && about.form == Form::ProblemJson
            && about.grpc.is_none();
        let ours_alone = about.fields.is_empty() && about.reader.is_none();
        let (limit, reason) = about.limit.zip(self.rejected).filter(|_| usual && ours_alone)?;
        limit.rejections.like(reason, (self.status, self.detail), || {
            let mut fields = HeaderMap::new();
            self.put(PROBLEM_JSON, about, &mut fields);
            // What is another each time has its place.
            fields.insert(X_REQUEST_ID, const { HeaderValue::from_static("") });
            self.retry_after.map(|seconds| fields.insert(RETRY_AFTER, digits_value(seconds)));
            if about.queue_position {
                fields.insert(X_QUEUE, const { HeaderValue::from_static("") });
            }
            let (start, retry_after) = (self.problem(about).start(), self.retry_after);
            Prepared { status: self.status, detail: self.detail, retry_after, fields, start }
        })
    }

    fn problem<'a>(&'a self, about: &'a About<'_>) -> Problem<'a> {
        Problem {
            title: self.title(),
            status: self.status.as_u16(),
            detail: self.detail,
            reason: self.reason,
            limit: about.limit.map(|limit| &*limit.text),
            route: about.route,
            retry_after: self.retry_after,
            predicted: self.predicted,
            request_id: about.request_id.to_str().unwrap_or_default(),
        }
    }

    fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    fn render(&self, about: &About<'_>, prepared: Option<&Prepared>) -> (HeaderValue, Bytes) {
        let (title, reason, detail) = (self.title(), self.reason, self.detail);
        match about.form {
            Form::ProblemJson => {
                let problem = self.problem(about);
                let json = prepared.map_or_else(|| problem.to_json(), |prepared| problem.behind(&prepared.start));
                (PROBLEM_JSON, json.into())
            }
            // Nothing of the request is in here, so there is nothing to escape.
            Form::Html => {
                let status = self.status.as_u16();
                let page = format!(
                    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{status} {title}</title>\
                     <h1>{title}</h1><p>{detail}</p><p><small>{reason}</small></p></html>\n"
                );
                (const { HeaderValue::from_static("text/html; charset=utf-8") }, page.into())
            }
            Form::Text => {
                let line = format!("{title}: {detail} ({reason})\n");
                (const { HeaderValue::from_static("text/plain; charset=utf-8") }, line.into())
            }
        }
    }
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// As many fields as most answers of ours have.
const FIELDS: usize = 12;

/// Says how it waited; where it did for as long as can be told, also as browsers' tools show it (W3C Server Timing), behind
/// what the upstream says there.
pub(super) fn tell_wait(headers: &mut HeaderMap, waited: Waited) {
    let millis = ((waited.wait.as_micros() + 500) / 1000) as u64;
    headers.insert(X_QUEUE, queue_value(waited, millis));
    if millis > 0 {
        let value = HeaderValue::try_from(format!("queue;dur={millis}")).expect("a token and digits");
        headers.append(SERVER_TIMING, once(value));
    }
}

/// The value of `x-sluicegate-queue`: the place in line on arrival (1 is next), and the seconds spent there.
fn queue_value(waited: Waited, millis: u64) -> HeaderValue {
    if (waited.position, millis) == (1, 0) {
        // What everybody is told where there is no queue.
        return const { HeaderValue::from_static("position=1;wait=0.000") };
    }
    let mut value = Vec::with_capacity(32);
    value.extend_from_slice(b"position=");
    digits::push(&mut value, waited.position.into());
    value.extend_from_slice(b";wait=");
    digits::push(&mut value, millis / 1000);
    value.push(b'.');
    value.extend_from_slice(&digits::three((millis % 1000) as u32).to_le_bytes()[..3]);
    once(HeaderValue::from_maybe_shared(Bytes::from(value)).expect("digits and punctuation"))
}

/// A number of seconds. What is told most is a minute at the most, and takes no memory.
fn digits_value(number: u64) -> HeaderValue {
    static SOON: LazyLock<[HeaderValue; 61]> = LazyLock::new(|| std::array::from_fn(HeaderValue::from));
    usize::try_from(number).ok().and_then(|number| SOON.get(number)).cloned().unwrap_or_else(|| number.into())
}

/// What lies behind a failure, from the error that is nearest to it to the one at the bottom.
fn cause(failure: &Failure) -> Option<Box<str>> {
    let behind = std::iter::successors(failure.source(), |error| (*error).source());
    let behind: Vec<_> = behind.map(ToString::to_string).collect();
    (!behind.is_empty()).then(|| behind.join(": ").into())
}

#[cfg(test)]
mod tests;
