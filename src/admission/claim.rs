//! What a request asks of its limits, and whose it is.

use std::time::Instant;

use http::Request;

use super::key::Key;
use super::settings::LIMIT_MAX;
use crate::queue::Level;

/// What a request asks of its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// How urgent it is.
    pub level: Level,
    /// How many permits it takes of each limit, at least 1; zero is taken as 1.
    pub seats: u32,
    /// From when on its client wants no answer any more.
    pub deadline: Option<Instant>,
    /// Whether the client said how many seats. One that asks for more than a limit is configured with, or has now, is
    /// turned away with [`Reason::Cost`](super::Reason::Cost). Where it is the operator's word, or the limit has only been
    /// lowered for a while, a request that takes more than the limit runs alone.
    pub seats_from_client: bool,
    /// What observers find it by while it waits ([`Waiter::tag`](super::Waiter::tag)). Default: 0.
    pub tag: u64,
}

impl Default for Claim {
    /// One seat, nothing urgent, no deadline.
    fn default() -> Self {
        Claim { level: Level::default(), seats: 1, deadline: None, seats_from_client: false, tag: 0 }
    }
}

impl Claim {
    /// Its seats as a limit can count them.
    pub(super) fn seats_taken(&self) -> u32 {
        self.seats.clamp(1, LIMIT_MAX)
    }
}

/// Says whose a request is, where a limit wants to know.
///
/// Asked only when the request has to wait, or where the limit counts by key: never on the way of a request that finds a
/// permit at a limit without caps.
pub trait Keys<B> {
    /// Whose `request` is for the limit with the index `limit` of its [`Limits`](super::Limits).
    fn key(&self, limit: usize, request: &Request<B>) -> Keyed;
}

/// Whose a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyed {
    /// It has a key of its own.
    Own(Key),
    /// It shares turns and caps with all that have no key of their own.
    Shared,
    /// It is turned away with [`Reason::KeyLimit`](super::Reason::KeyLimit): it needs a key and has none, or an unknown
    /// one.
    Refused,
}

impl Keyed {
    pub(super) fn of(key: Option<Key>) -> Keyed {
        key.map_or(Keyed::Shared, Keyed::Own)
    }
}

/// Everybody shares one turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoKeys;

impl<B> Keys<B> for NoKeys {
    fn key(&self, _: usize, _: &Request<B>) -> Keyed {
        Keyed::Shared
    }
}
