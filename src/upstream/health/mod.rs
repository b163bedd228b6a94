//! Endpoints are asked how they are, time after time, beside the requests.
//!
//! Each check has a connection of its own, of the kind that requests have, and takes no permit and no slot. An endpoint is
//! taken for healthy until `down` checks in a row have failed, and then for ill until `up` in a row have not.

mod check;
mod grpc;
mod http;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::http::uri::PathAndQuery;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use self::check::check;
use super::load::{Load, Out};
use super::members::Members;
use super::settings::Settings;
use super::site::Site;

/// How the endpoints of an upstream are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is asked.
    pub probe: Probe,
    /// From the end of a check to the next. Default 5 s.
    pub interval: Duration,
    /// How long a check may take, connecting included. Default 1 s.
    pub timeout: Duration,
    /// After so many good checks in a row it gets requests again. Default 2.
    pub up: u32,
    /// After so many bad checks in a row it gets none. Default 3.
    pub down: u32,
}

/// What an endpoint is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// For a connection, with TLS where that is spoken, and nothing more.
    Tcp,
    /// For a page.
    Http {
        /// The whole target: nothing is put before it.
        path: PathAndQuery,
        /// Which statuses are good: by default `200..=299`.
        expect: Vec<RangeInclusive<u16>>,
    },
    /// By gRPC's health checking protocol (`grpc.health.v1.Health/Check`).
    Grpc {
        /// The service; empty for the server as a whole.
        service: String,
    },
}

impl Health {
    /// The defaults around a probe.
    pub fn new(probe: Probe) -> Self {
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(1));
        Health { probe, interval, timeout, up: 2, down: 3 }
    }
}

/// The first checks are spread over this time, or over the interval if that is shorter: what starts together must not go on
/// asking together.
const SPREAD: Duration = Duration::from_secs(1);

/// Checks all endpoints of an upstream, those included that come later. Never ends; dropping it ends it at any time.
pub(super) async fn keep_checked(members: &Arc<Members>, settings: &Settings, health: &Health) {
    let mut calls = members.calls.subscribe();
    let mut checks = JoinSet::new();
    let mut checked: Vec<(Arc<Load>, AbortHandle)> = Vec::new();
    loop {
        let list = members.list.load_full();
        let staying = list.iter().filter(|member| !member.load().is(Out::Leaving));
        // A name that has not been looked up is at no place that could be asked.
        let staying: Vec<_> = staying.filter(|member| !member.site().is_unknown()).collect();
        checked.retain(|(load, check)| {
            let stays = staying.iter().any(|member| Arc::ptr_eq(member.load(), load));
            if !stays {
                check.abort();
            }
            stays
        });
        for member in staying {
            if !checked.iter().any(|(load, _)| Arc::ptr_eq(member.load(), load)) {
                let patient = Patient { members: Arc::downgrade(members), load: member.load().clone(), run: 0 };
                let (site, settings, health) = (member.site().clone(), settings.clone(), health.clone());
                let check = checks.spawn(keep_asking(patient, site, settings, health));
                checked.push((member.load().clone(), check));
            }
        }
        // Those that have been ended.
        while checks.try_join_next().is_some() {}
        if calls.changed().await.is_err() {
            return;
        }
    }
}

async fn keep_asking(mut patient: Patient, site: Site, settings: Settings, health: Health) {
    sleep(health.interval.min(SPREAD).mul_f64(fastrand::f64())).await;
    loop {
        let outcome = check(&settings, &health, &site).await;
        patient.told(&site, &outcome, &health);
        sleep(health.interval.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
    }
}

/// An endpoint that is asked.
struct Patient {
    members: Weak<Members>,
    load: Arc<Load>,
    /// How many checks in a row have said the contrary of what it is taken for.
    run: u32,
}

impl Patient {
    fn told<E: Display>(&mut self, site: &Site, outcome: &Result<(), E>, health: &Health) {
        let is_down = self.load.is(Out::Down);
        if outcome.is_ok() != is_down {
            self.run = 0;
            return;
        }
        self.run += 1;
        if self.run < if is_down { health.up } else { health.down } {
            return;
        }
        self.run = 0;
        let Some(members) = self.members.upgrade() else { return };
        members.set(&self.load, Out::Down, !is_down);
        match outcome {
            Ok(()) => tracing::info!(endpoint = %site, "an endpoint is healthy again"),
            Err(error) => tracing::warn!(endpoint = %site, %error, "an endpoint is not healthy, and gets no requests"),
        }
    }
}
