//! Endpoints that ask for a pause: 429 or 503 with `Retry-After` (RFC 9110 §10.2.3).
//!
//! The answer passes through, and counts as one. The endpoint is well, and gets no new requests until the pause is over;
//! others of the same upstream get them. Of several such answers, the one whose pause ends last holds. What cannot be
//! understood is no pause.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::endpoint::Seat;
use super::load::{Load, Out};
use super::members::{List, Members};

/// Until when an endpoint has asked for a pause, if it has.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    pub(super) fn until(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Seat {
    /// Leaves the endpoint alone for as long as its answer asks for, `most` if that is shorter.
    pub(super) fn heed(&self, most: Duration, status: StatusCode, headers: &HeaderMap) {
        if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return;
        }
        let Some(time) = asked(headers, SystemTime::now()).map(|time| time.min(most)).filter(|time| !time.is_zero())
        else {
            return;
        };
        // Without a runtime there would be nobody to end it.
        let (Ok(runtime), Some(members)) = (Handle::try_current(), self.members()) else { return };
        let load = self.member().load();
        if !members.pause(load, Instant::now() + time) {
            return;
        }
        tracing::info!(endpoint = %self.endpoint(), status = status.as_u16(), ?time, "an endpoint asks for a pause, and gets no requests");
        let (members, load, name) = (Arc::downgrade(&members), load.clone(), self.endpoint().clone());
        let mut ending = Ending { members, load, name, ended: false };
        runtime.spawn(async move {
            while let Some(until) = ending.end(false) {
                sleep_until(until).await;
            }
        });
    }
}

/// Ends a pause when it is over, or when it is dropped: also where the worker that waits for that ends before its time.
struct Ending {
    members: Weak<Members>,
    load: Arc<Load>,
    name: Arc<str>,
    ended: bool,
}

impl Ending {
    /// Ends it if it is over, or at once. Until when it goes on otherwise.
    fn end(&mut self, at_once: bool) -> Option<Instant> {
        if self.ended {
            return None;
        }
        if let Some(members) = self.members.upgrade() {
            match members.end_pause(&self.load, at_once) {
                Err(until) => return Some(until),
                Ok(true) => tracing::info!(endpoint = %self.name, "an endpoint gets requests again"),
                // A reload was faster.
                Ok(false) => {}
            }
        }
        self.ended = true;
        None
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.end(true);
    }
}

impl Members {
    /// An endpoint gets no requests until then, or until later if it has said so before. Whether it got some until now.
    pub(super) fn pause(&self, load: &Load, until: Instant) -> bool {
        let mut state = self.lock();
        if load.pause.until().is_some_and(|before| before >= until) && load.is(Out::Paused) {
            return false;
        }
        load.pause.set(Some(until));
        let begins = load.set(Out::Paused, true);
        self.changed(&mut state);
        begins
    }

    /// Ends a pause that is over, or any, and says whether there was one. The error is until when it goes on.
    fn end_pause(&self, load: &Load, at_once: bool) -> Result<bool, Instant> {
        let mut state = self.lock();
        if let Some(until) = load.pause.until().filter(|until| !at_once && *until > Instant::now()) {
            return Err(until);
        }
        let ends = load.unpause();
        if ends {
            self.changed(&mut state);
        }
        Ok(ends)
    }
}

impl Load {
    /// Ends a pause. Whether there was one. Whoever is not among those who hold the lock of the members tells them.
    pub(super) fn unpause(&self) -> bool {
        self.pause.set(None);
        self.set(Out::Paused, false)
    }

    /// Until when it is paused, if that is the one reason why it gets nothing.
    fn only_paused_until(&self) -> Option<Instant> {
        self.is_only(Out::Paused).then(|| self.pause.until()).flatten()
    }

    /// How much of its pause is left, if it has one.
    pub(super) fn pause_left(&self) -> Option<Duration> {
        let until = self.is(Out::Paused).then(|| self.pause.until()).flatten();
        until.map(|until| until.saturating_duration_since(Instant::now()))
    }
}

/// When the first of those is back that get nothing for their pauses alone.
pub(super) fn first_back(list: &List) -> Option<Instant> {
    list.iter().filter_map(|member| member.load().only_paused_until()).min()
}

/// How long a pause `Retry-After` asks for: so many seconds, or until a date. Where the answer says when it was made, a date
/// is taken by the same clock.
fn asked(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // What no integer holds is more than anybody waits.
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let made = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok()).unwrap_or(now);
    Some(until.duration_since(made).unwrap_or_default())
}

#[cfg(test)]
mod tests;
