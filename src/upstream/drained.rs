//! Endpoints that an operator has taken out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::endpoint::Member;
use super::forward::Upstream;
use super::load::Out;
use super::members::Members;

/// Which endpoints get no new requests because somebody has said so, and who. By the addresses that they are shown with, so
/// that it holds for whatever is there after a reload.
#[derive(Debug, Clone, Default)]
pub(super) struct Drained(BTreeMap<Arc<str>, Arc<str>>);

impl Drained {
    /// Who has said so.
    pub(super) fn by(&self, name: &str) -> Option<Arc<str>> {
        self.0.get(name).cloned()
    }
}

impl Upstream {
    /// Has an endpoint get no new requests from now on, by the word of `by`, or with `None` as before. It is named by its
    /// address; what was written stands for all of its addresses. Whether there is such an endpoint.
    ///
    /// What is under way there goes on. It holds until it is taken back or the process ends.
    pub fn drain(&self, endpoint: &str, by: Option<&str>) -> bool {
        self.members.drain(endpoint, by)
    }
}

impl Members {
    fn drain(&self, endpoint: &str, by: Option<&str>) -> bool {
        let mut state = self.lock();
        let list = self.list.load();
        let is_meant = |member: &&Arc<Member>| {
            let named = &**member.name() == endpoint || member.site().endpoint.to_string() == endpoint;
            named && !member.load().is(Out::Leaving)
        };
        let Drained(drained) = &mut state.roster.drained;
        let mut found = false;
        for member in list.iter().filter(is_meant) {
            found = true;
            match by {
                Some(by) => drained.insert(member.name().clone(), by.into()),
                None => drained.remove(member.name()),
            };
            member.load().set(Out::Drained, by.is_some());
        }
        self.changed(&mut state);
        found
    }

    /// Takes over what was said of another upstream's endpoints of the same name, before they are put in force.
    pub(super) fn drain_as(&self, other: &Members) {
        let drained = other.lock().roster.drained.clone();
        self.lock().roster.drained = drained;
    }
}
