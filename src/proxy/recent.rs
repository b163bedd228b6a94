//! The last answers of our own, for those who ask why.
//!
//! A ring of fixed size. Who writes takes a number, and the slot of that number for as long as it takes to put a pointer
//! there: writers meet only if one of them is a whole round behind.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, StatusCode, Uri};

use super::names::LimitName;
use super::reply::{About, Reply};
use super::shared::Route;

/// The last thousand requests that were rejected, or failed on their way upstream.
#[derive(Debug)]
pub struct Recent {
    slots: Box<[Mutex<Option<Arc<Refused>>>]>,
    /// How many there were.
    count: AtomicUsize,
}

/// A request that got an answer of our own, and what there was to see at that moment.
#[derive(Debug)]
pub struct Refused {
    /// Counted from 1 on, since the start.
    pub number: u64,
    /// When it was answered.
    pub at: SystemTime,
    /// Its id, the client's or ours.
    pub request_id: HeaderValue,
    /// Its route.
    pub route: Arc<str>,
    /// The limit that turned it away, or the first one of its route.
    pub limit: Option<LimitThen>,
    /// The answer's status, also where gRPC has been told otherwise.
    pub status: StatusCode,
    /// The word for why.
    pub reason: &'static str,
    /// The sentence for why, as the client was told.
    pub detail: &'static str,
    /// In seconds.
    pub retry_after: Option<u64>,
    /// Its place in line on arrival (1 is next), and how long it stood there.
    pub waited: Option<(u32, Duration)>,
    /// What lay behind it: an error of the system's, say.
    pub cause: Option<Box<str>>,
    /// Where it was sent to last, if it was.
    pub endpoint: Option<Arc<str>>,
    /// Who asked for what; only known where there is an access log.
    pub asked: Option<Box<Asked>>,
}

/// Who asked for what.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who sent it.
    pub client_ip: IpAddr,
    /// Its method.
    pub method: Option<Method>,
    /// Its target. The query is nobody's business.
    pub target: Option<Uri>,
}

/// A limit when it turned a request away.
#[derive(Debug, Clone)]
pub struct LimitThen {
    /// Its name.
    pub name: Arc<str>,
    /// Permits that were out.
    pub in_flight: u32,
    /// The limit in force.
    pub limit: u32,
    /// How many waited.
    pub queue_length: u32,
    /// How many could wait.
    pub queue: u32,
}

const KEPT: usize = 1000;

impl Default for Recent {
    fn default() -> Self {
        Recent { slots: (0..KEPT).map(|_| Mutex::default()).collect(), count: AtomicUsize::new(0) }
    }
}

impl Recent {
    /// The last ones, the newest first. One that is being written may be missing.
    pub fn newest(&self) -> impl Iterator<Item = Arc<Refused>> {
        let count = self.count.load(Relaxed);
        (count.saturating_sub(KEPT)..count).rev().filter_map(|number| {
            let slot = self.slots[number % KEPT].lock().unwrap_or_else(PoisonError::into_inner);
            // Another one may have come into its place by now, which is shown when its turn comes.
            slot.clone().filter(|refused| refused.number == number as u64 + 1)
        })
    }

    fn put(&self, refused: impl FnOnce(u64) -> Refused) {
        let number = self.count.fetch_add(1, Relaxed);
        let refused = Some(Arc::new(refused(number as u64 + 1)));
        let before = {
            let mut slot = self.slots[number % KEPT].lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *slot, refused)
        };
        // Freed outside of the lock.
        drop(before);
    }
}

/// Keeps what becomes of a request, if it has a route. What none takes, and what is no request, would push out what is worth
/// asking about: strangers send that, as much as they like.
pub(super) fn keep(reply: &Reply, about: &About<'_>) {
    let Some(route) = about.on else { return };
    route.recent.put(|number| Refused {
        number,
        at: SystemTime::now(),
        request_id: about.request_id.clone(),
        route: route.names.route.clone(),
        limit: about.limit.and_then(|name| LimitThen::new(route, name)),
        status: reply.status,
        reason: reply.reason,
        detail: reply.detail,
        retry_after: reply.retry_after,
        waited: reply.waited.map(|waited| (waited.position, waited.wait)),
        cause: reply.cause.clone().or_else(|| why_none(route, reply)),
        endpoint: about.record.endpoint(),
        asked: about.record.asked().map(Box::new),
    });
}

/// Which endpoints there would be, if one of them took requests.
fn why_none(route: &Route, reply: &Reply) -> Option<Box<str>> {
    (reply.reason == "no_endpoint").then(|| format!("Endpoints: {}", route.upstream.standing()).into())
}

impl LimitThen {
    fn new(route: &Route, name: &LimitName) -> Option<Self> {
        let limiter = route.limits.as_ref()?.limiters().get(name.index)?;
        Some(LimitThen {
            name: name.text.clone(),
            in_flight: limiter.in_flight(),
            limit: limiter.limit(),
            queue_length: limiter.queue_len(),
            queue: limiter.queue(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(number: u64) -> Refused {
        Refused {
            number,
            at: SystemTime::UNIX_EPOCH,
            request_id: HeaderValue::from_static("id"),
            route: "api".into(),
            limit: None,
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: "queue_full",
            detail: "",
            retry_after: None,
            waited: None,
            cause: None,
            endpoint: None,
            asked: None,
        }
    }

    fn numbers(recent: &Recent) -> Vec<u64> {
        recent.newest().map(|refused| refused.number).collect()
    }

    #[test]
    fn the_last_thousand_are_kept_and_the_newest_comes_first() {
        let recent = Recent::default();
        assert_eq!(numbers(&recent), Vec::<u64>::new());
        recent.put(refused);
        recent.put(refused);
        assert_eq!(numbers(&recent), [2, 1]);
        (0..KEPT).for_each(|_| recent.put(refused));
        assert_eq!(numbers(&recent), (3..=KEPT as u64 + 2).rev().collect::<Vec<_>>());
    }

    #[test]
    fn many_who_write_at_once_lose_nothing() {
        let recent = Recent::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..KEPT / 4).for_each(|_| recent.put(refused)));
            }
        });
        assert_eq!(numbers(&recent), (1..=KEPT as u64).rev().collect::<Vec<_>>());
    }
}
