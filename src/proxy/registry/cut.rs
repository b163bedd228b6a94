//! Requests that are cut at the end of a drain.

use std::sync::atomic::Ordering::Relaxed;

use super::{Live, Registry};
use crate::access_log::{DRAINING, Outcome};

impl Registry {
    /// From now on, those whose clients seem to leave are cut by us.
    pub(in crate::proxy) fn cut(&self) {
        self.shards.iter().for_each(|shard| shard.cut.store(true, Relaxed));
    }
}

impl Live {
    /// What has become of it, now that it has ended.
    pub(super) fn outcome(&self) -> Outcome {
        let outcome = Outcome::ALL[usize::from(self.outcome.load(Relaxed))];
        if outcome != Outcome::ClientGone || !self.shard.cut.load(Relaxed) {
            return outcome;
        }
        if !self.headed.load(Relaxed) {
            self.has_status(DRAINING);
        }
        Outcome::Failed
    }
}
