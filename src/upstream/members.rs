//! The endpoints of an upstream, and who gets the next request.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::balance::{Balance, choose};
use super::endpoint::{EndpointStatus, Member, Seat};
use super::line::Line;
use super::load::{Load, Out, UP};
use super::pause::first_back;
use super::roster::Roster;

/// All endpoints that there are. The list is swapped as a whole; whoever has a seat at one that is gone goes on, and until
/// nobody has, it stays on the list as one that is leaving.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) list: ArcSwap<List>,
    /// How many choices there were, where that matters.
    turn: AtomicU32,
    /// Each time that the list has changed.
    pub(super) calls: watch::Sender<()>,
    /// Those who wait until one gets requests.
    pub(super) line: Line,
    /// Whoever changes the list, or whether an endpoint gets requests, has this lock, so that what is told last is true.
    state: Mutex<State>,
}

pub(super) type List = Vec<Arc<Member>>;

/// What changes are made by.
#[derive(Debug, Default)]
pub(super) struct State {
    teller: Teller,
    /// Who belongs on the list.
    pub(super) roster: Roster,
}

/// Who is told how many slots there are.
#[derive(Default)]
struct Teller(Option<Tell>);

/// Hears the sum of the slots, at once and whenever it changes.
pub(super) type Tell = Box<dyn Fn(NonZeroU32) + Send + Sync>;

impl Members {
    /// None at all.
    pub(super) fn new() -> Self {
        Members {
            list: ArcSwap::default(),
            turn: AtomicU32::new(0),
            calls: watch::Sender::new(()),
            line: Line::default(),
            state: Mutex::default(),
        }
    }

    /// From now on `tell` hears the sum of the slots.
    pub(super) fn tell_slots(&self, tell: Tell) {
        let mut state = self.lock();
        state.teller = Teller(Some(tell));
        self.changed(&mut state);
    }

    /// An endpoint that gets nothing has one running request less, or the like.
    pub(super) fn recount(&self) {
        self.changed(&mut self.lock());
    }

    /// Has an endpoint get no more requests for this reason, or takes that back. Whether that has changed anything.
    pub(super) fn set(&self, load: &Load, why: Out, out: bool) -> bool {
        let mut state = self.lock();
        let changed = load.set(why, out);
        if changed {
            self.changed(&mut state);
        }
        changed
    }

    /// Has an endpoint get no more requests, unless it is the last that gets any. Whether that has changed anything.
    pub(super) fn take_out_unless_last(&self, load: &Arc<Load>, why: Out) -> bool {
        let mut state = self.lock();
        let others = |member: &Arc<Member>| !Arc::ptr_eq(member.load(), load) && !member.load().is_out();
        let changed = self.list.load().iter().any(others) && load.set(why, true);
        if changed {
            self.changed(&mut state);
        }
        changed
    }

    /// How many requests may have a slot: as many as the endpoints have that get requests. What still runs at the others
    /// stands for itself, or it would take the place of what runs elsewhere; as it ends, the number goes down.
    pub(super) fn slots(&self) -> u32 {
        let list = self.list.load();
        list.iter().map(|member| member.counted_slots()).fold(0, u32::saturating_add)
    }

    /// Tells everybody what has changed.
    pub(super) fn changed(&self, state: &mut State) {
        let list = self.list.load();
        let back = first_back(&list);
        if back.is_none() && list.iter().all(|member| member.load().is_out()) {
            // What failed now and then is better than nothing, but not than one that is soon back.
            for member in list.iter().filter(|member| member.load().is_only(Out::Ejected)) {
                member.load().set(Out::Ejected, false);
            }
        }
        self.line.set(list.iter().any(|member| !member.load().is_out()), back);
        if let Some(tell) = &state.teller.0 {
            // Where no endpoint gets anything, one request after the other is let in to hear so.
            tell(NonZeroU32::new(self.slots()).unwrap_or(NonZeroU32::MIN));
        }
    }

    /// A seat at the endpoint that is next, if possible at none of those that were `tried`. With `slot`, which somebody
    /// else has counted, at one that has a slot free. `None` where no endpoint gets requests.
    ///
    /// Where all that could are paused, whoever comes so far was on its way before that, and goes.
    pub(super) fn seat(&self, balance: Balance, tried: &[Arc<Member>], slot: bool) -> Option<Seat> {
        let list = self.list.load();
        // There is nothing to choose, and nothing to be spent on it.
        if let [only] = &list[..]
            && !only.load().is_out_but_for(Out::Paused)
        {
            return Some(Seat::try_take(only, slot).unwrap_or_else(|| Seat::force(only, slot)));
        }
        let dice = match balance {
            Balance::LeastInFlight => fastrand::u64(..),
            Balance::RoundRobin => u64::from(self.turn.fetch_add(1, Ordering::Relaxed)),
        };
        let pick = |may: &dyn Fn(&Arc<Member>) -> bool| {
            let load = |at: usize| may(&list[at]).then(|| list[at].load().in_flight());
            choose(balance, list.len(), dice, load).map(|at| &list[at])
        };
        let up = |member: &Arc<Member>| !member.load().is_out();
        let well = |member: &Arc<Member>| !member.load().is_out_but_for(Out::Paused);
        let free = |member: &Arc<Member>| !slot || member.has_free_slot();
        let given_back = || list.iter().map(|member| member.load().given_back()).fold(0, u64::wrapping_add);
        loop {
            let before = if slot { given_back() } else { 0 };
            let member = pick(&|member| up(member) && free(member) && is_untried(member, tried))
                .or_else(|| pick(&|member| up(member) && free(member)))
                .or_else(|| pick(&|member| well(member) && free(member)))
                // It was let in for a slot of an endpoint that has been taken out since.
                .or_else(|| pick(&|member| slot && list.iter().any(well) && member.is_slotted_and_free()));
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
        pick(&up).or_else(|| pick(&well)).map(|member| Seat::force(member, slot))
    }

    /// Whether a request can go elsewhere.
    pub(super) fn are_several(&self) -> bool {
        self.list.load().len() > 1
    }

    /// Whether there is one that was not tried.
    pub(super) fn has_untried(&self, tried: &[Arc<Member>]) -> bool {
        self.list.load().iter().any(|member| !member.load().is_out() && is_untried(member, tried))
    }

    /// How many endpoints are in which state, in words: `1 up, 2 drained by hand`.
    pub(super) fn standing(&self) -> String {
        let list = self.list.load();
        let count = |(state, words): (&str, &str)| {
            let count = list.iter().filter(|member| member.load().state() == state).count();
            (count > 0).then(|| format!("{count} {words}"))
        };
        let said: Vec<String> = [(UP, UP)].into_iter().chain(Out::WORDS).filter_map(count).collect();
        if said.is_empty() { "none at all".to_owned() } else { said.join(", ") }
    }

    pub(super) fn status(&self) -> Vec<EndpointStatus> {
        let state = self.lock();
        let drained = &state.roster.drained;
        self.list.load().iter().map(|member| member.status(drained.by(member.name()))).collect()
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
            let _state = self.lock();
            let list = self.list.load_full();
            self.list.store(Arc::new(list.iter().filter(|member| !member.has_left()).cloned().collect()));
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_untried(member: &Arc<Member>, tried: &[Arc<Member>]) -> bool {
    // A reload makes another of it, and it is the same server.
    !tried.iter().any(|other| Arc::ptr_eq(member.load(), other.load()))
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Teller").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests;
