//! The response body on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::abandon::{abandon, abandon_fault, see_out};
use super::error::{BoxError, Failure};
use super::exchange::Exchange;
use crate::clock;

/// A response's body. Holds `H` until its last frame has been taken; dropped before that, it abandons its exchange.
#[derive(Debug)]
pub struct ResponseBody<B: Send + 'static, H: Send + 'static> {
    /// Present until the end.
    exchange: Option<Box<Exchange<B, H>>>,
    idle_timeout: Duration,
    reused: bool,
    retries: u32,
}

impl<B: Send + 'static, H: Send + 'static> ResponseBody<B, H> {
    pub(super) fn new(mut exchange: Box<Exchange<B, H>>, idle_timeout: Duration, retries: u32) -> Self {
        let reused = exchange.connection.reused();
        if exchange.connection.is_end_stream() {
            drop(exchange.finish());
            return ResponseBody { exchange: None, idle_timeout, reused, retries };
        }
        exchange.connection.timer().set(None);
        ResponseBody { exchange: Some(exchange), idle_timeout, reused, retries }
    }

    /// The body of an answer that can have none. Where the upstream has not said yet that it has ended, a task of its own
    /// waits for that, since the client will not.
    pub(super) fn none(exchange: Box<Exchange<B, H>>, retries: u32) -> Self {
        let reused = exchange.connection.reused();
        if exchange.connection.is_end_stream() {
            drop(exchange.finish());
        } else {
            see_out(exchange);
        }
        ResponseBody { exchange: None, idle_timeout: Duration::ZERO, reused, retries }
    }

    /// Whether it came on a connection that had carried another exchange before.
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// How often its request was sent again.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// What it holds, until the end.
    pub fn held_mut(&mut self) -> Option<&mut H> {
        self.exchange.as_mut().map(|exchange| &mut exchange.held)
    }

    /// The response is complete: what was held goes back, and the connection into its pool.
    fn finish(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            drop(exchange.finish());
        }
    }

    fn abandon(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            abandon(exchange);
        }
    }

    /// The client's error, if its body broke off while the response was under way.
    fn poll_upload_error(&self, cx: &mut Context<'_>) -> Option<BoxError> {
        let upload = self.exchange.as_ref()?.upload.as_ref()?;
        upload.register(cx);
        upload.take_error()
    }

    /// Whether the upstream has been silent for too long. A client that owes it the rest of the request excuses it.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(exchange) = &mut self.exchange else { return Poll::Pending };
        let (idle, upload) = (exchange.connection.timer(), exchange.upload.as_ref());
        loop {
            if !idle.is_set() {
                idle.set(clock::now().checked_add(self.idle_timeout));
            }
            std::task::ready!(idle.poll(cx));
            if upload.is_none_or(|upload| upload.is_complete() || !upload.is_starved()) {
                return Poll::Ready(());
            }
        }
    }
}

impl<B: Send + 'static, H: Send + 'static> Body for ResponseBody<B, H>
where
    B: Unpin,
    H: Unpin,
{
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        let Some(exchange) = &mut this.exchange else { return Poll::Ready(None) };
        match exchange.connection.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                exchange.connection.timer().set(None);
                if frame.is_trailers() || exchange.connection.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(failure))) => {
                exchange.faults.count(&failure);
                if exchange.connection.stands_behind(&failure) {
                    this.exchange.take().into_iter().for_each(abandon_fault);
                } else if let Some(mut exchange) = this.exchange.take() {
                    // The connection or the stream is gone, and the exchange with it.
                    exchange.stop();
                }
                Poll::Ready(Some(Err(failure)))
            }
            Poll::Pending => {
                if let Some(error) = this.poll_upload_error(cx) {
                    this.abandon();
                    return Poll::Ready(Some(Err(Failure::RequestBody(error))));
                }
                std::task::ready!(this.poll_idle(cx));
                this.exchange.iter().for_each(|exchange| exchange.faults.count(&Failure::Timeout));
                this.abandon();
                Poll::Ready(Some(Err(Failure::Timeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.exchange.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.exchange {
            Some(exchange) => exchange.connection.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl<B: Send + 'static, H: Send + 'static> Drop for ResponseBody<B, H> {
    fn drop(&mut self) {
        self.abandon();
    }
}
