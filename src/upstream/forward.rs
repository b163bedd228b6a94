//! Sending a request and waiting for the head of its response.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::upgrade::OnUpgrade;
use tokio::time::timeout;

use super::await_head::{AwaitHead, HeadFailed};
use super::connect::connect;
use super::error::{BoxError, Failure};
use super::exchange::{Ending, Exchange};
use super::pool::{Connection, Pools};
use super::response_body::ResponseBody;
use super::settings::Settings;
use super::upload::Upload;

/// An upstream and its connections. `B` is the type of request bodies.
#[derive(Debug)]
pub struct Upstream<B> {
    settings: Settings,
    pools: Arc<Pools<B>>,
}

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
        Upstream { settings, pools: Arc::new(Pools::new(workers)) }
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Closes connections of this worker that have idled for too long. To be called now and then.
    pub fn prune(&self, worker: usize) {
        self.pools.prune(worker);
    }

    /// Sends `request` from `worker`, and holds `held` until the exchange has ended.
    ///
    /// The request is sent as it is: its target in origin form, its fields ready for the upstream.
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
        let mut body = (!body.is_end_stream()).then_some(body);
        let mut retries = self.settings.retries;
        loop {
            let connection = self.connection(worker, idempotent).await?;
            // Only a connection that was there before can have been closed without anything to do with this request.
            let retry = connection.reused && retries > 0;
            // What may have been sent is sent again only if it can be, and without a body: nobody has kept that.
            let mut spare = (retry && idempotent && body.is_none()).then(|| parts.clone());
            match self
                .exchange(connection, Request::from_parts(parts, body), ending, held, self.settings.retries - retries)
                .await
            {
                Ok(answer) => return Ok(answer),
                Err(HeadFailed::Unsent { request, held: again, .. }) if retry => {
                    let (unsent, upload) = request.into_parts();
                    (parts, body, held) = (unsent, upload.into_inner(), again);
                }
                Err(HeadFailed::Lost { failure: Failure::Reset(_), held: again }) if spare.is_some() => {
                    (parts, body, held) = (spare.take().expect("just seen"), None, again);
                }
                Err(HeadFailed::Unsent { error, .. }) => return Err(Failure::of_connection(error)),
                Err(HeadFailed::Lost { failure, .. } | HeadFailed::Abandoned(failure)) => return Err(failure),
            }
            retries -= 1;
        }
    }

    /// One attempt, on one connection.
    async fn exchange<H: Send + Unpin + 'static>(
        &self,
        mut connection: Connection<B>,
        request: Request<Option<B>>,
        ending: Ending,
        held: H,
        retried: u32,
    ) -> Result<Answer<B, H>, HeadFailed<B, H>> {
        let (parts, body) = request.into_parts();
        let upgrade = parts.headers.contains_key(UPGRADE);
        let (upload, progress) = Upload::new(body);
        let head = Box::pin(connection.sender.try_send_request(Request::from_parts(parts, upload)));
        let exchange = Exchange { connection, pools: self.pools.clone(), upload: progress, ending, upgrade, held };
        let (mut response, mut exchange) = AwaitHead::new(head, exchange, self.settings.response_timeout).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // hyper's task of this connection hands it over and ends; it is in no pool any more.
            let io = hyper::upgrade::on(&mut response);
            return Ok(Answer::Upgraded(Upgraded { head: response.map(drop), io, held: exchange.held }));
        }
        if !exchange.connection.reused && self.settings.idle_timeout.is_none() {
            exchange.connection.learn_idle_timeout(response.headers());
        }
        let idle_timeout = self.settings.read_idle_timeout;
        Ok(Answer::Response(response.map(|body| ResponseBody::new(body, exchange, idle_timeout, retried))))
    }

    /// A connection that is ready: an idle one, else a new one.
    async fn connection(&self, worker: usize, idempotent: bool) -> Result<Connection<B>, Failure> {
        while let Some(mut connection) = self.pools.take(worker, idempotent) {
            if is_ready(&mut connection).await {
                return Ok(connection);
            }
        }
        // Boxed, as is all that is seldom needed: the future of every request has room for it.
        Box::pin(connect(&self.settings, worker)).await.map_err(Failure::Connect)
    }
}

/// Whether the task of `connection` takes another request. A connection is put back with the last frame of its response,
/// and its task may need a turn to see that; one that still has an upload to write off may never be done with it.
async fn is_ready<B>(connection: &mut Connection<B>) -> bool {
    match poll_fn(|cx| Poll::Ready(connection.sender.poll_ready(cx))).await {
        Poll::Ready(ready) => ready.is_ok(),
        Poll::Pending => Box::pin(timeout(TURN, connection.sender.ready())).await.is_ok_and(|ready| ready.is_ok()),
    }
}

/// Far more than a turn of a busy worker; hardly more than a new connection.
const TURN: Duration = Duration::from_millis(50);
