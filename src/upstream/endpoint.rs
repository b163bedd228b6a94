//! One endpoint of an upstream: an address with its connections, and how much it has to do.

use std::num::NonZeroU32;
use std::sync::{Arc, Weak};

use http::HeaderValue;

use super::http2;
use super::load::{Load, Out, UP};
use super::members::Members;
use super::pool::{self, Pools};
use super::settings::{Endpoint, Protocol, Settings};

/// An endpoint that requests go to. `B` is the type of their bodies.
#[derive(Debug)]
pub(super) struct Member<B> {
    pub(super) endpoint: Endpoint,
    /// Its address as logs and metrics call it.
    name: Arc<str>,
    /// The same as a `Host`.
    pub(super) authority: HeaderValue,
    pub(super) connections: Connections<B>,
    slots: Option<NonZeroU32>,
    load: Arc<Load>,
    members: Weak<Members<B>>,
}

#[derive(Debug)]
pub(super) enum Connections<B> {
    Http1(Pools<B>),
    Http2(http2::Pool),
    /// Whichever the endpoint chooses.
    Tls(Pools<B>, http2::Pool),
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
            Protocol::Tls => Connections::Tls(Pools::new(workers), http2::Pool::new(settings, endpoint, workers)),
        };
        let (name, authority) = (endpoint.to_string().into(), endpoint.authority(settings.protocol));
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

    /// Closes a connection that idles, if there is one.
    pub(super) fn close_idle(&self) -> bool {
        match &self.connections {
            Connections::Http1(pools) => pools.close_idle(),
            Connections::Http2(pool) => pool.close_idle(),
            Connections::Tls(pools, pool) => pools.close_idle() || pool.close_idle(),
        }
    }

    /// How many of its connections idle.
    pub(super) fn idle(&self) -> usize {
        match &self.connections {
            Connections::Http1(pools) => pools.idle(),
            Connections::Http2(pool) => pool.idle(),
            Connections::Tls(pools, pool) => pools.idle() + pool.idle(),
        }
    }

    /// Closes connections of this worker that have idled for too long.
    pub(super) fn prune(&self, worker: usize) {
        match &self.connections {
            Connections::Http1(pools) => pools.prune(worker),
            Connections::Http2(pool) => pool.prune(worker),
            Connections::Tls(pools, pool) => {
                pools.prune(worker);
                pool.prune(worker);
            }
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
        if let Connections::Http1(pools) | Connections::Tls(pools, _) = &self.member.connections {
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
