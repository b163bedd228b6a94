//! Reading a request's body before admission (`buffer_request`).
//!
//! A client that sends slowly would hold its permit while nobody works for it. So the body is read first, as far as the
//! route says, and only then does the request take a permit or its place in the queue. What was read is on the account
//! of the route's first limit, whose `queue_bytes` bounds that of all its requests together: where there is no room, a
//! request goes on as if it had sent all that the route asks for. What a waiting request sends beyond it is read ahead
//! by [`Spool`], as always.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::request_body::{RequestBody, RequestBodyError};
use crate::admission::{Account, Spool};

/// The beginning of a body, or all of it, copied together: frames each hold on to a buffer many times their size.
#[derive(Debug)]
pub(super) struct Ahead {
    data: Bytes,
    trailers: Option<HeaderMap>,
    /// Dropped with the rest, once that is on its way. `None` for a route without limits.
    _account: Option<Account>,
}

impl Ahead {
    /// Reads until the body has ended or `most` bytes are there, to the end of a frame, or `account` has no more room. In
    /// the latter cases what is left stays in `body`.
    ///
    /// The first read answers `Expect: 100-continue`: who asks for this asks for the body before admission.
    ///
    /// # Errors
    /// The body's own: it broke off, or its client was silent for too long.
    ///
    /// # Cancel safety
    /// Dropping it loses what was read. It is dropped with its request.
    pub(super) async fn read(
        body: &mut RequestBody,
        most: usize,
        mut account: Option<Account>,
    ) -> Result<Self, RequestBodyError> {
        let mut data = Vec::new();
        let mut trailers = None;
        while data.len() < most && !body.is_end_stream() && account.as_ref().is_none_or(Account::has_room) {
            match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await.transpose()?.map(Frame::into_data) {
                Some(Ok(more)) => {
                    append(&mut data, &more, most);
                    if let Some(account) = &mut account {
                        account.hold(data.capacity());
                    }
                }
                last => {
                    trailers = last.and_then(|frame| frame.err()?.into_trailers().ok());
                    *body = RequestBody::empty();
                }
            }
        }
        Ok(Ahead { data: data.into(), trailers, _account: account })
    }

    /// What was read, but for trailers.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    #[cfg(test)]
    pub(super) fn of(body: &'static str) -> Self {
        Ahead { data: body.into(), trailers: None, _account: None }
    }

    fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.data.is_empty() {
            self.trailers.take().map(Frame::trailers)
        } else {
            Some(Frame::data(std::mem::take(&mut self.data)))
        }
    }

    fn is_empty(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }
}

/// Grows by doubling, but not beyond what is going to be there.
fn append(data: &mut Vec<u8>, more: &[u8], most: usize) {
    let needed = data.len() + more.len();
    if needed > data.capacity() {
        let capacity = needed.max((data.capacity() * 2).min(most));
        data.reserve_exact(capacity - data.len());
    }
    data.extend_from_slice(more);
}

/// A body as it goes upstream: what was read before admission, what was read while waiting, and the rest.
#[derive(Debug)]
pub(super) struct ForwardedBody {
    /// Boxed, since most requests have none.
    ahead: Option<Box<Ahead>>,
    rest: Spool<RequestBody>,
}

impl ForwardedBody {
    /// `None` where all of it has been taken, or there is none: most requests take no room for it.
    pub(super) fn new(ahead: Option<Box<Ahead>>, rest: Spool<RequestBody>) -> Option<Box<Self>> {
        let ahead = ahead.filter(|ahead| !ahead.is_empty());
        (ahead.is_some() || !rest.is_end_stream()).then(|| Box::new(ForwardedBody { ahead, rest }))
    }
}

impl Body for ForwardedBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        if let Some(ahead) = &mut self.ahead {
            let frame = ahead.next();
            if ahead.is_empty() {
                self.ahead = None;
            }
            return Poll::Ready(frame.map(Ok));
        }
        Pin::new(&mut self.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.rest.size_hint();
        if let Some(ahead) = &self.ahead {
            let read = ahead.data.len() as u64;
            // The upper bound first: a lower one above it is refused.
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + read);
            }
            hint.set_lower(hint.lower() + read);
        }
        hint
    }
}
