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
        let given_back = || list.iter().map(|member| member.load().given_back()).fold(0, u64::wrapping_add);
        loop {
            let before = if slot { given_back() } else { 0 };
            let member = pick(&|member| up(member) && free(member) && is_untried(member, tried))
                .or_else(|| pick(&|member| up(member) && free(member)))
                // It was let in for a slot of an endpoint that has been taken out since.
                .or_else(|| pick(&|member| slot && member.has_free_slot()));
            match member.map(|member| Seat::try_take(member, slot)) {
                Some(Some(seat)) => return Some(seat),
                // Somebody was faster; there is another one.
                Some(None) => {}
                // They were not looked at all at once: what was given back behind our back is ours.
                None if slot && given_back() != before => {}
                None => break,
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

    /// Closes a connection that idles, wherever there is one.
    pub(super) fn close_idle(&self) -> bool {
        self.list.load().iter().any(|member| member.close_idle())
    }

    /// How many connections idle.
    pub(super) fn idle(&self) -> usize {
        self.list.load().iter().map(|member| member.idle()).sum()
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use bytes::Bytes;
    use http_body_util::Empty;

    use super::*;

    /// Lets through as many as it was told: `[limit: 32 | in flight: 32]`.
    #[derive(Default)]
    struct Gate(AtomicU64);

    impl Gate {
        fn enter(&self) -> bool {
            let more = |word: u64| ((word as u32) < (word >> 32) as u32).then_some(word + 1);
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
        }

        fn leave(&self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }

        fn set_limit(&self, limit: u32) {
            let set = |word: u64| Some(u64::from(word as u32) | u64::from(limit) << 32);
            let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, set);
        }

        fn limit(&self) -> u32 {
            (self.0.load(Ordering::SeqCst) >> 32) as u32
        }
    }

    #[test]
    fn whoever_was_let_in_finds_a_slot_also_while_endpoints_come_and_go() {
        const SLOTS: [u32; 3] = [1, 2, 3];
        let endpoints = ["a", "b", "c"].map(|host| Endpoint { host: host.to_owned(), port: 1 });
        let wanted: Vec<_> = endpoints.iter().cloned().zip(SLOTS.map(NonZeroU32::new)).collect();
        let settings = Settings::new("u", endpoints[0].clone());
        let members = Arc::new(Members::<Empty<Bytes>>::new());
        members.put(&settings, &wanted, 1);
        let gate = Arc::new(Gate::default());
        let told = gate.clone();
        members.tell_slots(Box::new(move |slots| told.set_limit(slots.get())));
        assert_eq!(gate.limit(), 6);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if !gate.enter() {
                            thread::yield_now();
                            continue;
                        }
                        let seat = members.seat(Balance::LeastInFlight, &[], true).expect("one is up");
                        let at = endpoints.iter().position(|endpoint| seat.member().is_at(endpoint)).unwrap();
                        assert!(seat.member().load().taken() <= SLOTS[at], "one too many");
                        drop(seat);
                        gate.leave();
                    }
                });
            }
            scope.spawn(|| {
                for round in 0..2_000 {
                    let load = members.list.load()[round % 2].load().clone();
                    assert!(members.take_out_unless_last(&load, Out::Ejected));
                    thread::yield_now();
                    load.set(Out::Ejected, false);
                    members.recount();
                }
            });
        });
        assert_eq!(gate.limit(), 6);
        assert!(members.list.load().iter().all(|member| (member.load().taken(), member.load().in_flight()) == (0, 0)));
    }

    #[test]
    fn the_last_endpoint_stays() {
        let endpoint = Endpoint { host: "a".to_owned(), port: 1 };
        let members = Arc::new(Members::<Empty<Bytes>>::new());
        members.put(&Settings::new("u", endpoint.clone()), &[(endpoint, None)], 1);
        let load = members.list.load()[0].load().clone();
        assert!(!members.take_out_unless_last(&load, Out::Ejected) && !load.is_out());
    }
}
