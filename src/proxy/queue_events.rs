//! Telling a client that it waits (`queue_events = "sse"`).
//!
//! A client of an event stream that has waited for 5 s gets its answer's head at once, and comments that say where it
//! stands. The upstream's events follow in the same answer. What can't be said in a head any more is an event of the
//! name `error`: a rejection, a failure, or an answer of the upstream that is no stream of events.
//!
//! The request's own future goes on inside the answer's body: dropping that leaves the queue, or abandons the exchange.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode, response};
use http_body::{Body as _, Frame};
use tokio::time::Instant;

use super::arrival::Arrival;
use super::body::Body;
use super::deadline::{timer, within};
use super::headers::X_REQUEST_ID;
use super::reply::X_REASON;
use super::rewrite::set;
use crate::access_log::Outcome;
use crate::admission::Forecast;
use crate::timer::Timer;
use crate::upstream::Failure;

/// How long a client waits without a sign of life.
const EVERY: Duration = Duration::from_secs(5);

/// A request's way through its limits and to the upstream.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// How far a request has come that may be told of its wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    admitted: AtomicBool,
    begun: AtomicBool,
    /// Somebody wants to know where it stands.
    asked: AtomicBool,
    standing: Mutex<Option<Forecast>>,
}

impl Told {
    pub(super) fn set_admitted(&self) {
        self.0.admitted.store(true, Relaxed);
    }

    fn is_admitted(&self) -> bool {
        self.0.admitted.load(Relaxed)
    }

    /// Notes where it stands, if somebody wants to know.
    pub(super) fn stands(&self, standing: impl FnOnce() -> Option<Forecast>) {
        if self.0.asked.swap(false, Relaxed) {
            *self.0.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing();
        }
    }

    /// Has it noted at the next poll.
    fn ask(&self) {
        self.0.asked.store(true, Relaxed);
    }

    fn standing(&self) -> Option<Forecast> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether its answer has begun, so that all that follows is an event.
    pub(super) fn has_begun(&self) -> bool {
        self.0.begun.load(Relaxed)
    }
}

/// What `answering` answers, or a stream of events with its answer behind them, if it still waits after 5 s.
pub(super) async fn answer(mut answering: Answering, told: Told, arrival: Arc<Arrival>) -> Response<Body> {
    if let Some(answer) = within(Instant::now().checked_add(EVERY), &mut answering).await {
        return answer;
    }
    if told.is_admitted() {
        return answering.await;
    }
    told.0.begun.store(true, Relaxed);
    arrival.record.begun(StatusCode::OK.as_u16());
    let waiting = Waiting { answering, told, timer: timer(Some(Instant::now())), arrival: arrival.clone() };
    let mut response = Response::new(Body::events(QueueEvents::Waiting(Box::new(waiting)), arrival.record.clone()));
    let headers = response.headers_mut();
    let route = arrival.route().expect("who waits has a route");
    set(headers, &route.settings.rewrite.set_response_headers);
    if let Some(reader) = &arrival.reader {
        reader.admit(headers);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_REQUEST_ID, arrival.request_id.clone());
    arrival.quotas.tell(route, false, headers);
    response
}

/// The body of such an answer.
pub(super) enum QueueEvents {
    Waiting(Box<Waiting>),
    /// The upstream's events.
    Following(Box<Body>),
    Ended,
}

pub(super) struct Waiting {
    answering: Answering,
    told: Told,
    /// When the next one is due.
    timer: Timer,
    arrival: Arc<Arrival>,
}

impl QueueEvents {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        loop {
            match self {
                // Waiting => Following | Ended
                QueueEvents::Waiting(waiting) => {
                    let due = waiting.is_comment_due(cx);
                    let Poll::Ready(answer) = waiting.answering.as_mut().poll(cx) else {
                        return match due.then(|| waiting.comment()).flatten() {
                            Some(comment) => Poll::Ready(Some(Ok(Frame::data(comment)))),
                            None => Poll::Pending,
                        };
                    };
                    let (head, mut body) = answer.into_parts();
                    if is_events(&head) {
                        *self = QueueEvents::Following(Box::new(body));
                        continue;
                    }
                    let problem = if head.headers.contains_key(X_REASON) {
                        own_problem(&mut body, cx)
                    } else {
                        waiting.arrival.problem_of(head.status)
                    };
                    *self = QueueEvents::Ended;
                    let event = [b"event: error\ndata: ", &problem[..], b"\n\n"].concat();
                    return Poll::Ready(Some(Ok(Frame::data(event.into()))));
                }
                // Following => Ended
                QueueEvents::Following(body) => return Pin::new(&mut **body).poll_frame(cx),
                QueueEvents::Ended => return Poll::Ready(None),
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            QueueEvents::Waiting(_) => false,
            QueueEvents::Following(body) => body.is_end_stream(),
            QueueEvents::Ended => true,
        }
    }
}

impl Waiting {
    /// Whether it is time for a comment. Then its request is asked where it stands, which it says when it is polled.
    fn is_comment_due(&mut self, cx: &mut Context<'_>) -> bool {
        if self.told.is_admitted() || self.timer.poll(cx).is_pending() {
            return false;
        }
        self.told.ask();
        self.timer.set(Instant::now().checked_add(EVERY));
        // So that we are woken for it.
        self.timer.poll(cx).is_pending()
    }

    /// The next comment. Who has been admitted does not wait for us any more.
    fn comment(&mut self) -> Option<Bytes> {
        let Forecast { position, wait } = self.told.standing()?;
        let eta = wait.map_or_else(String::new, |wait| format!(" eta={}s", wait.as_secs_f64().ceil()));
        Some(format!(": queued position={position}{eta}\n\n").into())
    }
}

impl std::fmt::Debug for QueueEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            QueueEvents::Waiting(_) => "Waiting",
            QueueEvents::Following(_) => "Following",
            QueueEvents::Ended => "Ended",
        })
    }
}

/// Whether an answer can go on where ours has begun: ours says nothing of a coding.
fn is_events(head: &response::Parts) -> bool {
    let plain = head.headers.get(CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
    let events = head.headers.get(CONTENT_TYPE).is_some_and(is_event_stream);
    head.status.is_success() && plain && events
}

/// Whether a media type or range is that of event streams.
pub(super) fn is_event_stream(value: &HeaderValue) -> bool {
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// An answer of ours, in JSON: it was made after the answer had begun.
fn own_problem(body: &mut Body, cx: &mut Context<'_>) -> Bytes {
    match Pin::new(body).poll_frame(cx) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

impl Arrival {
    /// What is left to say of an answer of the upstream that is no stream of events.
    fn problem_of(&self, status: StatusCode) -> Bytes {
        let request_id = self.request_id.to_str().unwrap_or_default();
        let problem = if status.is_success() {
            let (status, reason) = (StatusCode::BAD_GATEWAY, "upstream_protocol");
            self.record.replied(status.as_u16(), reason, Outcome::Failed, None);
            serde_json::json!({
                "type": "about:blank",
                "title": status.canonical_reason(),
                "status": status.as_u16(),
                "detail": "The upstream's answer is no event stream.",
                "reason": reason,
                "request_id": request_id,
            })
        } else {
            serde_json::json!({
                "type": "about:blank",
                "title": status.canonical_reason().unwrap_or("Error"),
                "status": status.as_u16(),
                "detail": "This is the status of the upstream's answer.",
                "request_id": request_id,
            })
        };
        problem.to_string().into()
    }
}
