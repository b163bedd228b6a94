//! What a client gets.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;

use super::deadline::Due;
use super::queue_events::QueueEvents;
use super::record::Record;
use super::registry::Live;
use super::relay::Relay;
use super::request_ahead::ForwardedBody;
use super::tunnel::Tunnel;
use crate::admission::Permit;
use crate::clock;
use crate::upstream::{Failure, ResponseBody};

/// The upstream's body, with the permit until its end.
pub(super) type UpstreamBody = ResponseBody<Box<ForwardedBody>, Held>;

/// What goes with an exchange until its end, whether its client is there or not.
#[derive(Debug)]
pub(super) struct Held {
    /// `None` for `limit = "none"`, and once all of it has come back.
    permit: Option<Permit>,
    /// Dropped behind the permit: who is not shown any more holds nothing.
    live: Option<Arc<Live>>,
}

impl Held {
    pub(super) fn new(permit: Option<Permit>, record: &Record) -> Self {
        Held { permit, live: record.live().cloned() }
    }

    /// The head of the answer has come: what is held until then comes back.
    pub(super) fn release_at_head(&mut self) {
        if self.permit.as_mut().is_some_and(Permit::release_at_head) {
            self.release();
        }
    }

    /// Gives back what is held, and notes when that was.
    fn release(&mut self) {
        if self.permit.take().is_some()
            && let Some(live) = &self.live
        {
            live.released(clock::now());
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

/// The body of an answer: our own, or the upstream's.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    bytes: u64,
    record: Record,
    /// What the connection becomes after it.
    tunnel: Option<Box<Tunnel>>,
}

#[derive(Debug)]
enum Kind {
    Own(Full<Bytes>),
    Upstream(UpstreamBody),
    Relayed(Relay),
    /// Events of ours, and the upstream's behind them.
    Events(QueueEvents),
}

impl Body {
    pub(super) fn own(bytes: Bytes, record: Record) -> Self {
        Body { kind: Kind::Own(Full::new(bytes)), bytes: 0, record, tunnel: None }
    }

    pub(super) fn events(events: QueueEvents, record: Record) -> Self {
        Body { kind: Kind::Events(events), bytes: 0, record, tunnel: None }
    }

    /// No body at all: the connection becomes a tunnel.
    pub(super) fn tunnel(tunnel: Tunnel) -> Self {
        let mut body = Body::own(Bytes::new(), Record::default());
        body.tunnel = Some(Box::new(tunnel));
        body
    }

    /// What the connection becomes, for whoever runs it.
    pub fn take_tunnel(&mut self) -> Option<Box<Tunnel>> {
        self.tunnel.take()
    }

    /// The upstream's, which is read up to `ahead` bytes ahead of the client, and cut at the deadline.
    pub(super) fn upstream(body: UpstreamBody, ahead: usize, due: Option<Due>, record: Record) -> Self {
        let kind = if body.is_end_stream() {
            record.completed(0);
            Kind::Upstream(body)
        } else if ahead > 0 || due.is_some() {
            Kind::Relayed(Relay::new(body, ahead, due))
        } else {
            Kind::Upstream(body)
        };
        Body { kind, bytes: 0, record, tunnel: None }
    }

    /// Whether it only says, so far, that its request waits. Then what it says can be left out, it has to be polled for
    /// the request to go on, and nothing has been answered yet.
    pub fn is_waiting(&self) -> bool {
        matches!(&self.kind, Kind::Events(QueueEvents::Waiting(_)))
    }

    /// An operator has ended it. Dropping what there was abandons the exchange.
    fn cancelled(&mut self) -> Failure {
        self.kind = Kind::Own(Full::default());
        self.close(|record, bytes| record.broken(bytes, &Failure::Cancelled));
        Failure::Cancelled
    }

    /// Lets go of the record, with a last word.
    fn close(&mut self, last: impl FnOnce(&Record, u64)) {
        if self.record.is_kept() {
            last(&std::mem::take(&mut self.record), self.bytes);
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        // An upstream that is faster than the client has something each time, and nobody is woken.
        let live = this.record.live().filter(|_| !matches!(this.kind, Kind::Own(_)));
        if live.is_some_and(|live| live.is_cancelled()) {
            return Poll::Ready(Some(Err(this.cancelled())));
        }
        let polled = match &mut this.kind {
            Kind::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Kind::Upstream(body) => Pin::new(body).poll_frame(cx),
            Kind::Relayed(body) => body.poll_frame(cx),
            Kind::Events(body) => body.poll_frame(cx),
        };
        let frame = match polled {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                std::task::ready!(this.record.poll_cancelled(cx));
                return Poll::Ready(Some(Err(this.cancelled())));
            }
        };
        match &frame {
            Some(Ok(frame)) => {
                this.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                if frame.is_trailers() || this.is_end_stream() {
                    this.close(Record::completed);
                }
            }
            Some(Err(failure)) => this.close(|record, bytes| record.broken(bytes, failure)),
            None => this.close(Record::completed),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(body) => body.is_end_stream(),
            Kind::Upstream(body) => body.is_end_stream(),
            Kind::Relayed(body) => body.is_end_stream(),
            Kind::Events(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(body) => body.size_hint(),
            Kind::Upstream(body) => body.size_hint(),
            Kind::Relayed(body) => body.size_hint(),
            Kind::Events(_) => SizeHint::new(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.close(Record::left);
    }
}
