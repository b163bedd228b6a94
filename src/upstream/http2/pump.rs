//! The request body on its way to the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;

use super::stream::{Sending, Stream};
use crate::upstream::error::BoxError;
use crate::upstream::headers::remove_hop_by_hop;
use crate::upstream::source::{Piece, Shared};
use crate::upstream::upload::Progress;

/// Sends a body on its stream, as the peer grants room for it. Ready when it has ended, or when it is of no use any more.
///
/// Only what has room is handed over, END_STREAM included: what is complete by [`Progress`] waits for nothing but the
/// socket. A body that fails gets no end; it tells the exchange, which resets the stream.
pub(in crate::upstream) struct Pump<B> {
    source: Shared<B>,
    progress: Arc<Progress>,
    sending: Sending,
    next: Next,
}

enum Next {
    Read,
    /// Send this; whether it is the last.
    Data(Bytes, bool),
    /// There is nothing to send, and never will be.
    Failed,
}

/// What one stream asks for at a time: a frame. What is granted to it is granted to no other stream of the connection.
const CLAIM: usize = 16 << 10;

impl<B> Pump<B> {
    pub(in crate::upstream) fn new(source: Shared<B>, stream: &Stream, progress: Arc<Progress>) -> Self {
        Pump { source, progress, sending: stream.sending(), next: Next::Read }
    }

    /// Ready when all of it has been handed over.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        let Next::Data(data, last) = &mut self.next else { return Poll::Ready(Ok(())) };
        let mut sending = self.sending.lock();
        loop {
            if !data.is_empty() {
                sending.reserve_capacity(data.len().min(CLAIM));
                while sending.capacity() == 0 {
                    match ready!(sending.poll_capacity(cx)) {
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return Poll::Ready(Err(Over)),
                    }
                }
            }
            let piece = data.split_to(sending.capacity().min(data.len()));
            let end = *last && data.is_empty();
            sending.send_data(piece, end).map_err(|_| Over)?;
            self.progress.moved(false);
            if end {
                self.progress.finish();
                return Poll::Ready(Err(Over));
            }
            if data.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn send_trailers(&self, mut trailers: HeaderMap) {
        // HTTP/1.1 lets them pass (RFC 9110 §6.5.1 warns of it); here they would spoil the whole request.
        remove_hop_by_hop(&mut trailers);
        let mut sending = self.sending.lock();
        match sending.send_trailers(trailers) {
            Ok(()) => self.progress.finish(),
            Err(error) => self.progress.fail(error.into()),
        }
    }
}

/// The stream takes nothing more from here.
struct Over;

impl<B> Pump<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        ready!(self.poll_data(cx))?;
        if matches!(self.next, Next::Failed) {
            return Poll::Pending;
        }
        self.next = Next::Read;
        let piece = self.source.poll_piece(cx);
        self.progress.moved(piece.is_pending());
        match ready!(piece).ok_or(Over)? {
            Ok(Piece::Data(data)) => self.next = Next::Data(data, false),
            Ok(Piece::Last(data)) => self.next = Next::Data(data, true),
            Ok(Piece::Trailers(trailers)) => {
                self.send_trailers(trailers);
                return Poll::Ready(Err(Over));
            }
            Err(error) => {
                self.next = Next::Failed;
                self.progress.fail(error);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<B> Future for Pump<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Whatever comes of the stream, its reading half says so to the exchange.
        if this.progress.poll_stopped(cx) || this.sending.lock().poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        while let Ok(()) = ready!(this.poll_next(cx)) {}
        Poll::Ready(())
    }
}
