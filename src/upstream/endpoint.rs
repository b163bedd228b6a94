//! One endpoint of an upstream: an address with its connections, and how much it has to do.

use std::future::poll_fn;
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body::Body;
use tokio::time::timeout;

use super::connect::connect;
use super::error::{BoxError, Failure};
use super::http2::{self, Lease};
use super::load::{Load, Out, UP};
use super::members::Members;
use super::pool::{self, Pools};
use super::settings::{Protocol, Settings};
use super::site::Site;
use crate::tls;

/// An endpoint that requests go to. `B` is the type of their bodies.
#[derive(Debug)]
pub(super) struct Member<B> {
    site: Site,
    /// Its address as logs and metrics call it.
    name: Arc<str>,
    /// The same as a `Host`.
    pub(super) authority: HeaderValue,
    connections: Arc<Connections<B>>,
    /// What its connections are made by.
    manner: Manner,
    slots: Option<NonZeroU32>,
    load: Arc<Load>,
    members: Weak<Members<B>>,
}

/// The settings of a connection. Others may change, and it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Manner {
    protocol: Protocol,
    tls: Option<tls::Client>,
    timeouts: [Option<Duration>; 4],
}

#[derive(Debug)]
enum Connections<B> {
    Http1(Pools<B>),
    Http2(http2::Pool),
    /// Whichever the endpoint chooses.
    Tls(Pools<B>, http2::Pool),
}

/// A connection, or a place on one, that the next request can have.
pub(super) enum Ready<B> {
    Http1(pool::Connection<B>),
    Http2(Lease),
}

/// One request's seat at an endpoint, from the choice of it until the exchange has ended. Dropping it counts down.
#[derive(Debug)]
pub struct Seat<B> {
    member: Arc<Member<B>>,
    /// Whether it has one of the endpoint's slots.
    slot: bool,
}

/// An endpoint at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Its address.
    pub name: Arc<str>,
    /// `up`, or why it gets no new requests.
    pub state: &'static str,
    /// Exchanges under way there, the abandoned ones included.
    pub in_flight: u32,
    /// How many requests it takes at once, if that is bounded.
    pub slots: Option<u32>,
    /// Who has taken it out, if somebody has.
    pub drained_by: Option<Arc<str>>,
    /// How often it has answered.
    pub answers: u64,
    /// How often it could not be reached, or has not answered, or not with what can be passed on.
    pub errors: u64,
    /// How long its answers took to begin, of late.
    pub latency: Option<Duration>,
    /// How long it gets no requests yet, where it has asked for that.
    pub paused_for: Option<Duration>,
}

impl EndpointStatus {
    /// Whether it gets new requests.
    pub fn is_up(&self) -> bool {
        self.state == UP
    }
}

impl<B> Member<B> {
    /// An endpoint, which goes on counting and has the connections that there were `before`, if they are still right.
    pub(super) fn new(
        settings: &Settings,
        site: Site,
        slots: Option<NonZeroU32>,
        before: Option<&Member<B>>,
        members: Weak<Members<B>>,
        workers: usize,
    ) -> Self {
        let manner = Manner::of(settings);
        let same = before.filter(|before| before.manner == manner && before.site == site);
        let connections = same.map(|before| before.connections.clone());
        let connections = connections.unwrap_or_else(|| {
            Arc::new(match settings.protocol {
                Protocol::Http1 => Connections::Http1(Pools::new(workers)),
                Protocol::H2c => Connections::Http2(http2::Pool::new(settings, &site, workers)),
                Protocol::Tls => Connections::Tls(Pools::new(workers), http2::Pool::new(settings, &site, workers)),
            })
        });
        let (name, authority) = (site.to_string().into(), site.endpoint.authority(settings.protocol));
        let load = before.map(|before| before.load.clone()).unwrap_or_default();
        Member { site, name, authority, connections, manner, slots, load, members }
    }

    /// Whether it is the server there.
    pub(super) fn is_at(&self, site: &Site) -> bool {
        self.site.is_same_place(site)
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    pub(super) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Where slots are not counted, there is always one.
    pub(super) fn has_free_slot(&self) -> bool {
        self.slots.is_none_or(|slots| self.load.taken() < slots.get())
    }

    pub(super) fn is_slotted_and_free(&self) -> bool {
        self.slots.is_some() && self.has_free_slot()
    }

    /// Its part of the sum.
    pub(super) fn counted_slots(&self) -> u32 {
        match self.slots {
            Some(slots) if !self.load.is_out() => slots.get(),
            _ => self.load.taken(),
        }
    }

    /// Whether nothing remains of it.
    pub(super) fn has_left(&self) -> bool {
        self.load.is(Out::Leaving) && self.load.in_flight() == 0
    }

    /// How it is. Whether and by whom it was taken out, others know.
    pub(super) fn status(&self, drained_by: Option<Arc<str>>) -> EndpointStatus {
        let load = &self.load;
        EndpointStatus {
            name: self.name.clone(),
            state: load.state(),
            in_flight: load.in_flight(),
            slots: self.slots.map(NonZeroU32::get),
            drained_by,
            answers: load.answers(),
            errors: load.errors(),
            latency: load.latency(),
            paused_for: load.pause_left(),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Closes connections of this worker that have idled for too long, and all that idle where no request comes any more.
    pub(super) fn prune(&self, worker: usize) {
        let leaving = self.load.is(Out::Leaving);
        let (pools, pool) = match &*self.connections {
            Connections::Http1(pools) => (Some(pools), None),
            Connections::Http2(pool) => (None, Some(pool)),
            Connections::Tls(pools, pool) => (Some(pools), Some(pool)),
        };
        match (leaving, pools) {
            (true, Some(pools)) => while pools.take(worker, true).is_some() {},
            (false, Some(pools)) => pools.prune(worker),
            (_, None) => {}
        }
        match (leaving, pool) {
            (true, Some(pool)) => pool.close(worker),
            (false, Some(pool)) => pool.prune(worker),
            (_, None) => {}
        }
    }
}

impl Manner {
    fn of(settings: &Settings) -> Self {
        let Settings { connect_timeout, response_timeout, read_idle_timeout, idle_timeout, .. } = settings;
        // The kernel's patience follows from ours.
        let timeouts = [Some(*connect_timeout), Some(*response_timeout), Some(*read_idle_timeout), *idle_timeout];
        Manner { protocol: settings.protocol, tls: settings.tls.clone(), timeouts }
    }
}

impl<B> Seat<B> {
    /// A seat, and with `slot` one of the endpoint's slots, if there is one.
    pub(super) fn try_take(member: &Arc<Member<B>>, slot: bool) -> Option<Self> {
        let counted = if slot { member.slots } else { None };
        if counted.is_some_and(|slots| !member.load.take_slot(slots)) {
            return None;
        }
        Some(Seat::taken(member, counted.is_some()))
    }

    /// A seat beyond the endpoint's slots.
    pub(super) fn force(member: &Arc<Member<B>>, slot: bool) -> Self {
        let slot = slot && member.slots.is_some();
        if slot {
            member.load.force_slot();
        }
        Seat::taken(member, slot)
    }

    fn taken(member: &Arc<Member<B>>, slot: bool) -> Self {
        member.load.begin();
        let seat = Seat { member: member.clone(), slot };
        if slot && member.load.is_out() {
            seat.tell();
        }
        seat
    }

    /// Whoever has it holds no permit for its slot any more. The seat goes on being counted.
    pub fn leave_slot(&mut self) {
        if std::mem::take(&mut self.slot) && self.member.load.give_back_slot() {
            self.tell();
        }
    }

    /// Those it is one of.
    pub(super) fn members(&self) -> Option<Arc<Members<B>>> {
        self.member.members.upgrade()
    }

    fn tell(&self) {
        if let Some(members) = self.members() {
            members.recount();
        }
    }

    pub(super) fn member(&self) -> &Arc<Member<B>> {
        &self.member
    }

    /// The address of the endpoint.
    pub fn endpoint(&self) -> &Arc<str> {
        &self.member.name
    }

    /// Takes a connection back that can carry another exchange.
    pub(super) fn put(&self, connection: pool::Connection<B>) {
        if let Connections::Http1(pools) | Connections::Tls(pools, _) = &*self.member.connections
            && !self.member.load.is(Out::Leaving)
        {
            pools.put(connection);
        }
    }
}

impl<B> Drop for Seat<B> {
    fn drop(&mut self) {
        self.member.load.end();
        self.leave_slot();
    }
}

impl<B> Seat<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// A connection that is ready: one that is there, else a new one. One that `upgrades` speaks HTTP/1.1, if there is a
    /// choice.
    pub(super) async fn ready(
        &self,
        settings: &Settings,
        worker: usize,
        idempotent: bool,
        upgrades: bool,
    ) -> Result<Ready<B>, Failure> {
        let pools = match &*self.member.connections {
            Connections::Http1(pools) => pools,
            Connections::Http2(pool) => return Ok(Ready::Http2(Box::pin(pool.lease(worker)).await?)),
            Connections::Tls(pools, pool) if upgrades || pool.chose_http1() => pools,
            Connections::Tls(pools, pool) => match Box::pin(pool.lease(worker)).await {
                Ok(lease) => return Ok(Ready::Http2(lease)),
                Err(_) if pool.chose_http1() => pools,
                Err(failure) => return Err(failure),
            },
        };
        while let Some(mut connection) = pools.take(worker, idempotent) {
            if is_ready(&mut connection).await {
                return Ok(Ready::Http1(connection));
            }
        }
        // Boxed, as is all that is seldom needed: the future of every request has room for it.
        let connection = Box::pin(connect(settings, &self.member.site, worker)).await.map_err(Failure::Connect)?;
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
