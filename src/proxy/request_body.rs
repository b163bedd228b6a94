//! A request's body on its way from the client.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::grpc::is_grpc;
use crate::timer::Timer;
use crate::upstream::Failure;

/// What the client sends behind a request's head.
#[derive(Debug)]
pub struct RequestBody {
    inner: Inner,
    /// How many bytes of it have come, where somebody wants to know.
    count: Option<Arc<AtomicU64>>,
    /// How many bytes more it may have.
    room: u64,
    /// Whether it was asked for. That is what `100 Continue` says.
    begun: bool,
}

impl From<Inner> for RequestBody {
    fn from(inner: Inner) -> Self {
        RequestBody { inner, count: None, room: u64::MAX, begun: false }
    }
}

#[derive(Debug)]
enum Inner {
    /// The wire below hyper looks after its time.
    Http1(Incoming),
    /// Boxed, since it is the larger by far, and most requests have no body.
    Http2(Box<Stream>),
    Empty,
    /// There was more of it than may be. The rest is of no use to anybody.
    TooLarge,
}

/// A body on a stream of its own.
#[derive(Debug)]
struct Stream {
    data: RecvStream,
    /// What its head has declared of it and has not come.
    left: Option<u64>,
    data_ended: bool,
    /// Whether it may fall silent once it has begun.
    converses: bool,
    idle_timeout: Option<Duration>,
    idle: Timer,
    upload: Arc<Upload>,
}

/// What those who read a body and those who answer its request tell each other, on HTTP/2.
#[derive(Debug, Default)]
pub struct Upload {
    read: AtomicBool,
    answered: AtomicBool,
    reader: AtomicWaker,
}

/// Why there is no more of a request's body.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// It broke off, or is malformed.
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    /// Its stream was reset, or its connection is gone.
    #[error(transparent)]
    Http2(#[from] h2::Error),
    /// The client was silent for too long.
    #[error("the request's body did not come in time")]
    Late(#[source] io::Error),
    /// It has more bytes than it [may have](RequestBody::at_most).
    #[error("the request's body is larger than it may be")]
    TooLarge,
}

impl RequestBodyError {
    /// Whether it is the client that has left, so that there is nobody to answer.
    pub(super) fn is_client_gone(&self) -> bool {
        match self {
            RequestBodyError::Http1(error) => {
                error.source().and_then(|source| source.downcast_ref()).is_some_and(is_end)
            }
            RequestBodyError::Http2(error) => error.is_reset() || error.is_io() || error.is_go_away(),
            RequestBodyError::Late(_) | RequestBodyError::TooLarge => false,
        }
    }
}

/// Whether a connection has ended with it. What is malformed is `InvalidData` or `InvalidInput`, what is late `TimedOut`.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// Whether a request failed because its client has left, so that there is nobody to answer.
pub(super) fn is_client_gone(failure: &Failure) -> bool {
    let Failure::RequestBody(error) = failure else { return false };
    error.downcast_ref::<RequestBodyError>().is_some_and(RequestBodyError::is_client_gone)
}

impl RequestBody {
    /// A body of HTTP/1, or none.
    pub fn http1(incoming: Incoming) -> Self {
        Inner::Http1(incoming).into()
    }

    /// The same body, which fails where it has more than `most` bytes.
    #[must_use]
    pub fn at_most(self, most: u64) -> Self {
        RequestBody { room: most, ..self }
    }

    /// Whether its head has declared more than it may have.
    pub fn is_declared_too_large(&self) -> bool {
        self.size_hint().lower() > self.room
    }

    /// Whether it has been asked for: who waits for `100 Continue` has got it.
    pub(super) fn is_begun(&self) -> bool {
        self.begun
    }

    /// No body, or none any more.
    pub(super) fn empty() -> Self {
        Inner::Empty.into()
    }

    /// Counts its bytes from now on.
    pub(super) fn count(&mut self) -> Arc<AtomicU64> {
        self.count.get_or_insert_default().clone()
    }

    /// A body of HTTP/2, behind a head with these fields, and what its readers tell; no body tells nothing. It fails when it
    /// has been waited for, in vain, for `idle_timeout`, as long as nothing has been answered: from then on it may be a
    /// conversation, which has its silences. One that converses by its nature, as gRPC does, has them once it has begun: its
    /// server may not answer before there is something to say.
    pub fn http2(data: RecvStream, fields: &HeaderMap, idle_timeout: Duration) -> (Self, Option<Arc<Upload>>) {
        if data.is_end_stream() {
            return (RequestBody::empty(), None);
        }
        let left = fields.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let upload = Arc::<Upload>::default();
        let stream = Stream {
            data,
            left,
            data_ended: false,
            converses: is_grpc(fields),
            idle_timeout: Some(idle_timeout),
            idle: Timer::default(),
            upload: upload.clone(),
        };
        (Inner::Http2(Box::new(stream)).into(), Some(upload))
    }
}

impl Upload {
    /// Ready once somebody reads the body: the moment for `100 Continue`.
    pub fn poll_read_begun(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.reader.register(cx.waker());
        if self.read.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The answer has begun.
    pub fn set_answered(&self) {
        self.answered.store(true, Relaxed);
    }
}

impl Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        if !self.upload.read.swap(true, Relaxed) {
            self.upload.reader.wake();
        }
        let frame = match self.poll_stream(cx) {
            Poll::Pending => {
                ready!(self.poll_late(cx));
                return Poll::Ready(Some(Err(RequestBodyError::Late(io::ErrorKind::TimedOut.into()))));
            }
            Poll::Ready(frame) => frame,
        };
        self.idle.set(None);
        Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::Http2)))
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_ended {
            match ready!(self.data.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.idle_timeout = self.idle_timeout.filter(|_| !self.converses);
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    // It is on the reader's account from here on.
                    let _ = self.data.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.data_ended = true,
            }
        }
        Poll::Ready(ready!(self.data.poll_trailers(cx)).transpose().map(|trailers| trailers.map(Frame::trailers)))
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(idle_timeout) = self.idle_timeout else { return Poll::Pending };
        if !self.idle.is_set() {
            self.idle.set(Instant::now().checked_add(idle_timeout));
        }
        ready!(self.idle.poll(cx));
        if self.upload.answered.load(Relaxed) { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        self.begun = true;
        let frame = match &mut self.inner {
            Inner::Http1(incoming) => {
                ready!(Pin::new(incoming).poll_frame(cx)).map(|f| f.map_err(RequestBodyError::Http1))
            }
            Inner::Http2(stream) => ready!(stream.poll_frame(cx)),
            Inner::Empty => None,
            Inner::TooLarge => Some(Err(RequestBodyError::TooLarge)),
        };
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, |data| data.len() as u64);
        if let Some(count) = &self.count {
            count.fetch_add(data, Relaxed);
        }
        match self.room.checked_sub(data) {
            Some(room) => self.room = room,
            None => {
                self.inner = Inner::TooLarge;
                return Poll::Ready(Some(Err(RequestBodyError::TooLarge)));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Http1(incoming) => incoming.is_end_stream(),
            Inner::Http2(stream) => stream.data.is_end_stream(),
            Inner::Empty => true,
            Inner::TooLarge => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Http1(incoming) => incoming.size_hint(),
            Inner::Http2(stream) => stream.left.map_or_else(SizeHint::default, SizeHint::with_exact),
            Inner::Empty => SizeHint::with_exact(0),
            Inner::TooLarge => SizeHint::default(),
        }
    }
}
