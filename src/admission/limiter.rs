//! The gate itself.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::acquire::{Acquire, Budget};
use super::counts::{Counters, Counts};
use super::permit::{Permit, Waited};
use super::rejection::{Reason, Rejection};
use super::settings::{LIMIT_MAX, Overrides, Settings};
use super::waiting::{Verdict, Waiting, Wakers};
use super::word::Word;
use crate::queue::Next;

/// A handle to a limit and its queue. Clones share both.
#[derive(Debug, Clone)]
pub struct Limiter(pub(super) Arc<Gate>);

/// What the handles, permits and waiters of one limit share.
// Aligned so that no neighbour's writes slow the word down: two cache lines, since they are fetched in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Gate {
    word: Word,
    /// Permits that came back.
    completed: AtomicU64,
    /// How many wait; kept beside the line so that a rejection needs no lock.
    pub(super) queued: AtomicU32,
    /// Completions per second, the bits of an `f32`; zero while unknown.
    drain_rate: AtomicU32,
    /// Bytes of bodies that waiting requests hold in memory.
    spooled: AtomicU64,
    name: Box<str>,
    /// What is configured. The limit, and the next two, are what is in force.
    settings: ArcSwap<Settings>,
    queue: AtomicU32,
    /// In milliseconds.
    queue_timeout: AtomicU64,
    /// What is in force in place of what is configured.
    overrides: Mutex<Overrides>,
    pub(super) counters: Counters,
    waiting: Mutex<Waiting>,
}

impl Limiter {
    /// A limit with nobody in flight. A limit above [`LIMIT_MAX`] is taken as that.
    pub fn new(settings: Settings) -> Self {
        Limiter(Arc::new(Gate {
            word: Word::new(settings.limit.get().min(LIMIT_MAX)),
            completed: AtomicU64::new(0),
            queued: AtomicU32::new(0),
            drain_rate: AtomicU32::new(0),
            spooled: AtomicU64::new(0),
            queue: AtomicU32::new(settings.queue),
            queue_timeout: AtomicU64::new(millis(settings.queue_timeout)),
            counters: Counters::default(),
            name: settings.name.as_str().into(),
            settings: ArcSwap::from_pointee(settings),
            overrides: Mutex::default(),
            waiting: Mutex::default(),
        }))
    }

    /// A permit, now or after waiting in line. Nothing happens before the first poll. Dropping the future leaves the
    /// queue.
    ///
    /// # Errors
    /// A [`Rejection`] at once when the queue is full, or later when the wait is over.
    ///
    /// # Panics
    /// When it has to wait outside a tokio runtime with time enabled.
    pub fn acquire(&self) -> Acquire {
        Acquire::new(self.0.clone(), Budget::default())
    }

    /// A permit if one is free and nobody waits for it.
    pub fn try_acquire(&self) -> Option<Permit> {
        self.0.word.try_acquire().then(|| Permit::new(self.0.clone(), None))
    }

    /// Changes the limit. Raising it admits waiters at once; lowering it cuts nobody and admits nobody until in-flight
    /// is below it. A limit above [`LIMIT_MAX`] is taken as that.
    pub fn set_limit(&self, limit: NonZeroU32) {
        self.0.word.set_limit(limit.get().min(LIMIT_MAX));
        self.0.hand_over();
    }

    /// Changes how many may wait. Who waits already goes on waiting.
    pub fn set_queue(&self, queue: u32) {
        self.0.queue.store(queue, Ordering::Relaxed);
    }

    /// Changes how long one may wait, for those who come from now on.
    pub fn set_queue_timeout(&self, queue_timeout: Duration) {
        self.0.queue_timeout.store(millis(queue_timeout), Ordering::Relaxed);
    }

    /// Ends every wait, and every later attempt, with [`Reason::Closed`]. Permits that are out stay valid.
    /// Returns how many were waiting.
    pub fn close(&self) -> u32 {
        self.0.word.close();
        self.end_waits(Reason::Closed)
    }

    /// Ends every wait with [`Reason::Flushed`]. Returns how many were waiting.
    pub fn flush(&self) -> u32 {
        self.end_waits(Reason::Flushed)
    }

    fn end_waits(&self, reason: Reason) -> u32 {
        let mut ended = 0;
        self.0.settle_all(|waiting| {
            let ticket = waiting.line.anybody()?;
            ended += 1;
            waiting.line.settle(ticket, Verdict::Rejected(reason))
        });
        ended
    }

    /// The limit in force.
    pub fn limit(&self) -> u32 {
        self.0.word.limit()
    }

    /// Permits that are out.
    pub fn in_flight(&self) -> u32 {
        self.0.word.in_flight()
    }

    /// How many are waiting.
    pub fn queue_len(&self) -> u32 {
        self.0.queued.load(Ordering::Relaxed)
    }

    /// How many may wait.
    pub fn queue(&self) -> u32 {
        self.0.queue.load(Ordering::Relaxed)
    }

    /// How long one may wait.
    pub fn queue_timeout(&self) -> Duration {
        Duration::from_millis(self.0.queue_timeout.load(Ordering::Relaxed))
    }

    /// How long the one has waited who has waited longest.
    pub fn oldest_wait(&self) -> Option<Duration> {
        let since = self.0.lock().line.oldest_since()?;
        Some(now().saturating_duration_since(since))
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        // Read in this order, no permit is counted twice.
        let in_flight = u64::from(self.in_flight());
        self.0.counters.read(self.0.completed.load(Ordering::Relaxed) + in_flight)
    }

    /// Completions per second while permits were wanted; `None` until that has been measured.
    pub fn drain_rate(&self) -> Option<f64> {
        let per_second = f32::from_bits(self.0.drain_rate.load(Ordering::Relaxed));
        (per_second > 0.0).then_some(f64::from(per_second))
    }

    /// Its name, which never changes.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What is configured, whatever is in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.0.settings.load_full()
    }

    /// Takes a new configuration. What is overridden stays so; the rest is in force at once, as by
    /// [`set_limit`](Limiter::set_limit). Permits, waiters and counts stay.
    pub fn reconfigure(&self, settings: Settings) {
        // Under this lock, so that an override that ends now sees either all of the old settings or all of the new ones.
        let overrides = self.0.lock_overrides();
        self.0.settings.store(Arc::new(settings));
        self.enforce(*overrides);
    }

    /// Whether anything is overridden.
    pub fn is_overridden(&self) -> bool {
        *self.0.lock_overrides() != Overrides::default()
    }

    /// Overrides what is configured, until the next call. Without anything to override, the configuration is in force
    /// again.
    pub fn override_settings(&self, overrides: Overrides) {
        let mut current = self.0.lock_overrides();
        *current = overrides;
        self.enforce(overrides);
    }

    fn enforce(&self, overrides: Overrides) {
        let settings = self.0.settings.load();
        self.set_queue(overrides.queue.unwrap_or(settings.queue));
        self.set_queue_timeout(overrides.queue_timeout.unwrap_or(settings.queue_timeout));
        self.set_limit(overrides.limit.unwrap_or(settings.limit));
    }
}

impl Gate {
    pub(super) fn try_acquire(&self) -> bool {
        self.word.try_acquire()
    }

    pub(super) fn try_acquire_for_waiter(&self) -> bool {
        self.word.try_acquire_for_waiter()
    }

    /// Gives a permit back, to the next in line if there is one.
    pub(super) fn release(&self) {
        self.completed.fetch_add(1, Ordering::Relaxed);
        if self.word.release() {
            self.hand_over();
        }
    }

    /// Hands free permits to whoever is next.
    pub(super) fn hand_over(&self) {
        self.settle_all(|waiting| {
            let room = self.word.room();
            if waiting.line.is_empty() || room.in_flight >= room.limit {
                return None;
            }
            let waker = match waiting.line.next(now(), room)? {
                Next::Expired(ticket) => waiting.line.settle(ticket, Verdict::Rejected(Reason::QueueTimeout)),
                Next::Go(choice) => {
                    self.word.try_acquire_for_waiter().then_some(())?;
                    waiting.line.grant(choice, Verdict::Granted)
                }
            };
            debug_assert!(waker.is_some(), "the next in line was not waiting");
            waker
        });
    }

    /// Settles waiters as long as `next` finds one, and wakes them after unlocking.
    pub(super) fn settle_all(&self, mut next: impl FnMut(&mut Waiting) -> Option<std::task::Waker>) {
        loop {
            let mut wakers = Wakers::default();
            {
                let mut waiting = self.lock();
                while let Some(waker) = (!wakers.is_full()).then(|| next(&mut waiting)).flatten() {
                    wakers.push(waker);
                }
                self.publish(&waiting);
            }
            let more = wakers.is_full();
            wakers.wake();
            if !more {
                return;
            }
        }
    }

    /// Makes the flag and the count beside the line agree with it. Called before the lock is released.
    pub(super) fn publish(&self, waiting: &Waiting) {
        self.queued.store(waiting.line.len(), Ordering::Relaxed);
        if waiting.line.is_empty() {
            self.word.clear_waiting();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing of ours panics under this lock; a poisoned one would hold the same consistent line.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_waiting(&self) {
        self.word.set_waiting();
    }

    fn lock_overrides(&self) -> MutexGuard<'_, Overrides> {
        self.overrides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.word.in_flight()
    }

    pub(super) fn queue(&self) -> u32 {
        self.queue.load(Ordering::Relaxed)
    }

    pub(super) fn queue_timeout(&self) -> Duration {
        Duration::from_millis(self.queue_timeout.load(Ordering::Relaxed))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word.is_closed()
    }

    /// A rejection, with what a client needs to know to come back at a better time.
    pub(super) fn reject(&self, reason: Reason, waited: Waited) -> Rejection {
        self.counters.rejected(reason);
        // Those who join a queue measure; without a queue, those who are turned away do. Whoever finds the lock taken
        // leaves it to the one who has it.
        if self.queue() == 0
            && let Ok(mut waiting) = self.waiting.try_lock()
        {
            self.measure(&mut waiting, Instant::now());
        }
        let per_second = f32::from_bits(self.drain_rate.load(Ordering::Relaxed));
        let ahead = self.queued.load(Ordering::Relaxed).saturating_add(1);
        let drains_in =
            (per_second > 0.0).then(|| Duration::try_from_secs_f64(f64::from(ahead) / f64::from(per_second)).ok());
        Rejection { reason, limit: 0, waited, drains_in: drains_in.flatten(), predicted: false }
    }

    /// Takes note of how fast permits come back.
    pub(super) fn measure(&self, waiting: &mut Waiting, now: Instant) {
        waiting.drain_rate.observe(now, self.completed.load(Ordering::Relaxed));
        let per_second = waiting.drain_rate.per_second().unwrap_or(0.0) as f32;
        self.drain_rate.store(per_second.to_bits(), Ordering::Relaxed);
    }

    /// Whether waiting requests may take more bytes into memory.
    pub(super) fn has_spool_room(&self) -> bool {
        self.spooled.load(Ordering::Relaxed) < self.settings.load().queue_bytes
    }

    pub(super) fn spool(&self, bytes: u64) {
        self.spooled.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn unspool(&self, bytes: u64) {
        self.spooled.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// tokio's clock, so that a paused one drives the tests.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// In whole milliseconds, but never none at all.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
