//! Sending a request and waiting for the head of its response.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::UPGRADE;
use http::request::Parts;
use http::uri::Scheme;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::upgrade::OnUpgrade;
use tokio::time::timeout;

use super::await_head::{AwaitHead, HeadFailed, HeadFuture, Unanswered};
use super::connect::connect;
use super::connection::Connection;
use super::error::{BoxError, Failure};
use super::exchange::{Ending, Exchange};
use super::http2::{self, Lease, Pump};
use super::pool::{self, Pools};
use super::received::Received;
use super::response_body::ResponseBody;
use super::settings::{Protocol, Settings};
use super::source::{Shared, Source};
use super::upload::{Progress, Upload};

/// An upstream and its connections. `B` is the type of request bodies.
#[derive(Debug)]
pub struct Upstream<B> {
    settings: Settings,
    connections: Connections<B>,
}

#[derive(Debug)]
enum Connections<B> {
    Http1(Arc<Pools<B>>),
    Http2(http2::Pool),
    /// Whichever the upstream chooses.
    Tls(Arc<Pools<B>>, http2::Pool),
}

/// A connection, or a place on one, that the next request can have.
enum Ready<B> {
    Http1(pool::Connection<B>, Arc<Pools<B>>),
    Http2(Lease),
}

/// A request that is on its way.
type Sent<B> = (Connection<B>, Option<Arc<Progress>>, HeadFuture<B>);

/// What came of a request.
#[derive(Debug)]
pub enum Answer<B: Send + 'static, H: Send + 'static> {
    /// A response.
    Response(Response<ResponseBody<B, H>>),
    /// Another protocol, where the request asked for one.
    Upgraded(Upgraded<H>),
}

/// A connection that has become something else.
#[derive(Debug)]
pub struct Upgraded<H> {
    /// The 101.
    pub head: Response<()>,
    /// The connection.
    pub io: OnUpgrade,
    /// What was handed over with the request. Holding it is up to whoever uses the connection.
    pub held: H,
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// An upstream without connections, for `workers` workers.
    pub fn new(settings: Settings, workers: usize) -> Self {
        let connections = match settings.protocol {
            Protocol::Http1 => Connections::Http1(Arc::new(Pools::new(workers))),
            Protocol::H2c => Connections::Http2(http2::Pool::new(&settings, workers)),
            Protocol::Tls => Connections::Tls(Arc::new(Pools::new(workers)), http2::Pool::new(&settings, workers)),
        };
        Upstream { settings, connections }
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Closes connections of this worker that have idled for too long. To be called now and then.
    pub fn prune(&self, worker: usize) {
        match &self.connections {
            Connections::Http1(pools) => pools.prune(worker),
            Connections::Http2(pool) => pool.prune(worker),
            Connections::Tls(pools, pool) => {
                pools.prune(worker);
                pool.prune(worker);
            }
        }
    }

    /// Sends `request` from `worker`, and holds `held` until the exchange has ended.
    ///
    /// The request is sent as it is, its fields ready for the upstream: its target in origin form, or with `h2c` in
    /// absolute form. With TLS it is a request of HTTP/1.1 whose `Host` a URL can have, and becomes one of HTTP/2 where the
    /// upstream has chosen that.
    ///
    /// # Errors
    /// A [`Failure`] when there is no response to pass on.
    ///
    /// # Cancel safety
    /// Dropped before the request was sent, it drops `held`. Dropped after that, the exchange is abandoned: it ends as
    /// `ending` says, and `held` is dropped then.
    pub async fn send<H: Send + Unpin + 'static>(
        &self,
        worker: usize,
        request: Request<B>,
        ending: Ending,
        mut held: H,
    ) -> Result<Answer<B, H>, Failure> {
        let idempotent = request.method().is_idempotent();
        let (mut parts, body) = request.into_parts();
        let mut body = (!body.is_end_stream()).then(|| Source::new(body));
        let bodiless = body.is_none();
        let mut again = Again::default();
        loop {
            // HTTP/2 has no upgrades.
            let upgrades = parts.headers.contains_key(UPGRADE);
            let ready = self.ready(worker, idempotent, upgrades).await?;
            let reused = ready.reused();
            // What may be done about what comes of it:
            //
            // | what came of it | sent again                                                                     |
            // |-----------------|--------------------------------------------------------------------------------|
            // | Unprocessed     | whatever the method (HTTP/1.1: if the connection was there before)             |
            // | Closed          | if it is idempotent and bodiless, and the connection was there before          |
            // | Ended           | never: the upstream may be working on it, or has had its say                   |
            // | Abandoned       | never: the exchange goes on without us, and has the permit                     |
            //
            // All of that at most `retries` times, and with the one permit. A connection that ended before the upstream
            // had looked at the request is no word on the request and no work for the upstream: it costs no retry until
            // there have been many.
            let retry = again.retries < self.settings.retries && ready.may_turn_away();
            let resend = retry && reused && idempotent && bodiless;
            let spare = (retry && ready.takes_the_head(resend)).then(|| parts.clone());
            let failed = match self.exchange(ready, parts, body, ending, held, again.times()).await {
                Ok(answer) => return Ok(answer),
                Err(HeadFailed::Abandoned(failure)) => return Err(failure),
                Err(HeadFailed::Unanswered(unanswered, again)) => {
                    held = again;
                    *unanswered
                }
            };
            let detour = matches!(failed, Unanswered::Unprocessed { refused: false, .. });
            (parts, body) = match (failed, spare) {
                (Unanswered::Unprocessed { parts: Some(unsent), body, .. }, _) if retry => (*unsent, body),
                (Unanswered::Unprocessed { parts: None, body, .. }, Some(spare)) => (spare, body),
                (Unanswered::Closed(_), Some(spare)) if resend => (spare, None),
                (
                    Unanswered::Unprocessed { failure, .. } | Unanswered::Closed(failure) | Unanswered::Ended(failure),
                    _,
                ) => return Err(failure),
            };
            again.count(detour);
        }
    }

    /// One attempt, on one connection.
    async fn exchange<H: Send + Unpin + 'static>(
        &self,
        ready: Ready<B>,
        parts: Parts,
        body: Option<Source<B>>,
        ending: Ending,
        held: H,
        retried: u32,
    ) -> Result<Answer<B, H>, HeadFailed<B, H>> {
        let upgrade = parts.headers.contains_key(UPGRADE);
        let head_only = parts.method == Method::HEAD;
        let (connection, upload, head) = match ready {
            Ready::Http1(connection, pools) => begin(connection, pools, parts, body),
            Ready::Http2(lease) => match Box::pin(self.begin_stream(lease, parts, body)).await {
                Ok(sent) => sent,
                Err(unsent) => return Err(HeadFailed::Unanswered(Box::new(unsent), held)),
            },
        };
        let exchange = Exchange { connection, upload, ending, upgrade, held };
        let (mut response, mut exchange) = AwaitHead::new(head, exchange, self.settings.response_timeout).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // hyper's task of this connection hands it over and ends; it is in no pool any more.
            let io = hyper::upgrade::on(&mut response);
            exchange.connection.upgraded();
            return Ok(Answer::Upgraded(Upgraded { head: response.map(drop), io, held: exchange.held }));
        }
        if let Connection::Http1(connection, _) = &mut exchange.connection
            && !connection.reused
            && self.settings.idle_timeout.is_none()
        {
            connection.learn_idle_timeout(response.headers());
        }
        let idle_timeout = self.settings.read_idle_timeout;
        // RFC 9110 §6.4.1. Over HTTP/2 the end of such an answer may come in a frame of its own.
        let bodiless = head_only || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(Answer::Response(response.map(|body| {
            if bodiless {
                ResponseBody::none(body, exchange, retried)
            } else {
                ResponseBody::new(body, exchange, idle_timeout, retried)
            }
        })))
    }

    /// Opens a stream, and sends what there is of the body at once; a task sends the rest.
    async fn begin_stream(
        &self,
        lease: Lease,
        mut parts: Parts,
        body: Option<Source<B>>,
    ) -> Result<Sent<B>, Unanswered<B>> {
        if self.settings.protocol == Protocol::Tls {
            parts = match http2::from_http1(parts, &Scheme::HTTPS) {
                Ok(parts) => parts,
                Err(failure) => return Err(Unanswered::Ended(failure)),
            };
        }
        begin_stream(lease, parts, body).await
    }

    /// A connection that is ready: one that is there, else a new one.
    async fn ready(&self, worker: usize, idempotent: bool, upgrades: bool) -> Result<Ready<B>, Failure> {
        let pools = match &self.connections {
            Connections::Http1(pools) => pools,
            Connections::Http2(pool) => return Ok(Ready::Http2(Box::pin(pool.lease(worker)).await?)),
            Connections::Tls(pools, _) if upgrades => pools,
            Connections::Tls(pools, pool) if pool.chose_http1() => pools,
            Connections::Tls(pools, pool) => match Box::pin(pool.lease(worker)).await {
                Ok(lease) => return Ok(Ready::Http2(lease)),
                Err(_) if pool.chose_http1() => pools,
                Err(failure) => return Err(failure),
            },
        };
        while let Some(mut connection) = pools.take(worker, idempotent) {
            if is_ready(&mut connection).await {
                return Ok(Ready::Http1(connection, pools.clone()));
            }
        }
        // Boxed, as is all that is seldom needed: the future of every request has room for it.
        let connection = Box::pin(connect(&self.settings, worker)).await.map_err(Failure::Connect)?;
        Ok(Ready::Http1(connection, pools.clone()))
    }
}

impl<B> Ready<B> {
    fn reused(&self) -> bool {
        match self {
            Ready::Http1(connection, _) => connection.reused,
            Ready::Http2(lease) => lease.reused(),
        }
    }

    /// Whether a request can come back unprocessed for a reason that has nothing to do with it: over HTTP/1.1 only where the
    /// connection was there before; over HTTP/2 the peer can turn away any stream.
    fn may_turn_away(&self) -> bool {
        self.reused() || matches!(self, Ready::Http2(_))
    }

    /// Whether the head has to be copied for a second attempt. hyper gives back what it has not sent; a stream does not.
    fn takes_the_head(&self, resend: bool) -> bool {
        resend || matches!(self, Ready::Http2(_))
    }
}

/// Hands a request to the task of an HTTP/1.1 connection.
fn begin<B>(mut connection: pool::Connection<B>, pools: Arc<Pools<B>>, parts: Parts, body: Option<Source<B>>) -> Sent<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    // Nothing was taken of it: only streams come back with something taken, and they stay streams.
    let (upload, progress) = Upload::new(body.map(Source::into_body));
    let sent = connection.sender.try_send_request(Request::from_parts(parts, upload));
    let head = Box::pin(async move {
        sent.await.map(|response| response.map(Received::Http1)).map_err(|mut failed| {
            let request = failed.take_message();
            let failure = Failure::of_connection(failed.into_error());
            let closed = failure.is_of_the_upstream();
            match request.map(Request::into_parts) {
                Some((parts, upload)) => {
                    let body = upload.into_inner().map(Source::new);
                    Unanswered::Unprocessed { parts: Some(Box::new(parts)), body, failure, refused: false }
                }
                None if closed => Unanswered::Closed(failure),
                None => Unanswered::Ended(failure),
            }
        })
    });
    (Connection::Http1(connection, pools), progress, head)
}

/// Opens a stream, and sends what there is of the body at once; a task sends the rest.
async fn begin_stream<B>(lease: Lease, parts: Parts, body: Option<Source<B>>) -> Result<Sent<B>, Unanswered<B>>
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
    Ok((Connection::Stream(begun.stream), progress, begun.response.head(source)))
}

/// Whether the task of `connection` takes another request. A connection is put back with the last frame of its response,
/// and its task may need a turn to see that; one that still has an upload to write off may never be done with it.
async fn is_ready<B>(connection: &mut pool::Connection<B>) -> bool {
    match poll_fn(|cx| Poll::Ready(connection.sender.poll_ready(cx))).await {
        Poll::Ready(ready) => ready.is_ok(),
        Poll::Pending => Box::pin(timeout(TURN, connection.sender.ready())).await.is_ok_and(|ready| ready.is_ok()),
    }
}

/// How often a request was sent again.
#[derive(Debug, Default)]
struct Again {
    retries: u32,
    detours: u32,
}

impl Again {
    fn times(&self) -> u32 {
        self.retries + self.detours
    }

    fn count(&mut self, detour: bool) {
        if detour && self.detours < DETOURS {
            self.detours += 1;
        } else {
            self.retries += 1;
        }
    }
}

/// How many connections may end under one request. An upstream that takes a hundred requests on each, of which fifty come
/// at once, ends two in a row now and then.
const DETOURS: u32 = 3;

/// Far more than a turn of a busy worker; hardly more than a new connection.
const TURN: Duration = Duration::from_millis(50);
