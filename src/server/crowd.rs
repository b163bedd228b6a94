//! No more connections than may be, over all workers.
//!
//! At the cap, whoever has been idle the longest makes room for who comes next. If nobody is idle, nobody is accepted
//! until somebody leaves or becomes idle: the kernel keeps those who come meanwhile, but for one a listener, which we hold. A connection's own task decides
//! whether it is idle, so no request is lost to this that would not be lost to `idle_timeout`. Whoever has just connected
//! is not idle for a second, in which he is expected to ask.

use std::pin::pin;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::rarely::Rarely;
use super::register::Register;
use super::wire::Signals;

/// Counts connections.
///
/// Whoever waits says so, and then looks at what others may change; they change it, and then look whether somebody waits.
/// All of that is in one order (`SeqCst`), so that one of the two sees the other.
#[derive(Debug)]
pub(super) struct Crowd {
    most: AtomicUsize,
    open: AtomicUsize,
    start: Instant,
    /// How many listeners have somebody for whom there is no place.
    waiting: AtomicUsize,
    /// There may be a place, or somebody to take one from.
    room: Notify,
    full: Mutex<Full>,
    said: Rarely,
}

/// What is looked at only when there is no place.
#[derive(Debug, Default)]
struct Full {
    registers: Vec<Arc<Register>>,
    /// Connections that were asked to go and have not said what they do.
    asked: usize,
    /// Those that were idle the longest when they were looked for, and since when; the longest last. Who becomes idle
    /// later is not among them, and is none of those either.
    idle: Vec<(u64, Arc<Signals>)>,
}

/// How many of the longest idle are found at once: looking through all connections takes its time.
const FOUND_AT_ONCE: usize = 64;

/// A connection's place. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Crowd>);

impl Crowd {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Crowd {
            most: AtomicUsize::new(most),
            open: AtomicUsize::new(0),
            start: Instant::now(),
            waiting: AtomicUsize::new(0),
            room: Notify::new(),
            full: Mutex::default(),
            said: Rarely::default(),
        })
    }

    /// Has another number be the most. If there are more, nobody is asked to go until somebody comes.
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, SeqCst);
        self.room.notify_waiters();
    }

    /// How many connections there are.
    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Looks for the idle among these, too.
    pub(super) fn watch(&self, register: &Arc<Register>) {
        self.lock().registers.push(register.clone());
    }

    /// Since when a connection is idle that is so `now`.
    pub(super) fn moment(&self, now: Instant) -> u64 {
        // Zero stands for one that is not idle.
        u64::try_from(now.duration_since(self.start).as_micros()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// A place for one connection more, as soon as there is one.
    ///
    /// # Cancel safety
    /// Dropping this takes no place. Who was asked to go for it may go all the same.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        if let Some(place) = self.try_place() {
            return place;
        }
        if self.said.is_time() {
            tracing::warn!(max_connections = self.most.load(Relaxed), "as many connections as may be are open");
        }
        let _waiting = Waiting::begin(self);
        loop {
            let mut room = pin!(self.room.notified());
            // Before anything is looked at that is told by it.
            room.as_mut().enable();
            if let Some(place) = self.try_place() {
                return place;
            }
            self.ask_the_longest_idle();
            room.await;
        }
    }

    /// A place whether there is one or not.
    pub(super) fn any_place(self: &Arc<Self>) -> Place {
        self.open.fetch_add(1, SeqCst);
        Place(self.clone())
    }

    fn try_place(self: &Arc<Self>) -> Option<Place> {
        let one_more = |open| (open < self.most.load(SeqCst)).then_some(open + 1);
        self.open.fetch_update(SeqCst, SeqCst, one_more).ok().map(|_| Place(self.clone()))
    }

    /// Somebody has become idle.
    pub(super) fn note_idle(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.room.notify_waiters();
        }
    }

    /// Has the longest idle connection asked to go, unless as many as are needed have been.
    fn ask_the_longest_idle(&self) {
        let mut full = self.lock();
        if full.asked >= self.waiting.load(SeqCst) {
            return;
        }
        let asked = match full.take_idle() {
            Some(asked) => Some(asked),
            None => {
                full.find_idle();
                full.take_idle()
            }
        };
        if let Some(asked) = asked {
            full.asked += 1;
            drop(full);
            asked.task.wake();
        }
    }

    /// One that was asked to go has something to do.
    pub(super) fn note_busy(&self, signals: &Signals) {
        if signals.stay() {
            self.note_answered();
        }
    }

    /// One is gone.
    pub(super) fn note_gone(&self, signals: &Signals) {
        if signals.go() {
            self.note_answered();
        }
    }

    fn note_answered(&self) {
        self.lock().asked -= 1;
        self.room.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Full> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Full {
    /// The longest idle of those that were found and still are, having been asked to go.
    fn take_idle(&mut self) -> Option<Arc<Signals>> {
        std::iter::from_fn(|| self.idle.pop())
            .find(|(since, signals)| signals.idle_since() == *since && signals.ask_to_go())
            .map(|(_, signals)| signals)
    }

    fn find_idle(&mut self) {
        for register in &self.registers {
            register.each(|signals| {
                let since = signals.idle_since();
                if since > 0 {
                    self.idle.push((since, signals.clone()));
                }
            });
        }
        self.idle.sort_unstable_by_key(|(since, _)| std::cmp::Reverse(*since));
        let rest = self.idle.len().saturating_sub(FOUND_AT_ONCE);
        self.idle.drain(..rest);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
        // Who began to wait after this finds the place.
        if self.0.waiting.load(SeqCst) > 0 {
            self.0.room.notify_waiters();
        }
    }
}

/// A listener at which somebody waits for a place.
struct Waiting<'a>(&'a Crowd);

impl<'a> Waiting<'a> {
    fn begin(crowd: &'a Crowd) -> Self {
        crowd.waiting.fetch_add(1, SeqCst);
        Waiting(crowd)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}
