//! A response body that tells the wire when its exchange has ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::wire::InExchange;
use crate::proxy::{self, Failure};

/// hyper drops it once it has taken the last frame.
#[derive(Debug)]
pub(super) struct WireBody {
    inner: proxy::Body,
    exchange: InExchange,
}

impl WireBody {
    pub(super) fn new(inner: proxy::Body, exchange: InExchange) -> Self {
        WireBody { inner, exchange }
    }
}

impl Body for WireBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Err(_))) = frame {
            self.exchange.set_failed();
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
