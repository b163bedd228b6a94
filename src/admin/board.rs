//! What the dashboard shows, made once a second for all who look at it.
//!
//! Samples are taken whether anybody looks or not, or there would be no five minutes to look back at. A snapshot is made
//! when the first of a second asks for it, and all others of that second get the same bytes. Whoever has had the one of the
//! second before gets only what has changed since then: most limits are idle for most of the time.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::changes::{Members, changes};
use super::context::Context;
use super::history::{Columns, History, Pace, Second};
use super::limits::{KeyState, top_keys};
use super::rejections::{Rejection, some};
use super::status::{LimitStatus, Overall};
use super::timestamp::rfc3339_millis;
use super::upstreams::{self, UpstreamStatus};
use crate::admission::Limiter;
use crate::server::Handle;

/// The samples, and what was last made of them.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    /// The number of the last sample. It ends with whoever takes them.
    ticks: watch::Receiver<u64>,
    /// A place for each of those who follow.
    pub(super) places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    history: History,
    tick: u64,
    /// Of this tick, if anybody has asked.
    now: Option<Frame>,
    /// Of the tick before, if anybody has.
    before: Option<Frame>,
    /// From the one to the other; `None` where that can't be told.
    changes: OnceCell<Option<Bytes>>,
    opening: OnceCell<Bytes>,
}

/// A snapshot as JSON.
#[derive(Debug)]
struct Frame {
    members: Members,
    event: Bytes,
}

/// Everything at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    /// Counts the seconds, so that those who miss one know.
    tick: u64,
    at: String,
    #[serde(flatten)]
    pub(super) overall: Overall,
    pub(super) limits: Vec<LimitView>,
    pub(super) upstreams: Vec<UpstreamStatus>,
    pub(super) rejections: Vec<Rejection>,
}

/// A limit with what is only shown where somebody looks on.
#[derive(Debug, Serialize)]
pub(super) struct LimitView {
    #[serde(flatten)]
    pub(super) status: LimitStatus,
    #[serde(flatten)]
    pub(super) pace: Pace,
    /// Empty for a limit without `key`.
    keys: Vec<KeyState>,
    keys_tracked: usize,
}

/// How many may follow at once. Others are served beside them: see the listener's bound.
pub(super) const FOLLOWERS_MAX: usize = 1024;
/// How many keys and rejections a snapshot shows.
const KEYS: usize = 5;
const REJECTIONS: usize = 12;

impl Board {
    /// A board, and the end that tells of its ticks.
    pub(super) fn new() -> (Arc<Self>, watch::Sender<u64>) {
        let (teller, ticks) = watch::channel(0);
        let places = Arc::new(Semaphore::new(FOLLOWERS_MAX));
        (Arc::new(Board { state: Mutex::default(), ticks, places }), teller)
    }

    /// Takes a sample a second. Never ends; those who follow are let go when it is dropped.
    pub(super) async fn run(self: Arc<Self>, server: Handle, teller: watch::Sender<u64>) {
        let mut second = interval(Duration::from_secs(1));
        // After a pause, what is behind is behind.
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            second.tick().await;
            let tick = self.sample(server.proxy().limiters());
            teller.send_replace(tick);
        }
    }

    /// Resolves at each sample.
    pub(super) fn ticks(&self) -> watch::Receiver<u64> {
        self.ticks.clone()
    }

    fn sample(&self, limiters: &[Limiter]) -> u64 {
        let state = &mut *self.lock();
        state.history.sample(limiters, Instant::now());
        state.before = state.now.take();
        (state.changes, state.opening) = (OnceCell::new(), OnceCell::new());
        state.tick += 1;
        state.tick
    }

    /// The last five minutes of a limit.
    pub(super) fn columns(&self, name: &str) -> Option<Columns> {
        self.lock().history.columns(name)
    }

    /// The same sample by sample.
    pub(super) fn seconds(&self, name: &str) -> Vec<Second> {
        self.lock().history.seconds(name)
    }

    /// Everything as it is now.
    pub(super) fn snapshot(&self, context: &Context) -> Snapshot {
        snapshot(&self.lock(), context)
    }

    /// The event of this second for whoever was told of the tick `last`, and the tick of this one.
    pub(super) fn event(&self, context: &Context, last: u64) -> (u64, Bytes) {
        let state = &mut *self.lock();
        let snapshot = state.frame(context).event.clone();
        (state.tick, state.changes_since(last).unwrap_or(snapshot))
    }

    /// What a follower is told first, and the tick of it: the last five minutes, and then this second.
    pub(super) fn opening(&self, context: &Context) -> (u64, Bytes) {
        let state = &mut *self.lock();
        let snapshot = state.frame(context).event.clone();
        let opening = state.opening.get_or_init(|| {
            let history = serde_json::json!({ "tick": state.tick, "limits": state.history.all() });
            [&b"retry: 2000\n\n"[..], &event("history", &history), &snapshot].concat().into()
        });
        (state.tick, opening.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// This second, made now if nobody has asked before.
    fn frame(&mut self, context: &Context) -> &Frame {
        let frame = self.now.take().unwrap_or_else(|| {
            let snapshot = serde_json::to_value(snapshot(self, context)).expect("what is shown always serializes");
            let Value::Object(members) = snapshot else { unreachable!("a snapshot has members") };
            Frame { event: event("snapshot", &members), members }
        });
        self.now.insert(frame)
    }

    /// `None` for those who were not told of the tick before.
    fn changes_since(&self, last: u64) -> Option<Bytes> {
        let (before, now) = (self.before.as_ref().filter(|_| last + 1 == self.tick)?, self.now.as_ref()?);
        let made = || changes(&before.members, &now.members).map(|members| event("changes", &members));
        self.changes.get_or_init(made).clone()
    }
}

fn snapshot(state: &State, context: &Context) -> Snapshot {
    let proxy = context.server.proxy();
    let view = |limiter: &Limiter| {
        let keyed = limiter.settings().rules.is_some();
        let mut status = LimitStatus::new(limiter, context, &proxy);
        // They are many, and most never happen.
        status.rejected.retain(|_, count| *count > 0);
        LimitView {
            status,
            pace: state.history.pace(limiter.name()),
            keys: if keyed { top_keys(limiter, KEYS) } else { Vec::new() },
            keys_tracked: if keyed { limiter.keys_tracked() } else { 0 },
        }
    };
    Snapshot {
        tick: state.tick,
        at: rfc3339_millis(SystemTime::now()),
        overall: Overall::new(context),
        limits: proxy.limiters().iter().map(view).collect(),
        upstreams: upstreams::all(context),
        rejections: some(&proxy, REJECTIONS),
    }
}

/// An event as `text/event-stream` has it. JSON has no line ends of its own.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let mut event = format!("event: {name}\ndata: ").into_bytes();
    serde_json::to_writer(&mut event, data).expect("what is shown always serializes");
    event.extend_from_slice(b"\n\n");
    event.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_who_has_had_the_second_before_gets_the_changes() {
        let frame = |tick: u64| {
            let Value::Object(members) = json!({ "tick": tick, "draining": false, "limits": [] }) else { panic!() };
            Frame { event: event("snapshot", &members), members }
        };
        let state = State { tick: 5, now: Some(frame(5)), before: Some(frame(4)), ..State::default() };
        let changes = state.changes_since(4).map(|event| String::from_utf8(event.to_vec()).unwrap());
        assert_eq!(changes.as_deref(), Some("event: changes\ndata: {\"limits\":[],\"tick\":5}\n\n"));
        assert_eq!((state.changes_since(3), state.changes_since(5)), (None, None));
        let state = State { before: None, ..state };
        assert_eq!(State { changes: OnceCell::new(), ..state }.changes_since(4), None);
    }
}
