//! Who is under way: what operators are shown, and what they can end.
//!
//! A request is entered when it arrives, in the shard of its worker, whose lock nobody else takes but who looks on. It is
//! there until its client has had its answer and its exchange has ended, whichever is later: both hold it, and the last
//! one takes it out. Nobody is entered before somebody [can look](Registry::open), or has something written down of it.

mod cut;
mod moments;
mod phase;
mod slots;
mod view;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::HeaderValue;
use tokio::time::Instant;

pub use phase::Phase;
pub use view::LiveView;

use self::moments::NEVER;
use self::slots::Slots;
use super::shared::Route;
use super::traffic::{Counts, Traffic, TrafficCounts};
use crate::access_log::Outcome;
use crate::admission::{Hold, Keyed, Limiter, Limits};

/// All requests that are under way.
#[derive(Debug)]
pub struct Registry {
    shards: Box<[Arc<Shard>]>,
    open: AtomicBool,
}

/// Those of one worker.
#[derive(Debug, Default)]
struct Shard {
    slots: Mutex<Slots>,
    /// How many there have been.
    count: AtomicU64,
    /// What has become of those that no route took.
    unrouted: Counts,
    /// It is us who cut requests.
    cut: AtomicBool,
}

/// A request that is under way.
#[derive(Debug)]
pub struct Live {
    id: HeaderValue,
    /// Nobody else's, ever. Not zero.
    tag: u64,
    start: Instant,
    /// Its route, if there is one for it.
    route: Option<Arc<Route>>,
    phase: AtomicU8,
    /// Whether the head of its answer has come: a limit may hold until then and no longer.
    headed: AtomicBool,
    cancelled: AtomicBool,
    seen: Mutex<Seen>,
    /// Nanoseconds from the start to its admission; none while it has not been admitted.
    admitted: AtomicU64,
    /// The same, to when its permits came back.
    released: AtomicU64,
    /// How many permits of each of its limits it asks for.
    seats: AtomicU32,
    /// What its client has been told: 499 as long as that is nothing.
    status: AtomicU16,
    /// Whether its client has had a head, whatever becomes of the request.
    begun: AtomicBool,
    /// One of [`Outcome::ALL`]: what will have become of it if nothing else happens.
    outcome: AtomicU8,
    shard: Arc<Shard>,
    worker: usize,
    /// Where it is entered. Nobody else asks.
    slot: AtomicUsize,
}

#[derive(Debug, Default)]
struct Seen {
    key: Option<Arc<str>>,
    endpoint: Option<Arc<str>>,
    /// Whoever polls it, to be woken when it is cancelled.
    waker: Option<Waker>,
}

/// How many are looked at before others may come or go.
const AT_ONCE: usize = 256;

impl Registry {
    pub(super) fn new(workers: usize) -> Self {
        Registry { shards: (0..workers).map(|_| Arc::default()).collect(), open: AtomicBool::new(false) }
    }

    /// From now on, whoever comes is entered.
    pub fn open(&self) {
        self.open.store(true, Relaxed);
    }

    /// Whether anybody can look.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// Enters a request.
    pub(super) fn enter(
        &self,
        worker: usize,
        id: &HeaderValue,
        route: Option<&Arc<Route>>,
        start: Instant,
    ) -> Arc<Live> {
        let shard = &self.shards[worker];
        let number = shard.count.fetch_add(1, Relaxed);
        let live = Arc::new(Live {
            id: id.clone(),
            // Those of one worker are this far apart.
            tag: number * self.shards.len() as u64 + worker as u64 + 1,
            start,
            route: route.cloned(),
            phase: AtomicU8::new(Phase::Queued as u8),
            headed: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            seen: Mutex::default(),
            admitted: AtomicU64::new(NEVER),
            released: AtomicU64::new(NEVER),
            seats: AtomicU32::new(1),
            status: AtomicU16::new(499),
            begun: AtomicBool::new(false),
            outcome: AtomicU8::new(Outcome::ClientGone as u8),
            shard: shard.clone(),
            worker,
            slot: AtomicUsize::new(0),
        });
        let shown = Arc::downgrade(&live);
        live.slot.store(shard.lock().enter(shown), Relaxed);
        live
    }

    /// All of them, the oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Live>> {
        let mut all = Vec::new();
        self.for_each(|live| all.push(live));
        all.sort_unstable_by_key(|live| (live.start, live.tag));
        all
    }

    /// Looks at each, in no order. Whoever comes or goes meanwhile waits for a few of them, not for all.
    fn for_each(&self, mut look: impl FnMut(Arc<Live>)) {
        let mut some = Vec::new();
        for shard in &self.shards {
            let mut first = 0;
            while shard.lock().some(first, AT_ONCE, &mut some) {
                // Not under the lock: the last one to be dropped takes it.
                some.drain(..).for_each(&mut look);
                first += AT_ONCE;
            }
            some.drain(..).for_each(&mut look);
        }
    }

    /// What has become of those that no route took.
    pub(super) fn unrouted(&self) -> TrafficCounts {
        Traffic::read_all(self.shards.iter().map(|shard| &shard.unrouted))
    }

    /// How many of each of these phases there are on each route, by its name.
    pub(super) fn count<const N: usize>(&self, phases: [Phase; N]) -> HashMap<Arc<str>, [u64; N]> {
        let mut counts = HashMap::new();
        self.for_each(|live| {
            let phase = live.phase();
            if let Some(route) = live.route()
                && let Some(at) = phases.iter().position(|wanted| *wanted == phase)
            {
                counts.entry(route.names.route.clone()).or_insert([0; N])[at] += 1;
            }
        });
        counts
    }

    /// Those that hold permits of `limiter`, the oldest first.
    pub fn in_flight(&self, limiter: &Limiter) -> Vec<LiveView> {
        let mut lines = HashMap::new();
        self.all().iter().filter(|live| live.holds(limiter, &mut lines)).map(|live| live.view()).collect()
    }

    /// Those of these tags, by tag.
    pub fn waiting(&self, tags: impl IntoIterator<Item = u64>) -> HashMap<u64, LiveView> {
        let all: HashMap<u64, Arc<Live>> = self.all().into_iter().map(|live| (live.tag, live)).collect();
        tags.into_iter().filter_map(|tag| Some((tag, all.get(&tag)?.view()))).collect()
    }

    /// Ends all requests of this id. Who waits is turned away as if its queue had been emptied; whoever is further gets no
    /// more of an answer, and its exchange is abandoned. Returns them as they were.
    pub fn cancel(&self, request_id: &str) -> Vec<LiveView> {
        let all = self.all();
        let these = all.iter().filter(|live| live.id.as_bytes() == request_id.as_bytes());
        these
            .map(|live| {
                let view = live.view();
                live.cancel();
                view
            })
            .collect()
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who waits at a limit, by its name.
pub(super) type Lines = HashMap<String, Vec<u64>>;

impl Live {
    pub(super) fn tag(&self) -> u64 {
        self.tag
    }

    pub(super) fn route(&self) -> Option<&Arc<Route>> {
        self.route.as_ref()
    }

    pub(super) fn claims(&self, seats: u32) {
        self.seats.store(seats, Relaxed);
    }

    pub(super) fn seats(&self) -> u32 {
        self.seats.load(Relaxed)
    }

    pub(super) fn is_in(&self, phase: Phase) {
        if phase == Phase::Response || phase == Phase::Upgraded {
            self.headed.store(true, Relaxed);
        }
        self.phase.store(phase as u8, Relaxed);
    }

    pub(super) fn has_status(&self, status: u16) {
        if !self.begun.load(Relaxed) {
            self.status.store(status, Relaxed);
        }
    }

    /// Its client has had a head with this status, whatever becomes of it.
    pub(super) fn begun(&self, status: u16) {
        self.has_status(status);
        self.begun.store(true, Relaxed);
    }

    pub(super) fn ends(&self, outcome: Outcome) {
        self.outcome.store(outcome as u8, Relaxed);
    }

    /// Its client has had all of its answer. If that was one of ours, it is known by now what that was.
    pub(super) fn completed(&self) {
        let (gone, completed) = (Outcome::ClientGone as u8, Outcome::Completed as u8);
        let _ = self.outcome.compare_exchange(gone, completed, Relaxed, Relaxed);
    }

    fn counts(&self) -> &Counts {
        self.route().map_or(&self.shard.unrouted, |route| route.traffic.of(self.worker))
    }

    pub(super) fn keyed(&self, keyed: &Keyed) {
        if let Keyed::Own(key) = keyed {
            self.seen().key = Some(key.shown().into());
        }
    }

    /// Whether it was sent before.
    pub(super) fn sent_to(&self, endpoint: &Arc<str>) -> bool {
        self.seen().endpoint.replace(endpoint.clone()).is_some()
    }

    pub(super) fn endpoint(&self) -> Option<Arc<str>> {
        self.seen().endpoint.clone()
    }

    /// Resolves once it has been cancelled.
    pub(super) fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut seen = self.seen();
        if self.is_cancelled() {
            return Poll::Ready(());
        }
        match &mut seen.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => seen.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    fn cancel(&self) {
        let limits = self.route().and_then(|route| route.limits.as_ref());
        if limits.is_some_and(|limits| limits.limiters().iter().any(|limiter| limiter.flush_one(self.tag))) {
            return;
        }
        let waker = {
            let mut seen = self.seen();
            self.cancelled.store(true, Relaxed);
            seen.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn phase(&self) -> Phase {
        const ALL: [Phase; 5] = [Phase::Queued, Phase::Upstream, Phase::Response, Phase::Upgraded, Phase::Abandoned];
        ALL[usize::from(self.phase.load(Relaxed))]
    }

    /// Whether it holds permits of a limit: of all of its route once it has been admitted, and of those before the one
    /// where it waits.
    pub(super) fn holds(&self, limiter: &Limiter, lines: &mut Lines) -> bool {
        let Some(route) = self.route() else { return false };
        let limiters = route.limits.as_ref().map_or(&[][..], Limits::limiters);
        let Some(at) = limiters.iter().position(|other| other.name() == limiter.name()) else { return false };
        match self.phase() {
            Phase::Queued => limiters[at + 1..].iter().any(|later| {
                let line = || later.line(usize::MAX).into_iter().map(|waiter| waiter.tag).collect();
                lines.entry(later.name().to_owned()).or_insert_with(line).contains(&self.tag)
            }),
            // It has a place of its own then.
            Phase::Upgraded if route.upgrades().is_some() => false,
            _ => !(self.headed.load(Relaxed) && limiter.settings().hold == Hold::Head),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shard.lock().leave(self.slot.load(Relaxed));
    }
}

#[cfg(test)]
mod tests;
