//! Waiting for the head of a response.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use super::abandon::{abandon, abandon_fault};
use super::eject::Eject;
use super::error::{BoxError, Failure};
use super::exchange::Exchange;
use super::http1;
use super::settings::Settings;
use super::source::Source;
use crate::clock;

/// Why there is no head.
pub(super) enum Unanswered<B> {
    /// The upstream has not begun with the request: nothing of it was written, or the upstream says so. Here it is, but
    /// for a head that somebody else has kept. `refused` where it meant this request and not the connection.
    Unprocessed { parts: Option<Box<Parts>>, body: Option<Source<B>>, failure: Failure, refused: bool },
    /// The upstream has closed the connection. Here is the head of the request, but for one that somebody else has kept.
    Closed { parts: Option<Box<Parts>>, failure: Failure },
    /// It has ended otherwise: the upstream has ended this exchange, or what it sent is no HTTP, or the connection was
    /// given up on our side and the upstream may be working.
    Ended(Failure),
}

impl<B> Unanswered<B> {
    fn is_reset(&self) -> bool {
        let (Unanswered::Unprocessed { failure, .. } | Unanswered::Closed { failure, .. } | Unanswered::Ended(failure)) =
            self;
        matches!(failure, Failure::Reset(_))
    }
}

/// Resolves to the head, with the exchange that goes on behind it. Dropped before that, it abandons the exchange.
pub(super) struct AwaitHead<'s, B: Send + 'static, H: Send + 'static> {
    /// Present until it resolves.
    exchange: Option<Box<Exchange<B, H>>>,
    patience: Patience,
    settings: &'s Settings,
    sent: Instant,
}

/// How it can fail, and what is left of the request then.
pub(super) enum HeadFailed<B, H> {
    /// There is no exchange any more.
    Unanswered(Box<Unanswered<B>>, H),
    /// The exchange goes on without us.
    Abandoned(Failure),
}

/// A head with the exchange that goes on behind it.
pub(super) type Begun<B, H> = (Response<()>, Box<Exchange<B, H>>);

impl<'s, B: Send + 'static, H: Send + 'static> AwaitHead<'s, B, H> {
    /// The request is sent at this moment.
    pub(super) fn new(mut exchange: Box<Exchange<B, H>>, settings: &'s Settings, sent: Instant) -> Self {
        exchange.connection.timer().set(None);
        let patience = Patience { progress_seen: None };
        AwaitHead { exchange: Some(exchange), patience, settings, sent }
    }

    fn abandon(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            abandon(exchange);
        }
    }
}

impl<B, H> Future for AwaitHead<'_, B, H>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
    H: Send + Unpin + 'static,
{
    type Output = Result<Begun<B, H>, HeadFailed<B, H>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let exchange = this.exchange.as_mut().expect("polled after completion");
        match exchange.connection.poll_head(cx) {
            Poll::Ready(result) => {
                let exchange = this.exchange.take().expect("the exchange is present until it resolves");
                let after = clock::now().saturating_duration_since(this.sent);
                return Poll::Ready(settle(result, exchange, this.settings.eject, after));
            }
            Poll::Pending => {}
        }
        if let Some(upload) = &exchange.upload {
            upload.register(cx);
            if let Some(error) = upload.take_error() {
                this.abandon();
                return Poll::Ready(Err(HeadFailed::Abandoned(Failure::RequestBody(error))));
            }
        }
        if this.patience.poll_over(this.settings.response_timeout, this.sent, exchange, cx).is_ready() {
            exchange.seat.erred();
            this.abandon();
            return Poll::Ready(Err(HeadFailed::Abandoned(Failure::Timeout)));
        }
        Poll::Pending
    }
}

impl<B: Send + 'static, H: Send + 'static> Drop for AwaitHead<'_, B, H> {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Whether a head can be passed on. What follows a 101 that nobody asked for is no HTTP; and framing
/// that can be read in two ways (RFC 9112 §6.3), or with a coding that we do not have, is not passed on.
fn is_acceptable(response: &Response<()>, upgrade: bool) -> bool {
    let headers = response.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let framing = match (codings.next(), codings.next()) {
        // Several equal lengths can be taken for one; whoever comes next may not.
        (None, _) => {
            let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
            // Where there is no body, its length goes on to the client all the same.
            let number = lengths.next().is_none_or(|length| http1::declared_length(length.as_bytes()).is_some());
            number && lengths.next().is_none()
        }
        (Some(coding), None) => {
            coding.as_bytes().eq_ignore_ascii_case(b"chunked") && !headers.contains_key(CONTENT_LENGTH)
        }
        (Some(_), Some(_)) => false,
    };
    framing && (upgrade || response.status() != StatusCode::SWITCHING_PROTOCOLS)
}

fn settle<B: Send + 'static, H: Send + 'static>(
    result: Result<Response<()>, Unanswered<B>>,
    mut exchange: Box<Exchange<B, H>>,
    eject: Option<Eject>,
    time: Duration,
) -> Result<Begun<B, H>, HeadFailed<B, H>> {
    if result.is_ok() {
        exchange.seat.answered(time);
    }
    match result {
        // Where the request has not ended, what follows it can't have begun.
        Ok(response) if !is_acceptable(&response, exchange.upgrade && exchange.is_upload_complete()) => {
            exchange.seat.erred();
            // What we do not pass on, the upstream may still be working on.
            abandon_fault(exchange);
            Err(HeadFailed::Abandoned(Failure::Protocol(None)))
        }
        Ok(response) => Ok((response, exchange)),
        Err(unanswered) => {
            // A connection that ends after it was used may only have been idle for too long.
            let idled = matches!(unanswered, Unanswered::Unprocessed { .. }) && exchange.connection.reused();
            if unanswered.is_reset() && !idled {
                exchange.seat.failed(eject);
            } else if !unanswered.is_reset() {
                exchange.seat.erred();
            }
            match unanswered {
                // It has sent what is no head, and may be working all the same.
                Unanswered::Ended(failure) if exchange.connection.stands_behind(&failure) => {
                    abandon_fault(exchange);
                    return Err(HeadFailed::Abandoned(failure));
                }
                _ => exchange.stop(),
            }
            Err(HeadFailed::Unanswered(Box::new(unanswered), exchange.held))
        }
    }
}

/// How long we wait: `timeout` from the last byte of the request sent, and while it is being sent, `timeout` in which
/// the upstream takes nothing of what there is.
struct Patience {
    /// The upload's progress when the timer was last set; `None` once it is complete.
    progress_seen: Option<u32>,
}

impl Patience {
    fn poll_over<B, H>(
        &mut self,
        timeout: Duration,
        begun: Instant,
        exchange: &mut Exchange<B, H>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Exchange { connection, upload, .. } = exchange;
        let timer = connection.timer();
        loop {
            let sending = upload.as_ref().filter(|upload| !upload.is_complete());
            let progress = sending.map(|upload| upload.polls());
            let has_ended = self.progress_seen.is_some() && progress.is_none();
            if !timer.is_set() || has_ended {
                // What has no body has ended with its beginning, and the clock need not be read for it.
                let since = if upload.is_none() { begun } else { clock::now() };
                timer.set(since.checked_add(timeout));
                self.progress_seen = progress;
            }
            std::task::ready!(timer.poll(cx));
            let excused = sending.is_some_and(|upload| upload.is_starved()) || progress != self.progress_seen;
            if !excused {
                return Poll::Ready(());
            }
        }
    }
}
