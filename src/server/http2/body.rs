//! A response body that tells its stream how it moves.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::streams::Stream;
use crate::proxy::{self, Failure};

/// hyper asks for the next frame when the client has window for the last.
#[derive(Debug)]
pub(super) struct StreamBody {
    inner: proxy::Body,
    stream: Arc<Stream>,
}

impl StreamBody {
    pub(super) fn new(inner: proxy::Body, stream: Arc<Stream>) -> Self {
        if inner.is_end_stream() {
            stream.end_response();
        }
        StreamBody { inner, stream }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.inner).poll_frame(cx);
        this.stream.asked(frame.is_ready());
        let ended = match &frame {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers() || this.inner.is_end_stream(),
            Poll::Ready(_) => true,
            Poll::Pending => false,
        };
        if ended {
            this.stream.end_response();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
