//! The request body on its way to the upstream, over HTTP/1.1, and how far it has come over either.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};

use super::error::BoxError;

/// Wraps the client's body for hyper's client.
///
/// When the client's side fails, hyper must not hear of it: it would close the connection, while the upstream has to be
/// told first and awaited. So a failed upload stays pending, and tells the exchange through its [`Progress`].
#[derive(Debug)]
pub(super) struct Upload<B> {
    /// `None` where there is no body to send.
    inner: Option<B>,
    progress: Option<Arc<Progress>>,
    failed: bool,
}

/// How far an upload has come, for the one who waits for the answer to it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    complete: AtomicBool,
    /// The client owes us bytes, the upstream owes us nothing.
    starved: AtomicBool,
    /// How often more of it was asked for, by hyper or by the pump of a stream: it stands still when the upstream takes
    /// nothing.
    polls: AtomicU32,
    stopped: AtomicBool,
    error: Mutex<Option<BoxError>>,
    exchange: AtomicWaker,
    upload: AtomicWaker,
}

impl<B> Upload<B>
where
    B: Body,
{
    /// Without a body there is no progress to watch either.
    pub(super) fn new(inner: Option<B>) -> (Self, Option<Arc<Progress>>) {
        let progress = inner.is_some().then(Arc::<Progress>::default);
        (Upload { inner, progress: progress.clone(), failed: false }, progress)
    }

    /// The body itself, where nothing of it was taken.
    pub(super) fn into_inner(self) -> Option<B> {
        self.inner
    }
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        let this = &mut *self;
        let (Some(inner), Some(progress)) = (&mut this.inner, &this.progress) else { return Poll::Ready(None) };
        if progress.poll_stopped(cx) {
            return Poll::Ready(Some(Err(Stopped)));
        }
        if this.failed {
            return Poll::Pending;
        }
        progress.polls.fetch_add(1, Ordering::Relaxed);
        let frame = Pin::new(&mut *inner).poll_frame(cx);
        progress.starved.store(frame.is_pending(), Ordering::Relaxed);
        match ready!(frame) {
            Some(Ok(frame)) => {
                // hyper asks for nothing after trailers.
                if frame.is_trailers() || inner.is_end_stream() {
                    progress.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.failed = true;
                progress.fail(error.into());
                Poll::Pending
            }
            None => {
                progress.finish();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.failed && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The exchange is over before its upload was. hyper closes the connection on this; a stream's pump only ends, and the
/// exchange resets the stream.
#[derive(Debug, thiserror::Error)]
#[error("the exchange is over")]
pub(super) struct Stopped;

impl Progress {
    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    pub(super) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    pub(super) fn polls(&self) -> u32 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Whom to wake when the upload completes or fails.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.exchange.register(cx.waker());
    }

    /// The client's error, once.
    pub(super) fn take_error(&self) -> Option<BoxError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends the upload, and over HTTP/1.1 the connection with it; a stream is reset by whoever ends the exchange.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.upload.wake();
    }

    /// For the sending side: whether it is to end. Wakes it if that comes later.
    pub(super) fn poll_stopped(&self, cx: &Context<'_>) -> bool {
        self.upload.register(cx.waker());
        self.stopped.load(Ordering::Acquire)
    }

    /// The upstream takes, and `starved` says whether the client has nothing to give.
    pub(super) fn moved(&self, starved: bool) {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.starved.store(starved, Ordering::Relaxed);
    }

    /// The last of it is on its way.
    pub(super) fn finish(&self) {
        self.complete.store(true, Ordering::Release);
        self.exchange.wake();
    }

    /// The client's side has failed.
    pub(super) fn fail(&self, error: BoxError) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.exchange.wake();
    }
}
