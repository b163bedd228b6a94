//! Finding a connection for a request: one that is there, a new one, or one that it has to wait for.

use tokio::time::Instant;

use super::connect::connect;
use super::endpoint::{Connections, Seat};
use super::error::Failure;
use super::forward::Told;
use super::http1;
use super::http2::{Lease, NoLease};
use super::pool::Pools;
use super::room::{Room, Spot};
use super::settings::Settings;

/// A connection, or a place on one, that the next request can have.
pub(super) enum Ready {
    Http1(Box<http1::Connection>),
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
enum Found {
    Idle(Box<http1::Connection>),
    Spot(Spot),
}

impl Seat {
    /// A connection of HTTP/1.1 that is there, where it is certain that the request can have it: nearly always.
    #[inline]
    pub(super) fn idle(&self, wanted: &Wanted<'_>, now: Instant) -> Option<Box<http1::Connection>> {
        match &*self.member().connections {
            Connections::Http1(pools) if !wanted.room.is_crowded() && !wanted.fresh => {
                pools.take_at(now, wanted.worker, wanted.idempotent)
            }
            _ => None,
        }
    }

    /// A connection that is ready: one that is there, else a new one. Where there may be no more, it waits for one, at most
    /// for `connect_timeout`, as HAProxy does, and `told` hears of it; then a new one may still have to be made.
    ///
    /// # Errors
    /// Why there is none, and whether that is news about the endpoint.
    pub(super) async fn ready(&self, wanted: Wanted<'_>, told: &mut Told<'_>) -> Result<Ready, NoLease> {
        let Wanted { room, worker, idempotent, upgrades, fresh, .. } = wanted;
        let make_room = || self.make_room();
        let pools = match &*self.member().connections {
            Connections::Http1(pools) => pools,
            Connections::Http2(pool) => {
                return Ok(Ready::Http2(Box::pin(pool.lease(worker, room, told, make_room)).await?));
            }
            Connections::Tls(pools, pool) if upgrades || pool.chose_http1() => pools,
            Connections::Tls(pools, pool) => match Box::pin(pool.lease(worker, room, told, make_room)).await {
                Ok(lease) => return Ok(Ready::Http2(lease)),
                Err(_) if pool.chose_http1() => pools,
                Err(no_lease) => return Err(no_lease),
            },
        };
        if !room.is_crowded()
            && !fresh
            && let Some(connection) = pools.take(worker, idempotent)
        {
            return Ok(Ready::Http1(connection));
        }
        // Boxed, as is all that is seldom needed: the future of every request has room for it.
        Box::pin(self.dial_or_wait(wanted, pools, told)).await.map(Ready::Http1)
    }

    async fn dial_or_wait(
        &self,
        wanted: Wanted<'_>,
        pools: &Pools,
        told: &mut Told<'_>,
    ) -> Result<Box<http1::Connection>, NoLease> {
        let Wanted { settings, room, worker, .. } = wanted;
        let spot = match (!room.is_crowded()).then(|| room.try_enter()).flatten() {
            Some(spot) => spot,
            None => match self.wait(wanted, pools, told).await? {
                Found::Spot(spot) => spot,
                Found::Idle(connection) => return Ok(connection),
            },
        };
        let connected = connect(settings, self.member().site(), worker, spot).await;
        connected.map_err(|error| NoLease { failure: Failure::Connect(error), news: true })
    }

    /// Waits for a connection that is ready, or for the right to make one.
    async fn wait(&self, wanted: Wanted<'_>, pools: &Pools, told: &mut Told<'_>) -> Result<Found, NoLease> {
        let Wanted { settings, room, worker, idempotent, fresh, .. } = wanted;
        let find = || {
            let idle = (!fresh).then(|| pools.take(worker, idempotent)).flatten().map(Found::Idle);
            idle.or_else(|| room.try_enter().map(Found::Spot))
        };
        let waited = room.wait_and_tell(told, settings.connect_timeout, find, || self.make_room()).await;
        // That is ours, and says nothing about the endpoint.
        waited.map_err(|_| NoLease { failure: Failure::NoRoom, news: false })
    }

    /// Closes a connection that idles at any endpoint.
    fn make_room(&self) {
        if let Some(members) = self.members() {
            members.close_idle();
        }
    }
}

impl Ready {
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

    /// Whether the head has to be copied for a second attempt. A stream does not give it back.
    pub(super) fn takes_the_head(&self) -> bool {
        matches!(self, Ready::Http2(_))
    }
}

#[cfg(test)]
mod tests;
