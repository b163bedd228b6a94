//! One endpoint of an upstream: an address with its connections, and how much it has to do.

use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::HeaderValue;

use super::http1;
use super::http2;
use super::load::{Load, Out, UP};
use super::members::Members;
use super::pool::Pools;
use super::settings::{Protocol, Settings};
use super::site::Site;
use crate::tls;

/// An endpoint that requests go to.
#[derive(Debug)]
pub(super) struct Member {
    site: Site,
    /// Its address as logs and metrics call it.
    name: Arc<str>,
    /// The same as a `Host`.
    pub(super) authority: HeaderValue,
    pub(super) connections: Arc<Connections>,
    /// What its connections are made by.
    manner: Manner,
    slots: Option<NonZeroU32>,
    load: Arc<Load>,
    members: Weak<Members>,
}

/// The settings of a connection. Others may change, and it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Manner {
    protocol: Protocol,
    tls: Option<tls::Client>,
    timeouts: [Option<Duration>; 4],
}

#[derive(Debug)]
pub(super) enum Connections {
    Http1(Pools),
    Http2(http2::Pool),
    /// Whichever the endpoint chooses.
    Tls(Pools, http2::Pool),
}

/// One request's seat at an endpoint, from the choice of it until the exchange has ended. Dropping it counts down.
#[derive(Debug)]
pub struct Seat {
    member: Arc<Member>,
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

impl Member {
    /// An endpoint, which goes on counting and has the connections that there were `before`, if they are still right.
    pub(super) fn new(
        settings: &Settings,
        site: Site,
        slots: Option<NonZeroU32>,
        before: Option<&Member>,
        members: Weak<Members>,
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

    /// Closes its connections, those under way once they have ended, unless one of `list` goes on with them.
    pub(super) fn retire_unless_among(&self, list: &[Arc<Member>]) {
        if list.iter().any(|other| Arc::ptr_eq(&other.connections, &self.connections)) {
            return;
        }
        match &*self.connections {
            Connections::Http1(pools) => pools.retire(),
            Connections::Http2(pool) => pool.close_all(),
            Connections::Tls(pools, pool) => {
                pools.retire();
                pool.close_all();
            }
        }
    }

    /// Closes a connection that idles, if there is one.
    pub(super) fn close_idle(&self) -> bool {
        match &*self.connections {
            Connections::Http1(pools) => pools.close_idle(),
            Connections::Http2(pool) => pool.close_idle(),
            Connections::Tls(pools, pool) => pools.close_idle() || pool.close_idle(),
        }
    }

    /// How many of its connections idle.
    pub(super) fn idle(&self) -> usize {
        match &*self.connections {
            Connections::Http1(pools) => pools.idle(),
            Connections::Http2(pool) => pool.idle(),
            Connections::Tls(pools, pool) => pools.idle() + pool.idle(),
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

impl Seat {
    /// A seat, and with `slot` one of the endpoint's slots, if there is one.
    pub(super) fn try_take(member: &Arc<Member>, slot: bool) -> Option<Self> {
        let counted = if slot { member.slots } else { None };
        if counted.is_some_and(|slots| !member.load.take_slot(slots)) {
            return None;
        }
        Some(Seat::taken(member, counted.is_some()))
    }

    /// A seat beyond the endpoint's slots.
    pub(super) fn force(member: &Arc<Member>, slot: bool) -> Self {
        let slot = slot && member.slots.is_some();
        if slot {
            member.load.force_slot();
        }
        Seat::taken(member, slot)
    }

    fn taken(member: &Arc<Member>, slot: bool) -> Self {
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
    pub(super) fn members(&self) -> Option<Arc<Members>> {
        self.member.members.upgrade()
    }

    fn tell(&self) {
        if let Some(members) = self.members() {
            members.recount();
        }
    }

    pub(super) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// The address of the endpoint.
    pub fn endpoint(&self) -> &Arc<str> {
        &self.member.name
    }

    /// Takes a connection back that can carry another exchange.
    pub(super) fn put(&self, connection: Box<http1::Connection>) {
        if let Connections::Http1(pools) | Connections::Tls(pools, _) = &*self.member.connections
            && !self.member.load.is(Out::Leaving)
        {
            pools.put(connection);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.member.load.end();
        self.leave_slot();
    }
}
