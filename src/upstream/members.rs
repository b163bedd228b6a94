//! The endpoints of an upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;

use super::balance::{Balance, choose};
use super::endpoint::{EndpointStatus, Member, Seat};
use super::settings::Settings;

/// All endpoints that there are. The list is swapped as a whole; whoever has a seat at one that is gone goes on.
#[derive(Debug)]
pub(super) struct Members<B> {
    list: ArcSwap<List<B>>,
    balance: Balance,
    /// How many choices there were, where that matters.
    turn: AtomicU32,
}

type List<B> = Vec<Arc<Member<B>>>;

impl<B> Members<B> {
    /// Those of `settings`. What is at the same address `before` goes on being counted.
    pub(super) fn new(settings: &Settings, workers: usize, before: Option<&Members<B>>) -> Self {
        let before = before.map(|members| members.list.load_full()).unwrap_or_default();
        let members = settings.endpoints.iter().map(|endpoint| {
            let before = before.iter().find(|member| member.is_at(endpoint));
            Arc::new(Member::new(settings, endpoint, workers, before.map(|member| &**member)))
        });
        let list = ArcSwap::from_pointee(members.collect());
        Members { list, balance: settings.balance, turn: AtomicU32::new(0) }
    }

    /// A seat at the endpoint that is next, if possible at none of those that were `tried`.
    pub(super) fn seat(&self, tried: &[Arc<Member<B>>]) -> Option<Seat<B>> {
        let list = self.list.load();
        // There is nothing to choose, and nothing to be spent on it.
        if let [only] = &list[..] {
            return Some(Seat::take(only));
        }
        let dice = match self.balance {
            Balance::LeastInFlight => fastrand::u64(..),
            Balance::RoundRobin => u64::from(self.turn.fetch_add(1, Ordering::Relaxed)),
        };
        let load = |at: usize| Some(list[at].in_flight());
        let untried = |at: usize| load(at).filter(|_| is_untried(&list[at], tried));
        let at =
            choose(self.balance, list.len(), dice, untried).or_else(|| choose(self.balance, list.len(), dice, load))?;
        Some(Seat::take(&list[at]))
    }

    /// Whether a request can go elsewhere.
    pub(super) fn are_several(&self) -> bool {
        self.list.load().len() > 1
    }

    /// Whether there is one that was not tried.
    pub(super) fn has_untried(&self, tried: &[Arc<Member<B>>]) -> bool {
        self.list.load().iter().any(|member| is_untried(member, tried))
    }

    pub(super) fn status(&self) -> Vec<EndpointStatus> {
        self.list.load().iter().map(|member| member.status()).collect()
    }

    pub(super) fn prune(&self, worker: usize) {
        self.list.load().iter().for_each(|member| member.prune(worker));
    }
}

fn is_untried<B>(member: &Arc<Member<B>>, tried: &[Arc<Member<B>>]) -> bool {
    !tried.iter().any(|other| Arc::ptr_eq(member, other))
}
