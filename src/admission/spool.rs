//! A request body that may be read while its request waits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::account::Account;
use super::gate::Gate;

/// Wraps `B`; what was read while waiting comes out first.
///
/// Reading ahead is not for speed: behind a body that nobody reads, TCP does not show that a client has left. It is
/// bounded by the limit's `queue_bytes`, for all its waiting requests together. What is read ahead is copied into one
/// buffer: the frames themselves each hold on to a buffer many times their size.
#[derive(Debug)]
pub struct Spool<B> {
    inner: B,
    /// Boxed, since most requests have none.
    read_ahead: Option<Box<ReadAhead>>,
}

/// What was read while waiting. Its memory is on the gate's account until it is dropped.
#[derive(Debug)]
struct ReadAhead {
    data: BytesMut,
    trailers: Option<HeaderMap>,
    account: Account,
}

impl<B> Spool<B> {
    /// Wraps `inner` with nothing read yet.
    pub fn new(inner: B) -> Self {
        Spool { inner, read_ahead: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Spool<B> {
    /// Reads ahead as far as there is room on the account of `gate`, or of the earlier gate that has it on its account
    /// already: what is in memory is bounded by the sum of the accounts, whichever way requests go. Ready with an error if
    /// the body failed.
    pub(super) fn poll_read_ahead(&mut self, gate: &Arc<Gate>, cx: &mut Context<'_>) -> Poll<B::Error> {
        let gate = &self.read_ahead.as_ref().map_or(gate, |ahead| ahead.account.gate()).clone();
        while !self.inner.is_end_stream() && gate.has_spool_room() {
            match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.read_ahead.get_or_insert_with(|| Box::new(ReadAhead::new(gate.clone()))).take(frame);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(error),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Pending
    }
}

impl ReadAhead {
    fn new(gate: Arc<Gate>) -> Self {
        ReadAhead { data: BytesMut::new(), trailers: None, account: Account::new(gate) }
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => self.data.extend_from_slice(&data),
            Err(frame) => self.trailers = frame.into_trailers().ok(),
        }
        self.account.hold(self.data.capacity());
    }

    fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.data.is_empty() {
            self.trailers.take().map(Frame::trailers)
        } else {
            Some(Frame::data(self.data.split().freeze()))
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Spool<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if let Some(read_ahead) = &mut this.read_ahead {
            if let Some(frame) = read_ahead.next() {
                return Poll::Ready(Some(Ok(frame)));
            }
            this.read_ahead = None;
        }
        Pin::new(&mut this.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.read_ahead.as_ref().is_none_or(|ahead| ahead.data.is_empty() && ahead.trailers.is_none())
            && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        if let Some(read_ahead) = &self.read_ahead {
            let ahead = read_ahead.data.len() as u64;
            // The upper bound first: a lower one above it is refused.
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + ahead);
            }
            hint.set_lower(hint.lower() + ahead);
        }
        hint
    }
}
