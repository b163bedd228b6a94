//! How often one request is sent again.

use std::sync::Arc;

use super::endpoint::Member;

/// How often a request was sent again.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) retries: u32,
    pub(super) most: u32,
    detours: u32,
    /// Where it was sent, or was to be sent, in vain.
    pub(super) tried: Vec<Arc<Member>>,
    /// Whether a connection that had idled turned out to be closed.
    pub(super) fresh: bool,
}

impl Again {
    pub(super) fn new(most: u32) -> Self {
        Again { retries: 0, most, detours: 0, tried: Vec::new(), fresh: false }
    }

    pub(super) fn may_detour(&self) -> bool {
        self.detours < DETOURS || self.retries < self.most
    }

    pub(super) fn times(&self) -> u32 {
        self.retries + self.detours
    }

    pub(super) fn count(&mut self, detour: bool) {
        if detour && self.detours < DETOURS {
            self.detours += 1;
        } else {
            self.retries += 1;
        }
    }
}

/// How many connections may end under one request, or not be made. An upstream that takes a hundred requests on each, of
/// which fifty come at once, ends two in a row now and then.
const DETOURS: u32 = 3;
