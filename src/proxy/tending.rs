//! The tasks that look after upstreams.

use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use super::shared::Shared;
use crate::upstream::Upstream;

/// One task for each upstream that is in force. Dropping it ends them.
#[derive(Debug, Default)]
pub struct Tending {
    tasks: JoinSet<()>,
    of: Vec<(Arc<Upstream>, AbortHandle)>,
}

impl Tending {
    /// Looks after the upstreams of `shared` from now on, and after no others. It needs a runtime.
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
        // Those that have ended.
        while self.tasks.try_join_next().is_some() {}
    }
}
