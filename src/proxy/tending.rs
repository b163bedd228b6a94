//! The tasks that look after upstreams, and after limits that find themselves.

use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use super::adaptive::keep_house;
use super::shared::Shared;
use crate::upstream::Upstream;

/// One task for each upstream that is in force, and one for all limits that find themselves, if there are any. Dropping
/// it ends them.
#[derive(Debug, Default)]
pub struct Tending {
    tasks: JoinSet<()>,
    of: Vec<(Arc<Upstream>, AbortHandle)>,
    house: Option<AbortHandle>,
}

impl Tending {
    /// Looks after the upstreams and limits of `shared` from now on, and after no others. It needs a runtime.
    pub fn follow(&mut self, shared: &Shared) {
        self.of.retain(|(upstream, task)| {
            let stays = shared.upstreams.iter().any(|other| Arc::ptr_eq(other, upstream));
            if !stays {
                task.abort();
            }
            stays
        });
        for upstream in &shared.upstreams {
            if !self.of.iter().any(|(other, _)| Arc::ptr_eq(other, upstream)) {
                let ours = upstream.clone();
                let task = self.tasks.spawn(async move { ours.tend().await });
                self.of.push((upstream.clone(), task));
            }
        }
        self.house.take().iter().for_each(AbortHandle::abort);
        if !shared.adaptive.is_empty() {
            self.house = Some(self.tasks.spawn(keep_house(shared.adaptive.as_slice().into())));
        }
        // Those that have ended.
        while self.tasks.try_join_next().is_some() {}
    }
}
