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
use super::exchange::HeadFuture;
use super::watched::Seen;
use crate::upstream::await_head::Unanswered;
use crate::upstream::error::Failure;
use crate::upstream::source::Shared;

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
    /// How much had been written to the socket before the stream was begun.
    written: u64,
}

/// Sends a head, whose body follows unless `bodiless`.
///
/// # Errors
/// Nothing was sent: the connection has ended, or is about to.
pub(in crate::upstream) fn begin(mut lease: Lease, parts: Parts, bodiless: bool) -> Result<Begun, Failure> {
    let seen = lease.place.seen().clone();
    let written = seen.written();
    match lease.sender.send_request(Request::from_parts(parts, ()), bodiless) {
        Ok((response, sending)) => {
            let sending = Sending(Arc::new(Mutex::new(sending)));
            let response = Response { head: response, seen, written };
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
    /// Resolves to the head; 1xx are swallowed on the way. Until then `source`, the request's body, is kept.
    pub(in crate::upstream) fn head<B: Send + 'static>(self, source: Option<Shared<B>>) -> HeadFuture<B> {
        Box::pin(async move {
            match self.head.await {
                Ok(response) => {
                    if let Some(source) = source {
                        source.forget();
                    }
                    let length =
                        response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
                    Ok(response.map(|body| Body::new(body, length)))
                }
                Err(error) => Err(unanswered(error, &self.seen, self.written, source)),
            }
        })
    }
}

/// REFUSED_STREAM, and a GOAWAY that does not count the stream in, say that the peer has not looked at the request
/// (RFC 9113 §8.7). A GOAWAY that does lets the stream go on, and is not seen here. Of a connection that has ended it is
/// certain where nothing has been written to it since, for this stream or any other.
fn unanswered<B>(error: h2::Error, seen: &Seen, written: u64, source: Option<Shared<B>>) -> Unanswered<B> {
    let left_out = error.is_remote() && error.is_go_away();
    let refused = error.is_remote() && error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let ended = !error.is_reset() && !error.is_library();
    let unprocessed = left_out || refused || (ended && seen.written() == written);
    let failure = Failure::of_stream(&Arc::new(error));
    match (unprocessed, source.map(|source| source.take_back())) {
        (true, None) => Unanswered::Unprocessed { parts: None, body: None, failure, refused },
        (true, Some(Some(body))) => Unanswered::Unprocessed { parts: None, body: Some(body), failure, refused },
        // Too much of it is gone.
        (true, Some(None)) => Unanswered::Ended(failure),
        (false, _) if ended && !seen.is_given_up() => Unanswered::Closed { parts: None, failure },
        (false, _) => Unanswered::Ended(failure),
    }
}
