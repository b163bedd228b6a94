//! One attempt to have a request answered, on one connection.
//!
//! An exchange is put into one box as it begins, and is moved about as a pointer from then on, until its last owner ends it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{StatusCode, Uri};
use http_body::Body;
use tokio::time::Instant;

use super::await_head::{AwaitHead, Begun, HeadFailed, Unanswered};
use super::connection::Connection;
use super::endpoint::Seat;
use super::error::{BoxError, Failure};
use super::exchange::{Ending, Exchange};
use super::forward::{Answer, Upgraded, Upstream};
use super::http1;
use super::http2::{self, Lease, Pump};
use super::response_body::ResponseBody;
use super::settings::{HostHeader, Protocol};
use super::source::{Shared, Source};
use super::upload::Progress;
use crate::clock;

/// A request that is on its way.
type Sent<B> = (Connection<B>, Option<Arc<Progress>>);

/// A request as it is to be sent.
pub(super) struct Outgoing<B> {
    pub(super) head: Box<Parts>,
    pub(super) body: Option<Source<B>>,
    /// Whether it asks for another protocol.
    pub(super) upgrade: bool,
    pub(super) ending: Ending,
    /// See [`How`](super::forward::How).
    pub(super) detached: bool,
}

impl Upstream {
    /// Begins an exchange on a connection of its own. Nothing is sent before it is polled.
    pub(super) fn begin<B, H>(
        &self,
        (seat, mut connection): (Seat, Box<http1::Connection>),
        now: Instant,
        Outgoing { mut head, body, upgrade, ending, detached }: Outgoing<B>,
        held: H,
    ) -> AwaitHead<'_, B, H>
    where
        B: Send + 'static,
        H: Send + 'static,
    {
        self.name_host(&mut head, &seat);
        connection.set_detached(detached);
        let (exchange, upload) = http1::Exchange::new(connection, head, body);
        let (connection, faults) = (Connection::Http1(exchange), self.kept.faults.clone());
        let exchange = Exchange { connection, upload, ending, upgrade, faults, seat, held };
        AwaitHead::new(Box::new(exchange), &self.settings, now)
    }

    /// Begins one on a stream, and sends what there is of the body at once; a task sends the rest.
    pub(super) async fn begin_stream<B, H>(
        &self,
        (seat, lease): (Seat, Lease),
        Outgoing { mut head, body, upgrade, ending, .. }: Outgoing<B>,
        held: H,
    ) -> Result<AwaitHead<'_, B, H>, HeadFailed<B, H>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
        H: Send + 'static,
    {
        self.name_host(&mut head, &seat);
        let parts = match self.settings.protocol {
            Protocol::Tls => http2::from_http1(*head, &Scheme::HTTPS).map_err(Unanswered::Ended),
            Protocol::Http1 | Protocol::H2c => Ok(*head),
        };
        let sent = match parts {
            Ok(parts) => open_stream(lease, parts, body).await,
            Err(failed) => Err(failed),
        };
        let (connection, upload) = match sent {
            Ok(sent) => sent,
            Err(unsent) => return Err(HeadFailed::Unanswered(Box::new(unsent), held)),
        };
        let faults = self.kept.faults.clone();
        let exchange = Exchange { connection, upload, ending, upgrade, faults, seat, held };
        Ok(AwaitHead::new(Box::new(exchange), &self.settings, clock::now()))
    }

    /// What a head makes of an exchange.
    pub(super) fn answer<B, H>(
        &self,
        (response, mut exchange): Begun<B, H>,
        head_only: bool,
        retried: u32,
    ) -> Result<Answer<B, H>, HeadFailed<B, H>>
    where
        B: Send + 'static,
        H: Send + 'static,
    {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Exchange { connection, seat, held, .. } = *exchange;
            let Some(io) = connection.into_upgraded() else {
                return Err(HeadFailed::Abandoned(Failure::Protocol(None)));
            };
            return Ok(Answer::Upgraded(Box::new(Upgraded { head: response, io, seat, held })));
        }
        if let Connection::Http1(exchange) = &mut exchange.connection
            && !exchange.reused()
            && self.settings.idle_timeout.is_none()
        {
            exchange.connection().learn_idle_timeout(response.headers());
        }
        if let Some(most) = self.settings.respect_retry_after {
            exchange.seat.heed(most, response.status(), response.headers());
        }
        let idle_timeout = self.settings.read_idle_timeout;
        // RFC 9110 §6.4.1. Over HTTP/2 the end of such an answer may come in a frame of its own.
        let bodiless = head_only || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(Answer::Response(response.map(|()| {
            if bodiless {
                ResponseBody::none(exchange, retried)
            } else {
                ResponseBody::new(exchange, idle_timeout, retried)
            }
        })))
    }

    /// Has the upstream see its endpoint's own name for its host, where that is what it is to see.
    fn name_host(&self, head: &mut Parts, seat: &Seat) {
        if self.settings.host == HostHeader::Upstream && self.settings.endpoints.len() > 1 {
            name_host(head, &seat.member().authority);
        }
    }
}

/// Opens a stream, and sends what there is of the body at once; a task sends the rest.
async fn open_stream<B>(lease: Lease, parts: Parts, body: Option<Source<B>>) -> Result<Sent<B>, Unanswered<B>>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let begun = match http2::begin(lease, parts, body.is_none()) {
        Ok(begun) => begun,
        Err(failure) => return Err(Unanswered::Unprocessed { parts: None, body, failure, refused: false }),
    };
    let mut progress = None;
    let source = body.map(Shared::new);
    if let Some(source) = &source {
        let upload = Arc::<Progress>::default();
        let mut pump = Pump::new(source.clone(), &begun.stream, upload.clone());
        progress = Some(upload);
        if poll_fn(|cx| Poll::Ready(Pin::new(&mut pump).poll(cx))).await.is_pending() {
            tokio::spawn(pump);
        }
    }
    let head = begun.response.head(source);
    Ok((Connection::Http2(http2::Exchange::new(begun.stream, head)), progress))
}

/// Has the upstream see its endpoint's own name for its host.
fn name_host(parts: &mut Parts, authority: &HeaderValue) {
    if parts.uri.authority().is_none() {
        parts.headers.insert(HOST, authority.clone());
        return;
    }
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.authority = Some(Authority::try_from(authority.as_bytes()).expect("a host and port"));
    parts.uri = Uri::from_parts(uri).expect("one authority is as good as another");
}
