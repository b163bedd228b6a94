//! A request body that may be read while its request waits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::limiter::Gate;

/// Wraps `B`; what was read while waiting comes out first.
///
/// Reading ahead is not for speed: behind a body that nobody reads, TCP does not show that a client has left. It is
/// bounded by the limit's `queue_bytes`, for all its waiting requests together.
#[derive(Debug)]
pub struct Spool<B> {
    inner: B,
    read_ahead: VecDeque<Frame<Bytes>>,
    account: Option<Account>,
}

/// The bytes that a spool holds, as the gate counts them.
#[derive(Debug)]
struct Account {
    gate: Arc<Gate>,
    bytes: u64,
}

impl<B> Spool<B> {
    /// Wraps `inner` with nothing read yet.
    pub fn new(inner: B) -> Self {
        Spool { inner, read_ahead: VecDeque::new(), account: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Spool<B> {
    /// Reads ahead as far as `gate` has room. Ready with an error if the body failed.
    pub(super) fn poll_read_ahead(&mut self, gate: &Arc<Gate>, cx: &mut Context<'_>) -> Poll<B::Error> {
        while !self.inner.is_end_stream() && gate.has_spool_room() {
            match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                    let account = self.account.get_or_insert_with(|| Account { gate: gate.clone(), bytes: 0 });
                    account.bytes += bytes;
                    account.gate.spool(bytes);
                    self.read_ahead.push_back(frame);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(error),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Pending
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Spool<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(frame) = self.read_ahead.pop_front() else {
            return Pin::new(&mut self.inner).poll_frame(cx);
        };
        if self.read_ahead.is_empty() {
            self.account = None;
        } else if let Some(account) = &mut self.account {
            account.refund(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.read_ahead.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let ahead: u64 =
            self.read_ahead.iter().filter_map(|frame| frame.data_ref()).map(|data| data.len() as u64).sum();
        if ahead > 0 {
            // The upper bound first: a lower one above it is refused.
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + ahead);
            }
            hint.set_lower(hint.lower() + ahead);
        }
        hint
    }
}

impl Account {
    fn refund(&mut self, bytes: u64) {
        self.bytes -= bytes;
        self.gate.unspool(bytes);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.gate.unspool(self.bytes);
    }
}
