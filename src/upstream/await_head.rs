//! Waiting for the head of a response.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Response, StatusCode};
use tokio::time::Instant;

use super::abandon::{Phase, abandon};
use super::eject::Eject;
use super::error::Failure;
use super::exchange::Exchange;
use super::received::Received;
use super::source::Source;
use crate::timer::Timer;

/// The protocol's half of the exchange.
pub(super) type HeadFuture<B> = Pin<Box<dyn Future<Output = Result<Response<Received>, Unanswered<B>>> + Send>>;

/// Why there is no head.
pub(super) enum Unanswered<B> {
    /// The upstream has not begun with the request: nothing of it was written, or the upstream says so. Here it is, but
    /// for a head that somebody else has kept. `refused` where it meant this request and not the connection.
    Unprocessed { parts: Option<Box<Parts>>, body: Option<Source<B>>, failure: Failure, refused: bool },
    /// The upstream has closed the connection, and the request is gone with it.
    Closed(Failure),
    /// It has ended otherwise: the upstream has ended this exchange, or what it sent is no HTTP, or the connection was
    /// given up on our side and the upstream may be working.
    Ended(Failure),
}

impl<B> Unanswered<B> {
    fn is_reset(&self) -> bool {
        let (Unanswered::Unprocessed { failure, .. } | Unanswered::Closed(failure) | Unanswered::Ended(failure)) = self;
        matches!(failure, Failure::Reset(_))
    }
}

/// Resolves to the head, with the exchange that goes on behind it. Dropped before that, it abandons the exchange.
pub(super) struct AwaitHead<B: Send + 'static, H: Send + 'static> {
    /// Both are present until it resolves.
    head: Option<HeadFuture<B>>,
    exchange: Option<Exchange<B, H>>,
    patience: Patience,
    eject: Option<Eject>,
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
type Begun<B, H> = (Response<Received>, Exchange<B, H>);

impl<B: Send + 'static, H: Send + 'static> AwaitHead<B, H> {
    pub(super) fn new(
        head: HeadFuture<B>,
        exchange: Exchange<B, H>,
        response_timeout: Duration,
        eject: Option<Eject>,
    ) -> Self {
        let patience = Patience { timeout: response_timeout, timer: Timer::default(), progress_seen: None };
        AwaitHead { head: Some(head), exchange: Some(exchange), patience, eject, sent: Instant::now() }
    }

    fn abandon(&mut self) {
        if let (Some(head), Some(exchange)) = (self.head.take(), self.exchange.take()) {
            abandon(exchange, Phase::Head(head));
        }
    }
}

impl<B: Send + Unpin + 'static, H: Send + Unpin + 'static> Future for AwaitHead<B, H> {
    type Output = Result<Begun<B, H>, HeadFailed<B, H>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (Some(head), Some(exchange)) = (&mut this.head, &this.exchange) else { panic!("polled after completion") };
        match head.as_mut().poll(cx) {
            Poll::Ready(result) => {
                this.head = None;
                let exchange = this.exchange.take().expect("the exchange is present until it resolves");
                return Poll::Ready(settle(result, exchange, this.eject, this.sent.elapsed()));
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
        if this.patience.poll_over(exchange, cx).is_ready() {
            exchange.seat.erred();
            this.abandon();
            return Poll::Ready(Err(HeadFailed::Abandoned(Failure::Timeout)));
        }
        Poll::Pending
    }
}

impl<B: Send + 'static, H: Send + 'static> Drop for AwaitHead<B, H> {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Whether a head that hyper has parsed can be passed on. What follows a 101 that nobody asked for is no HTTP; and framing
/// that can be read in two ways (RFC 9112 §6.3), or with a coding that we do not have, is not passed on.
fn is_acceptable(response: &Response<Received>, upgrade: bool) -> bool {
    let headers = response.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let framing = match (codings.next(), codings.next()) {
        // hyper takes several equal lengths for one; whoever comes next may not.
        (None, _) => {
            let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
            let number = lengths.next().is_none_or(|length| length.as_bytes().iter().all(u8::is_ascii_digit));
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
    result: Result<Response<Received>, Unanswered<B>>,
    exchange: Exchange<B, H>,
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
            abandon(exchange, Phase::Body(response.into_body()));
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
            exchange.stop();
            Err(HeadFailed::Unanswered(Box::new(unanswered), exchange.held))
        }
    }
}

/// How long we wait: `timeout` from the last byte of the request sent, and while it is being sent, `timeout` in which
/// the upstream takes nothing of what there is.
struct Patience {
    timeout: Duration,
    timer: Timer,
    /// The upload's progress when the timer was last set; `None` once it is complete.
    progress_seen: Option<u32>,
}

impl Patience {
    fn poll_over<B, H>(&mut self, exchange: &Exchange<B, H>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let sending = exchange.upload.as_ref().filter(|upload| !upload.is_complete());
            let progress = sending.map(|upload| upload.polls());
            if !self.timer.is_set() || (self.progress_seen.is_some() && progress.is_none()) {
                self.timer.set(Instant::now().checked_add(self.timeout));
                self.progress_seen = progress;
            }
            std::task::ready!(self.timer.poll(cx));
            let excused = sending.is_some_and(|upload| upload.is_starved()) || progress != self.progress_seen;
            if !excused {
                return Poll::Ready(());
            }
        }
    }
}
