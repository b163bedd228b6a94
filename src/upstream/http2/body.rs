//! The body of a response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Frame, SizeHint};

use crate::upstream::error::Failure;

/// What comes on a stream after the head. What it gives out is granted to the peer anew, so that no more than a window
/// waits for its reader.
#[derive(Debug)]
pub(in crate::upstream) struct Body {
    stream: RecvStream,
    /// What is still to come, where it was declared.
    length: Option<u64>,
    data_done: bool,
}

impl Body {
    pub(super) fn new(stream: RecvStream, length: Option<u64>) -> Self {
        Body { stream, length, data_done: false }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Failure;

    /// Only END_STREAM is an end. RST_STREAM(NO_ERROR) after it never comes up here; before it, it is a cut as any other.
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let failed = |error| Failure::of_stream(&Arc::new(error));
        if !self.data_done {
            if let Some(data) = ready!(self.stream.poll_data(cx)) {
                return Poll::Ready(Some(data.map_err(failed).map(|data| {
                    // It fails only for more than was received.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.length = self.length.map(|length| length.saturating_sub(data.len() as u64));
                    Frame::data(data)
                })));
            }
            self.data_done = true;
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(failed).transpose();
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}
