//! One request and its answer on a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};

use super::body::Body;
use super::stream::Stream;
use crate::timer::Timer;
use crate::upstream::await_head::Unanswered;
use crate::upstream::error::Failure;

/// An answer's head to come, with its body behind it.
pub(in crate::upstream) type HeadFuture<B> =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Unanswered<B>>> + Send>>;

/// An exchange under way. A task sends the body of its request.
pub(in crate::upstream) struct Exchange<B> {
    stream: Stream,
    answer: Answer<B>,
    pub(in crate::upstream) timer: Timer,
}

enum Answer<B> {
    Head(HeadFuture<B>),
    Body(Body),
    None,
}

impl<B> Exchange<B> {
    pub(in crate::upstream) fn new(stream: Stream, head: HeadFuture<B>) -> Box<Self> {
        Box::new(Exchange { stream, answer: Answer::Head(head), timer: Timer::default() })
    }

    pub(in crate::upstream) fn reused(&self) -> bool {
        self.stream.reused()
    }

    pub(in crate::upstream) fn reset(&self) {
        self.stream.reset();
    }

    pub(in crate::upstream) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Unanswered<B>>> {
        let Answer::Head(head) = &mut self.answer else { panic!("polled after completion") };
        let (answer, result) = match ready!(head.as_mut().poll(cx)) {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                (Answer::Body(body), Ok(Response::from_parts(parts, ())))
            }
            Err(unanswered) => (Answer::None, Err(unanswered)),
        };
        self.answer = answer;
        Poll::Ready(result)
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match &mut self.answer {
            Answer::Body(body) => Pin::new(body).poll_frame(cx),
            Answer::Head(_) | Answer::None => Poll::Ready(None),
        }
    }

    pub(in crate::upstream) fn is_end_stream(&self) -> bool {
        match &self.answer {
            Answer::Body(body) => body.is_end_stream(),
            Answer::Head(_) => false,
            Answer::None => true,
        }
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        match &self.answer {
            Answer::Body(body) => body.size_hint(),
            Answer::Head(_) | Answer::None => SizeHint::default(),
        }
    }

    pub(in crate::upstream) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Answer::Head(_) = self.answer
            && ready!(self.poll_head(cx)).is_err()
        {
            return Poll::Ready(());
        }
        while let Some(Ok(_)) = ready!(self.poll_frame(cx)) {}
        Poll::Ready(())
    }
}

impl<B> std::fmt::Debug for Exchange<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("stream", &self.stream).finish_non_exhaustive()
    }
}
