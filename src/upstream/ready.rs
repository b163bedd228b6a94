//! Finding a connection for a request: one that is there, a new one, or one that it has to wait for.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::time::{Instant, timeout};

use super::connect::connect;
use super::endpoint::{Connections, Seat};
use super::error::{BoxError, Failure};
use super::http2::{Lease, NoLease};
use super::pool::{self, Pools};
use super::room::{Room, Spot};
use super::settings::Settings;

/// A connection, or a place on one, that the next request can have.
pub(super) enum Ready<B> {
    Http1(pool::Connection<B>),
    Http2(Lease),
}

/// What is asked of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) settings: &'a Settings,
    /// How many there may be.
    pub(super) room: &'a Room,
    pub(super) worker: usize,
    /// Whether the request can be sent twice.
    pub(super) idempotent: bool,
    /// Whether it may become something else: only one of HTTP/1.1 can.
    pub(super) upgrades: bool,
    /// Whether it has to be a new one of HTTP/1.1: where one that idled had been closed, so may the others be.
    pub(super) fresh: bool,
}

/// A connection that idles, or the right to make one.
enum Found<B> {
    Idle(pool::Connection<B>),
    Spot(Spot),
}

impl<B> Seat<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// A connection that is ready: one that is there, else a new one. Where there may be no more, it waits for one, at most
    /// for `connect_timeout`, as HAProxy does; then a new one may still have to be made.
    ///
    /// # Errors
    /// Why there is none, and whether that is news about the endpoint.
    pub(super) async fn ready(&self, wanted: Wanted<'_>) -> Result<Ready<B>, NoLease> {
        let Wanted { room, worker, idempotent, upgrades, fresh, .. } = wanted;
        let make_room = || self.make_room();
        let pools = match &*self.member().connections {
            Connections::Http1(pools) => pools,
            Connections::Http2(pool) => return Ok(Ready::Http2(Box::pin(pool.lease(worker, room, make_room)).await?)),
            Connections::Tls(pools, pool) if upgrades || pool.chose_http1() => pools,
            Connections::Tls(pools, pool) => match Box::pin(pool.lease(worker, room, make_room)).await {
                Ok(lease) => return Ok(Ready::Http2(lease)),
                Err(_) if pool.chose_http1() => pools,
                Err(no_lease) => return Err(no_lease),
            },
        };
        if !room.is_crowded() && !fresh {
            while let Some(mut connection) = pools.take(worker, idempotent) {
                if is_ready(&mut connection).await {
                    return Ok(Ready::Http1(connection));
                }
            }
        }
        // Boxed, as is all that is seldom needed: the future of every request has room for it.
        Box::pin(self.dial_or_wait(wanted, pools)).await.map(Ready::Http1)
    }

    async fn dial_or_wait(&self, wanted: Wanted<'_>, pools: &Pools<B>) -> Result<pool::Connection<B>, NoLease> {
        let Wanted { settings, room, worker, .. } = wanted;
        let spot = match (!room.is_crowded()).then(|| room.try_enter()).flatten() {
            Some(spot) => spot,
            None => match self.wait(wanted, pools).await? {
                Found::Spot(spot) => spot,
                Found::Idle(connection) => return Ok(connection),
            },
        };
        let connected = connect(settings, self.member().site(), worker, spot).await;
        connected.map_err(|error| NoLease { failure: Failure::Connect(error), news: true })
    }

    /// Waits for a connection that is ready, or for the right to make one.
    async fn wait(&self, wanted: Wanted<'_>, pools: &Pools<B>) -> Result<Found<B>, NoLease> {
        let Wanted { settings, room, worker, idempotent, fresh, .. } = wanted;
        let start = Instant::now();
        loop {
            let find = || {
                let idle = (!fresh).then(|| pools.take(worker, idempotent)).flatten().map(Found::Idle);
                idle.or_else(|| room.try_enter().map(Found::Spot))
            };
            let patience = settings.connect_timeout.saturating_sub(start.elapsed());
            match room.wait(patience, find, || self.make_room()).await {
                Ok(Found::Idle(mut connection)) => {
                    if is_ready(&mut connection).await {
                        return Ok(Found::Idle(connection));
                    }
                }
                Ok(found) => return Ok(found),
                // That is ours, and says nothing about the endpoint.
                Err(_) => return Err(NoLease { failure: Failure::NoRoom, news: false }),
            }
        }
    }

    /// Closes a connection that idles at any endpoint.
    fn make_room(&self) {
        if let Some(members) = self.members() {
            members.close_idle();
        }
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
