//! A request's body on its way from the client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::timer::Timer;

/// What hyper reads from the client.
///
/// On HTTP/1 the wire below hyper knows how long a body has been silent. On HTTP/2, where a connection carries many, only
/// the one who reads a body does: it is [`patient`](RequestBody::patient) for so long.
#[derive(Debug)]
pub struct RequestBody {
    inner: Incoming,
    /// Boxed, since most requests have no body, or the wire looks after it.
    patience: Option<Box<Patience>>,
}

#[derive(Debug)]
struct Patience {
    idle_timeout: Duration,
    idle: Timer,
}

/// Why there is no more of a request's body.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// It broke off, or is malformed.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// The client was silent for too long.
    #[error("the request's body did not come in time")]
    Late(#[source] io::Error),
}

impl RequestBody {
    /// A body whose silence somebody else looks after.
    pub fn new(inner: Incoming) -> Self {
        RequestBody { inner, patience: None }
    }

    /// A body that fails when it has been waited for, in vain, for `idle_timeout`. While nobody reads, no time passes.
    pub fn patient(inner: Incoming, idle_timeout: Duration) -> Self {
        let patience = (!inner.is_end_stream()).then(|| Box::new(Patience { idle_timeout, idle: Timer::default() }));
        RequestBody { inner, patience }
    }
}

impl Patience {
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.idle.is_set() {
            self.idle.set(Instant::now().checked_add(self.idle_timeout));
        }
        self.idle.poll(cx)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = &mut *self;
        match (Pin::new(&mut this.inner).poll_frame(cx), &mut this.patience) {
            (Poll::Ready(frame), patience) => {
                if let Some(patience) = patience {
                    patience.idle.set(None);
                }
                Poll::Ready(frame.map(|frame| Ok(frame?)))
            }
            (Poll::Pending, None) => Poll::Pending,
            (Poll::Pending, Some(patience)) => {
                ready!(patience.poll_over(cx));
                Poll::Ready(Some(Err(RequestBodyError::Late(io::ErrorKind::TimedOut.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
