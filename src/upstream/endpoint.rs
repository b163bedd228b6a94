//! One endpoint of an upstream: an address with its connections, and how much it has to do.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body::Body;
use tokio::time::timeout;

use super::connect::connect;
use super::error::{BoxError, Failure};
use super::http2::{self, Lease};
use super::pool::{self, Pools};
use super::settings::{Endpoint, Protocol, Settings};

/// An endpoint that requests go to. `B` is the type of their bodies.
#[derive(Debug)]
pub(super) struct Member<B> {
    endpoint: Endpoint,
    /// Its address as logs and metrics call it.
    name: Arc<str>,
    /// The same as a `Host`.
    pub(super) authority: HeaderValue,
    connections: Connections<B>,
    load: Arc<Load>,
}

/// What an endpoint has to do. It outlives the connections, which a new configuration may have made anew.
#[derive(Debug, Default)]
struct Load {
    in_flight: AtomicU32,
}

#[derive(Debug)]
enum Connections<B> {
    Http1(Pools<B>),
    Http2(http2::Pool),
}

/// A connection, or a place on one, that the next request can have.
pub(super) enum Ready<B> {
    Http1(pool::Connection<B>),
    Http2(Lease),
}

/// One request's seat at an endpoint, from the choice of it until the exchange has ended. Dropping it counts down.
#[derive(Debug)]
pub struct Seat<B>(Arc<Member<B>>);

/// An endpoint at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Its address.
    pub name: Arc<str>,
    /// `up`, or why it gets no new requests.
    pub state: &'static str,
    /// Exchanges under way there, the abandoned ones included.
    pub in_flight: u32,
}

impl EndpointStatus {
    /// Whether it gets new requests.
    pub fn is_up(&self) -> bool {
        self.state == UP
    }
}

const UP: &str = "up";

impl<B> Member<B> {
    /// An endpoint without connections. Of one that was there `before`, what it has to do goes on being counted.
    pub(super) fn new(settings: &Settings, endpoint: &Endpoint, workers: usize, before: Option<&Member<B>>) -> Self {
        let connections = match settings.protocol {
            Protocol::Http1 => Connections::Http1(Pools::new(workers)),
            Protocol::H2c => Connections::Http2(http2::Pool::new(settings, endpoint, workers)),
        };
        Member {
            endpoint: endpoint.clone(),
            name: endpoint.to_string().into(),
            authority: endpoint.authority(),
            connections,
            load: before.map_or_else(Arc::default, |before| before.load.clone()),
        }
    }

    pub(super) fn is_at(&self, endpoint: &Endpoint) -> bool {
        self.endpoint == *endpoint
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.load.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self) -> EndpointStatus {
        EndpointStatus { name: self.name.clone(), state: UP, in_flight: self.in_flight() }
    }

    /// Closes connections of this worker that have idled for too long.
    pub(super) fn prune(&self, worker: usize) {
        match &self.connections {
            Connections::Http1(pools) => pools.prune(worker),
            Connections::Http2(pool) => pool.prune(worker),
        }
    }
}

impl<B> Seat<B> {
    pub(super) fn take(member: &Arc<Member<B>>) -> Self {
        member.load.in_flight.fetch_add(1, Ordering::Relaxed);
        Seat(member.clone())
    }

    pub(super) fn member(&self) -> &Arc<Member<B>> {
        &self.0
    }

    /// The address of the endpoint.
    pub fn endpoint(&self) -> &Arc<str> {
        &self.0.name
    }

    /// Takes a connection back that can carry another exchange.
    pub(super) fn put(&self, connection: pool::Connection<B>) {
        if let Connections::Http1(pools) = &self.0.connections {
            pools.put(connection);
        }
    }
}

impl<B> Drop for Seat<B> {
    fn drop(&mut self) {
        self.0.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<B> Seat<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// A connection that is ready: one that is there, else a new one.
    pub(super) async fn ready(
        &self,
        settings: &Settings,
        worker: usize,
        idempotent: bool,
    ) -> Result<Ready<B>, Failure> {
        let pools = match &self.0.connections {
            Connections::Http1(pools) => pools,
            Connections::Http2(pool) => return Ok(Ready::Http2(Box::pin(pool.lease(worker)).await?)),
        };
        while let Some(mut connection) = pools.take(worker, idempotent) {
            if is_ready(&mut connection).await {
                return Ok(Ready::Http1(connection));
            }
        }
        // Boxed, as is all that is seldom needed: the future of every request has room for it.
        let connection = Box::pin(connect(settings, &self.0.endpoint, worker)).await.map_err(Failure::Connect)?;
        Ok(Ready::Http1(connection))
    }
}

impl<B> Ready<B> {
    pub(super) fn reused(&self) -> bool {
        match self {
            Ready::Http1(connection) => connection.reused,
            Ready::Http2(lease) => lease.reused(),
        }
    }

    /// Whether a request can come back unprocessed for a reason that has nothing to do with it: over HTTP/1.1 only where the
    /// connection was there before; over HTTP/2 the peer can turn away any stream.
    pub(super) fn may_turn_away(&self) -> bool {
        self.reused() || matches!(self, Ready::Http2(_))
    }

    /// Whether the head has to be copied for a second attempt. hyper gives back what it has not sent; a stream does not.
    pub(super) fn takes_the_head(&self, resend: bool) -> bool {
        resend || matches!(self, Ready::Http2(_))
    }
}

/// Whether the task of `connection` takes another request. A connection is put back with the last frame of its response,
/// and its task may need a turn to see that; one that still has an upload to write off may never be done with it.
async fn is_ready<B>(connection: &mut pool::Connection<B>) -> bool {
    match poll_fn(|cx| Poll::Ready(connection.sender.poll_ready(cx))).await {
        Poll::Ready(ready) => ready.is_ok(),
        Poll::Pending => Box::pin(timeout(TURN, connection.sender.ready())).await.is_ok_and(|ready| ready.is_ok()),
    }
}

/// Far more than a turn of a busy worker; hardly more than a new connection.
const TURN: Duration = Duration::from_millis(50);
