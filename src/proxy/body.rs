//! The two kinds of response bodies.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::admission::{Permit, Spool};
use crate::upstream::{Failure, ResponseBody};

/// What a client gets.
#[derive(Debug)]
pub enum Body {
    /// An answer of our own.
    Own(Full<Bytes>),
    /// The upstream's, with the permit until its end.
    Upstream(ResponseBody<Spool<Incoming>, Option<Permit>>),
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.get_mut() {
            Body::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Body::Upstream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Own(body) => body.is_end_stream(),
            Body::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Own(body) => body.size_hint(),
            Body::Upstream(body) => body.size_hint(),
        }
    }
}
