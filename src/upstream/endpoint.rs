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
    slots: Option<NonZeroU32>,
    load: Arc<Load>,
    members: Weak<Members<B>>,
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
}

impl EndpointStatus {
    /// Whether it gets new requests.
    pub fn is_up(&self) -> bool {
        self.state == UP
    }
}

impl<B> Member<B> {
    /// An endpoint without connections.
    pub(super) fn new(
        settings: &Settings,
        endpoint: &Endpoint,
        slots: Option<NonZeroU32>,
        load: Arc<Load>,
        members: Weak<Members<B>>,
        workers: usize,
    ) -> Self {
        let connections = match settings.protocol {
            Protocol::Http1 => Connections::Http1(Pools::new(workers)),
            Protocol::H2c => Connections::Http2(http2::Pool::new(settings, endpoint, workers)),
        };
        let (name, authority) = (endpoint.to_string().into(), endpoint.authority());
        Member { endpoint: endpoint.clone(), name, authority, connections, slots, load, members }
    }

    pub(super) fn is_at(&self, endpoint: &Endpoint) -> bool {
        self.endpoint == *endpoint
    }

    pub(super) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Where slots are not counted, there is always one.
    pub(super) fn has_free_slot(&self) -> bool {
        self.slots.is_none_or(|slots| self.load.taken() < slots.get())
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

    pub(super) fn status(&self) -> EndpointStatus {
        let (in_flight, slots) = (self.load.in_flight(), self.slots.map(NonZeroU32::get));
        EndpointStatus { name: self.name.clone(), state: self.load.state(), in_flight, slots }
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
        if let Connections::Http1(pools) = &self.member.connections {
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
    /// A connection that is ready: one that is there, else a new one.
    pub(super) async fn ready(
        &self,
        settings: &Settings,
        worker: usize,
        idempotent: bool,
    ) -> Result<Ready<B>, Failure> {
        let pools = match &self.member.connections {
            Connections::Http1(pools) => pools,
            Connections::Http2(pool) => return Ok(Ready::Http2(Box::pin(pool.lease(worker)).await?)),
        };
        while let Some(mut connection) = pools.take(worker, idempotent) {
            if is_ready(&mut connection).await {
                return Ok(Ready::Http1(connection));
            }
        }
        // Boxed, as is all that is seldom needed: the future of every request has room for it.
        let connection = Box::pin(connect(settings, &self.member.endpoint, worker)).await.map_err(Failure::Connect)?;
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
