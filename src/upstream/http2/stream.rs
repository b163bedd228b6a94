//! One exchange's stream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, SendStream};
use http::Request;
use http::header::CONTENT_LENGTH;
use http::request::Parts;

use super::body::Body;
use super::connection::{Lease, Place};
use super::watched::Seen;
use crate::upstream::await_head::{HeadFuture, Unanswered};
use crate::upstream::error::Failure;
use crate::upstream::received::Received;

/// A stream that has been opened. Dropping the last handle of one that has not ended resets it with CANCEL.
#[derive(Debug)]
pub(in crate::upstream) struct Stream {
    // Dropped before its place, which is free when the stream is gone.
    sending: Sending,
    place: Place,
}

/// The sending half, for the one who sends the body and the one who resets.
#[derive(Debug, Clone)]
pub(super) struct Sending(Arc<Mutex<SendStream<Bytes>>>);

/// A stream with the head that will come on it.
pub(in crate::upstream) struct Begun {
    pub(in crate::upstream) stream: Stream,
    pub(in crate::upstream) response: Response,
}

/// The head to come.
pub(in crate::upstream) struct Response {
    head: ResponseFuture,
    seen: Arc<Seen>,
}

/// Sends a head, whose body follows unless `bodiless`.
///
/// # Errors
/// Nothing was sent: the connection has ended, or is about to.
pub(in crate::upstream) fn begin(mut lease: Lease, parts: Parts, bodiless: bool) -> Result<Begun, Failure> {
    match lease.sender.send_request(Request::from_parts(parts, ()), bodiless) {
        Ok((response, sending)) => {
            let sending = Sending(Arc::new(Mutex::new(sending)));
            let response = Response { head: response, seen: lease.place.seen().clone() };
            Ok(Begun { stream: Stream { sending, place: lease.place }, response })
        }
        Err(error) => Err(Failure::of_stream(&Arc::new(error))),
    }
}

impl Stream {
    pub(in crate::upstream) fn reused(&self) -> bool {
        self.place.reused()
    }

    /// Tells the upstream that nobody wants the rest, and wants to send none. Nothing happens to a stream that has ended.
    pub(in crate::upstream) fn reset(&self) {
        self.sending.lock().send_reset(Reason::CANCEL);
    }

    pub(super) fn sending(&self) -> Sending {
        self.sending.clone()
    }
}

impl Sending {
    pub(super) fn lock(&self) -> MutexGuard<'_, SendStream<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Response {
    /// Resolves to the head; 1xx are swallowed on the way.
    pub(in crate::upstream) fn head<B: 'static>(self) -> HeadFuture<B> {
        Box::pin(async move {
            match self.head.await {
                Ok(response) => {
                    let length =
                        response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
                    Ok(response.map(|body| Received::Http2(Box::new(Body::new(body, length)))))
                }
                Err(error) => Err(unanswered(error, &self.seen)),
            }
        })
    }
}

/// REFUSED_STREAM, and a GOAWAY that does not count the stream in, say that the peer has not looked at the request
/// (RFC 9113 §8.7). A GOAWAY that does lets the stream go on, and is not seen here.
fn unanswered<B>(error: h2::Error, seen: &Seen) -> Unanswered<B> {
    let refused = error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM);
    let (remote, closed) = (error.is_remote(), !error.is_reset() && !error.is_library() && !seen.is_given_up());
    let failure = Failure::of_stream(&Arc::new(error));
    match (remote && refused, closed) {
        (true, _) => Unanswered::Refused(failure),
        (false, true) => Unanswered::Closed(failure),
        (false, false) => Unanswered::Ended(failure),
    }
}
