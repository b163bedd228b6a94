//! Which endpoints there are: those of the settings in force, at the addresses that are known of their names.

use std::io;
use std::iter::repeat;
use std::net::SocketAddr;
use std::sync::Arc;

use super::drained::Drained;
use super::endpoint::Member;
use super::load::Out;
use super::members::{List, Members, State};
use super::settings::{Endpoint, Settings};
use super::site::Site;

/// What the list of the members is made of.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// The settings in force, and how many workers there are.
    in_force: Option<(Settings, usize)>,
    names: Vec<Name>,
    /// Who gets none all the same.
    pub(super) drained: Drained,
}

/// A name that has been looked up.
#[derive(Debug)]
struct Name {
    endpoint: Endpoint,
    /// Sorted. Empty as long as no look-up has succeeded.
    addresses: Vec<SocketAddr>,
    /// Whether the last look-up has failed.
    fails: bool,
}

impl Roster {
    fn name(&mut self, endpoint: &Endpoint) -> &mut Name {
        let at = self.names.iter().position(|name| name.endpoint == *endpoint).unwrap_or_else(|| {
            self.names.push(Name { endpoint: endpoint.clone(), addresses: Vec::new(), fails: false });
            self.names.len() - 1
        });
        &mut self.names[at]
    }

    fn is_in_force(&self, endpoint: &Endpoint) -> bool {
        self.in_force.as_ref().is_some_and(|(settings, _)| settings.endpoints.contains(endpoint))
    }

    /// Where an endpoint is, as far as that is known.
    fn sites(&self, endpoint: &Endpoint) -> Vec<Site> {
        match self.names.iter().find(|name| name.endpoint == *endpoint) {
            Some(Name { addresses, .. }) if !addresses.is_empty() => {
                addresses.iter().map(|address| Site::at(endpoint, *address)).collect()
            }
            _ => vec![Site::new(endpoint)],
        }
    }
}

impl Members {
    /// From now on there are the endpoints of these settings. What is at the same address goes on being counted, and keeps
    /// its connections where nothing about them has changed.
    pub(super) fn put(self: &Arc<Self>, settings: &Settings, workers: usize) {
        let mut state = self.lock();
        state.roster.in_force = Some((settings.clone(), workers));
        state.roster.names.retain(|name| settings.endpoints.contains(&name.endpoint));
        self.call(&mut state);
    }

    /// Whether a look-up of it has ever succeeded.
    pub(super) fn has_addresses(&self, endpoint: &Endpoint) -> bool {
        self.lock().roster.names.iter().any(|name| name.endpoint == *endpoint && !name.addresses.is_empty())
    }

    /// A name stands for these addresses now, which are sorted and at least one.
    pub(super) fn resolved(self: &Arc<Self>, endpoint: &Endpoint, addresses: Vec<SocketAddr>) {
        let mut state = self.lock();
        // A reload may have been faster than the look-up.
        if !state.roster.is_in_force(endpoint) {
            return;
        }
        let name = state.roster.name(endpoint);
        if std::mem::take(&mut name.fails) {
            tracing::info!(%endpoint, "a name can be resolved again");
        }
        if name.addresses == addresses {
            return;
        }
        if !name.addresses.is_empty() {
            tracing::info!(%endpoint, before = ?name.addresses, now = ?addresses, "a name has other addresses");
        }
        name.addresses = addresses;
        self.call(&mut state);
    }

    /// A name could not be looked up. Its addresses stay; without any, it gets no requests.
    pub(super) fn unresolved(&self, endpoint: &Endpoint, error: &io::Error) {
        let mut state = self.lock();
        if !state.roster.is_in_force(endpoint) {
            return;
        }
        let name = state.roster.name(endpoint);
        if std::mem::replace(&mut name.fails, true) {
            return;
        }
        if !name.addresses.is_empty() {
            tracing::warn!(%endpoint, %error, "a name cannot be resolved; its addresses stay in use");
            return;
        }
        tracing::warn!(%endpoint, %error, "a name cannot be resolved; its endpoint gets no requests until it can");
        let site = Site::new(endpoint);
        let list = self.list.load();
        list.iter().filter(|member| member.is_at(&site)).for_each(|member| {
            member.load().set(Out::Unresolved, true);
        });
        self.changed(&mut state);
    }

    /// Others have taken their place: what idles closes, and the rest once it has ended.
    pub(super) fn retire(&self) {
        self.list.load().iter().for_each(|member| member.retire_unless_among(&[]));
    }

    /// Makes the list anew. Who is not called any more leaves.
    fn call(self: &Arc<Self>, state: &mut State) {
        let Some((settings, workers)) = &state.roster.in_force else { return };
        let before = self.list.load_full();
        let mut list: List = Vec::with_capacity(settings.endpoints.len());
        let slots = settings.slots.iter().copied().map(Some).chain(repeat(None));
        for (endpoint, slots) in settings.endpoints.iter().zip(slots) {
            for site in state.roster.sites(endpoint) {
                // Two names may stand for one address.
                if list.iter().any(|member| member.is_at(&site)) {
                    continue;
                }
                // Before its first look-up the name was one place. Who is under way there counts at its first address, or
                // a server of one address would have all of its slots twice.
                let was = |member: &&Arc<Member>| {
                    let is_new = !list.iter().any(|other| Arc::ptr_eq(other.load(), member.load()));
                    is_new && *member.site() == Site::new(endpoint)
                };
                let same = before.iter().find(|member| member.is_at(&site)).or_else(|| before.iter().find(was));
                let same = same.map(|member| &**member);
                let member = Member::new(settings, site, slots, same, Arc::downgrade(self), *workers);
                member.load().set(Out::Leaving, false);
                if member.site().address.is_some() {
                    member.load().set(Out::Unresolved, false);
                }
                member.load().set(Out::Drained, state.roster.drained.by(member.name()).is_some());
                if settings.health.is_none() {
                    // Nobody would ever find it healthy again.
                    member.load().set(Out::Down, false);
                }
                if settings.respect_retry_after.is_none() {
                    member.load().unpause();
                }
                list.push(Arc::new(member));
            }
        }
        for member in before.iter() {
            if !list.iter().any(|other| Arc::ptr_eq(other.load(), member.load())) {
                member.load().set(Out::Leaving, true);
                list.push(member.clone());
            }
        }
        // Nobody would look after connections that are on no list, and they would count for as long as something lasts on one.
        before.iter().for_each(|member| member.retire_unless_among(&list));
        self.list.store(Arc::new(list));
        self.calls.send_replace(());
        self.changed(state);
    }
}
