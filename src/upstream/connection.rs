//! What one exchange has of a connection, and what can be done with it.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use super::await_head::Unanswered;
use super::endpoint::Seat;
use super::error::{BoxError, Failure};
use super::http1::{self, UpgradedIo};
use super::http2;
use crate::timer::Timer;

/// All of an HTTP/1.1 connection, or one stream of an HTTP/2 connection.
#[derive(Debug)]
pub(super) enum Connection<B> {
    Http1(http1::Exchange<B>),
    /// Boxed: the larger one, and all that has an exchange has room for it.
    Http2(Box<http2::Exchange<B>>),
}

impl<B> Connection<B> {
    /// Whether it had carried another exchange before.
    pub(super) fn reused(&self) -> bool {
        match self {
            Connection::Http1(exchange) => exchange.reused(),
            Connection::Http2(exchange) => exchange.reused(),
        }
    }

    /// For whatever is waited for. Nothing is said of what it was set to before.
    pub(super) fn timer(&mut self) -> &mut Timer {
        match self {
            Connection::Http1(exchange) => &mut exchange.connection().timer,
            Connection::Http2(exchange) => &mut exchange.timer,
        }
    }

    /// The next frame of the answer, once its head has come.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self {
            Connection::Http1(exchange) => exchange.poll_frame(cx),
            Connection::Http2(exchange) => exchange.poll_frame(cx),
        }
    }

    /// Whether the upstream has said all that it had to say, and all of it was taken.
    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Connection::Http1(exchange) => exchange.is_end_stream(),
            Connection::Http2(exchange) => exchange.is_end_stream(),
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Connection::Http1(exchange) => exchange.size_hint(),
            Connection::Http2(exchange) => exchange.size_hint(),
        }
    }

    /// Ready when the upstream has sent all of its answer, or closed. What comes of it is dropped.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Connection::Http1(exchange) => exchange.poll_end(cx),
            Connection::Http2(exchange) => exchange.poll_end(cx),
        }
    }

    /// Whether the upstream may be at work behind this failure, and the end of that can be heard: the connection stands.
    /// A stream that carries no HTTP has been reset by then.
    pub(super) fn stands_behind(&self, failure: &Failure) -> bool {
        matches!((self, failure), (Connection::Http1(_), Failure::Protocol(_)))
    }

    /// Tells the upstream that nobody waits for it any more. Whether its own end can still be heard after that: a stream
    /// can only be reset, and of a stream that is reset nothing is heard.
    #[must_use]
    pub(super) fn tell(&mut self) -> bool {
        match self {
            Connection::Http1(exchange) => {
                exchange.close_for_writing();
                true
            }
            Connection::Http2(_) => false,
        }
    }

    /// What it has become.
    pub(super) fn into_upgraded(self) -> Option<UpgradedIo> {
        match self {
            Connection::Http1(exchange) => Some(exchange.into_upgraded()),
            Connection::Http2(_) => None,
        }
    }

    /// The exchange has ended on both sides. The place of a stream is free for the next one with this.
    pub(super) fn give_back(self, seat: &Seat) {
        if let Connection::Http1(exchange) = self
            && let Some(connection) = exchange.into_connection()
        {
            seat.put(connection);
        }
    }

    /// Ends it for our side.
    pub(super) fn stop(&mut self) {
        match self {
            Connection::Http1(exchange) => exchange.close_for_writing(),
            Connection::Http2(exchange) => exchange.reset(),
        }
    }

    /// Ends it for both sides, without waiting for what is still on its way.
    pub(super) fn reset(&mut self) {
        if let Connection::Http1(exchange) = self {
            exchange.reset_on_close();
        }
        self.stop();
    }
}

impl<B> Connection<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// The head of the answer. Until it has come, this is what has the request sent.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Unanswered<B>>> {
        match self {
            Connection::Http1(exchange) => exchange.poll_head(cx),
            Connection::Http2(exchange) => exchange.poll_head(cx),
        }
    }
}
