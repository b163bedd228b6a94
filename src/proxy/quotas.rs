//! What clients are told of their keys' quotas: `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
//!
//! A quota is how many requests of one key may be in flight, in the draft's unit `concurrent-requests`. What is left of it
//! is not said: by the time that a client reads it, it is something else.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::shared::Route;
use crate::admission::{Key, Keyed, Limiter, Limits};

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Which answers name the quota of their request's key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RateLimit {
    /// All of those to requests that were counted under a key with a quota.
    #[default]
    Keys,
    /// Of those, the rejections.
    Rejected,
    /// None.
    Off,
}

/// The quotas that a request was counted under so far. Empty, and free, where none can be.
#[derive(Debug, Clone, Default)]
pub(super) struct Quotas(Option<Arc<Noted>>);

#[derive(Debug)]
struct Noted {
    when: RateLimit,
    /// By the index of the limit among those of the route.
    quotas: Mutex<Vec<(usize, NonZeroU32)>>,
}

impl Quotas {
    /// Of a request that nobody counts.
    pub(super) const NONE: Quotas = Quotas(None);

    /// Those of a request of `route`, of which there are none yet.
    pub(super) fn begin(when: RateLimit, route: &Route) -> Self {
        let told = when != RateLimit::Off && route.has_quotas();
        Quotas(told.then(|| Arc::new(Noted { when, quotas: Mutex::default() })))
    }

    /// It is counted under `keyed` at a limit.
    pub(super) fn note(&self, limit: usize, limiter: &Limiter, keyed: &Keyed) {
        let Some(noted) = &self.0 else { return };
        let Some(quota) = quota(limiter, keyed) else { return };
        let mut quotas = noted.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have had to come again.
        quotas.retain(|(before, _)| *before != limit);
        quotas.push((limit, quota));
    }

    /// Says so in an answer. The upstream's own policies stay: the field is a list.
    pub(super) fn tell(&self, route: &Route, is_rejection: bool, headers: &mut HeaderMap) {
        let Some(noted) = &self.0 else { return };
        if noted.when == RateLimit::Rejected && !is_rejection {
            return;
        }
        let limiters = route.limits.as_ref().map_or(&[][..], Limits::limiters);
        for (limit, quota) in &*noted.quotas.lock().unwrap_or_else(PoisonError::into_inner) {
            // Names of limits have nothing that a quoted string would have to escape.
            let policy = format!("\"{}\";q={quota};qu=\"concurrent-requests\"", limiters[*limit].name());
            headers.append(RATELIMIT_POLICY, HeaderValue::try_from(policy).expect("visible ASCII"));
        }
    }
}

/// The cap of a request's key. A dry run has none, and who has no key that it would need is counted nowhere.
fn quota(limiter: &Limiter, keyed: &Keyed) -> Option<NonZeroU32> {
    let rules = limiter.rules().filter(|_| !limiter.is_dry_run())?;
    let key: Option<&Key> = match keyed {
        Keyed::Own(key) => Some(key),
        Keyed::Shared => None,
        Keyed::Refused => return None,
    };
    rules.cap(key)
}
