//! The endpoints of an upstream, and who gets the next request.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::balance::{Balance, choose};
use super::endpoint::{EndpointStatus, Member, Seat};
use super::load::{Load, Out};
use super::settings::{Endpoint, Settings};

/// All endpoints that there are. The list is swapped as a whole; whoever has a seat at one that is gone goes on, and until
/// nobody has, it stays on the list as one that is leaving.
#[derive(Debug)]
pub(super) struct Members<B> {
    list: ArcSwap<List<B>>,
    /// How many choices there were, where that matters.
    turn: AtomicU32,
    /// Whoever changes the list or tells the sum of the slots has this lock, so that what is told last is true.
    teller: Mutex<Teller>,
}

type List<B> = Vec<Arc<Member<B>>>;

/// Who is told how many slots there are.
#[derive(Default)]
struct Teller(Option<Tell>);

/// Hears the sum of the slots, at once and whenever it changes.
pub(super) type Tell = Box<dyn Fn(NonZeroU32) + Send + Sync>;

impl<B> Members<B> {
    /// None at all.
    pub(super) fn new() -> Self {
        Members { list: ArcSwap::default(), turn: AtomicU32::new(0), teller: Mutex::default() }
    }

    /// From now on there are these endpoints, with so many slots each. What is at the same address goes on being counted.
    pub(super) fn put(
        self: &Arc<Self>,
        settings: &Settings,
        wanted: &[(Endpoint, Option<NonZeroU32>)],
        workers: usize,
    ) {
        let teller = self.lock();
        let before = self.list.load_full();
        let stays = |member: &&Arc<Member<B>>| wanted.iter().any(|(endpoint, _)| member.is_at(endpoint));
        let mut list: List<B> = Vec::with_capacity(wanted.len());
        for (endpoint, slots) in wanted {
            let before = before.iter().find(|member| member.is_at(endpoint)).map(|member| member.load().clone());
            let load = before.unwrap_or_default();
            load.set(Out::Leaving, false);
            let members = Arc::downgrade(self);
            list.push(Arc::new(Member::new(settings, endpoint, *slots, load, members, workers)));
        }
        for member in before.iter().filter(|member| !stays(member)) {
            member.load().set(Out::Leaving, true);
            list.push(member.clone());
        }
        self.list.store(Arc::new(list));
        self.tell(&teller);
    }

    /// From now on `tell` hears the sum of the slots.
    pub(super) fn tell_slots(&self, tell: Tell) {
        let mut teller = self.lock();
        *teller = Teller(Some(tell));
        self.tell(&teller);
    }

    /// An endpoint that gets nothing has one running request less, or the like.
    pub(super) fn recount(&self) {
        self.tell(&self.lock());
    }

    /// Has an endpoint get no more requests, unless it is the last that gets any. Whether that has changed anything.
    pub(super) fn take_out_unless_last(&self, load: &Arc<Load>, why: Out) -> bool {
        let teller = self.lock();
        let others = |member: &Arc<Member<B>>| !Arc::ptr_eq(member.load(), load) && !member.load().is_out();
        let changed = self.list.load().iter().any(others) && load.set(why, true);
        if changed {
            self.tell(&teller);
        }
        changed
    }

    /// How many requests may have a slot: as many as the endpoints have that get requests. What still runs at the others
    /// stands for itself, or it would take the place of what runs elsewhere; as it ends, the number goes down.
    pub(super) fn slots(&self) -> u32 {
        let list = self.list.load();
        list.iter().map(|member| member.counted_slots()).fold(0, u32::saturating_add)
    }

    fn tell(&self, teller: &MutexGuard<'_, Teller>) {
        if let Some(tell) = &teller.0 {
            // Where no endpoint gets anything, one request after the other is let in to hear so.
            tell(NonZeroU32::new(self.slots()).unwrap_or(NonZeroU32::MIN));
        }
    }

    /// A seat at the endpoint that is next, if possible at none of those that were `tried`. With `slot`, which somebody
    /// else has counted, at one that has a slot free. `None` where no endpoint gets requests.
    pub(super) fn seat(&self, balance: Balance, tried: &[Arc<Member<B>>], slot: bool) -> Option<Seat<B>> {
        let list = self.list.load();
        // There is nothing to choose, and nothing to be spent on it.
        if let [only] = &list[..]
            && !only.load().is_out()
        {
            return Some(Seat::try_take(only, slot).unwrap_or_else(|| Seat::force(only, slot)));
        }
        let dice = match balance {
            Balance::LeastInFlight => fastrand::u64(..),
            Balance::RoundRobin => u64::from(self.turn.fetch_add(1, Ordering::Relaxed)),
        };
        let pick = |may: &dyn Fn(&Arc<Member<B>>) -> bool| {
            let load = |at: usize| may(&list[at]).then(|| list[at].load().in_flight());
            choose(balance, list.len(), dice, load).map(|at| &list[at])
        };
        let up = |member: &Arc<Member<B>>| !member.load().is_out();
        let free = |member: &Arc<Member<B>>| !slot || member.has_free_slot();
        loop {
            let member = pick(&|member| up(member) && free(member) && is_untried(member, tried))
                .or_else(|| pick(&|member| up(member) && free(member)))
                // It was let in for a slot of an endpoint that has been taken out since.
                .or_else(|| pick(&|member| slot && member.has_free_slot()));
            let Some(member) = member else { break };
            if let Some(seat) = Seat::try_take(member, slot) {
                return Some(seat);
            }
        }
        // More were let in than there are slots: an operator has said so, or nobody counts but for show.
        pick(&up).map(|member| Seat::force(member, slot))
    }

    /// Whether a request can go elsewhere.
    pub(super) fn are_several(&self) -> bool {
        self.list.load().len() > 1
    }

    /// Whether there is one that was not tried.
    pub(super) fn has_untried(&self, tried: &[Arc<Member<B>>]) -> bool {
        self.list.load().iter().any(|member| !member.load().is_out() && is_untried(member, tried))
    }

    pub(super) fn status(&self) -> Vec<EndpointStatus> {
        self.list.load().iter().map(|member| member.status()).collect()
    }

    /// Closes what has idled for too long, and forgets endpoints that have left.
    pub(super) fn prune(&self, worker: usize) {
        let list = self.list.load_full();
        list.iter().for_each(|member| member.prune(worker));
        if list.iter().any(|member| member.has_left()) {
            let _teller = self.lock();
            let list = self.list.load_full();
            self.list.store(Arc::new(list.iter().filter(|member| !member.has_left()).cloned().collect()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Teller> {
        self.teller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_untried<B>(member: &Arc<Member<B>>, tried: &[Arc<Member<B>>]) -> bool {
    !tried.iter().any(|other| Arc::ptr_eq(member, other))
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Teller").field(&self.0.is_some()).finish()
    }
}
