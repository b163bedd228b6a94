//! A request under way, as operators see it.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::{Live, Phase};

/// What can be said of a request.
#[derive(Debug, Clone)]
pub struct LiveView {
    /// Its id, the client's or ours.
    pub request_id: HeaderValue,
    /// What [`Waiter::tag`](crate::admission::Waiter::tag) finds it by.
    pub tag: u64,
    /// Since its arrival.
    pub age: Duration,
    /// How far it has come.
    pub phase: Phase,
    /// Its route, once it has been found.
    pub route: Option<Arc<str>>,
    /// What may be shown of its key, where somebody had to know it: who finds a permit is only asked where keys have caps.
    pub key: Option<Arc<str>>,
    /// Where it was sent to.
    pub endpoint: Option<Arc<str>>,
}

impl Live {
    pub(super) fn view(&self) -> LiveView {
        let seen = self.seen();
        LiveView {
            request_id: self.id.clone(),
            tag: self.tag,
            age: self.start.elapsed(),
            phase: self.phase(),
            route: self.route().map(|route| route.names.route.clone()),
            key: seen.key.clone(),
            endpoint: seen.endpoint.clone(),
        }
    }
}
