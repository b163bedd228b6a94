//! Which addresses the names of endpoints stand for, asked again and again.
//!
//! The workers have no part in it: they connect to addresses. Only for the moment between a start and the first answer
//! whoever connects looks the name up by itself. A look-up that fails changes nothing where addresses are known; where none
//! are, the endpoint gets no requests until one succeeds, which is tried every second.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::members::Members;
use super::settings::{Endpoint, Settings};
use super::site::Site;

/// How often names are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// Again after so long. Default 30 s.
    Every(Duration),
    /// Until it has succeeded once.
    Once,
}

impl Default for Resolve {
    fn default() -> Self {
        Resolve::Every(Duration::from_secs(30))
    }
}

/// How soon a name is looked up again for which no address is known.
const AGAIN: Duration = Duration::from_secs(1);

/// Who knows names.
pub(super) trait Names {
    /// The addresses of a name, in any order; none is a failure, too.
    fn look_up(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

/// The system: `/etc/hosts`, DNS, and whatever else it asks.
#[derive(Debug)]
pub(super) struct System;

impl Names for System {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Looks the names of an upstream up, at once and then as `resolve` says. Ends where there is nothing to look up any more.
/// Dropping it ends it at any time.
pub(super) async fn keep_resolved(members: &Arc<Members>, settings: &Settings, names: &impl Names) {
    let all = settings.endpoints.iter().filter(|endpoint| Site::is_a_name(endpoint));
    let mut endpoints: Vec<&Endpoint> = all.collect();
    loop {
        if settings.resolve == Resolve::Once {
            endpoints.retain(|endpoint| !members.has_addresses(endpoint));
        }
        if endpoints.is_empty() {
            return;
        }
        join_all(endpoints.iter().map(|endpoint| look_up(members, endpoint, names))).await;
        let is_missing = |endpoint: &&Endpoint| !members.has_addresses(endpoint);
        sleep(match settings.resolve {
            Resolve::Every(time) if endpoints.iter().any(is_missing) => time.min(AGAIN),
            Resolve::Every(time) => time,
            Resolve::Once => AGAIN,
        })
        .await;
    }
}

async fn look_up(members: &Arc<Members>, endpoint: &Endpoint, names: &impl Names) {
    let found = names.look_up(&endpoint.host, endpoint.port).await;
    let addresses = found.map(|found| found.into_iter().collect::<BTreeSet<_>>());
    match addresses {
        Ok(addresses) if !addresses.is_empty() => members.resolved(endpoint, addresses.into_iter().collect()),
        Ok(_) => members.unresolved(endpoint, &io::Error::from(io::ErrorKind::NotFound)),
        Err(error) => members.unresolved(endpoint, &error),
    }
}

#[cfg(test)]
mod tests;
