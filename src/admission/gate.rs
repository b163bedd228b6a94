//! The gate itself: what the handles, permits and waiters of one limit share.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::counts::Counters;
use super::crowd::{Crowd, Rate};
use super::full::Fullness;
use super::key::Key;
use super::overrides::Overrides;
use super::peak::Peak;
use super::permit::Waited;
use super::rejection::{Reason, Rejection};
use super::settings::{Hold, LIMIT_MAX, Settings};
use super::tally::Tally;
use super::waiting::{Verdict, Waiting, Wakers};
use super::word::{Mode, Reading, Word};
use crate::queue::{FlowId, Next, Order, Rules};

// Aligned so that no neighbour's writes slow the word down: two cache lines, since they are fetched in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Gate {
    pub(super) word: Word,
    /// Seats that came back, but for those that the word still counts.
    carried: AtomicU64,
    /// What was last said of that.
    told: AtomicU64,
    /// The most in flight.
    pub(super) peak: Peak,
    full: Fullness,
    /// The moment that its times count from.
    start: Instant,
    /// What the word is checked against.
    pub(super) tally: Tally,
    /// Who waits; kept beside the line so that a rejection needs no lock.
    pub(super) crowd: Crowd,
    pub(super) rate: Rate,
    /// Bytes of bodies that waiting requests hold in memory.
    spooled: AtomicU64,
    pub(super) name: Box<str>,
    pub(super) takes_one: bool,
    /// What is configured. The limit, the next three and the word's mode are what is in force.
    pub(super) settings: ArcSwap<Settings>,
    /// What holds for keys, beside the line so that it can be read without the lock.
    pub(super) rules: ArcSwapOption<Rules<Key>>,
    queue: AtomicU32,
    /// In milliseconds.
    queue_timeout: AtomicU64,
    /// What is in force in place of what is configured.
    overrides: Mutex<Overrides>,
    pub(super) counters: Counters,
    waiting: Mutex<Waiting>,
}

impl Gate {
    pub(super) fn new(settings: Settings) -> Self {
        let gate = Gate {
            word: Word::new(settings.limit.get().min(LIMIT_MAX)),
            carried: AtomicU64::new(0),
            told: AtomicU64::new(0),
            peak: Peak::default(),
            full: Fullness::default(),
            start: now(),
            tally: Tally::default(),
            crowd: Crowd::default(),
            rate: Rate::default(),
            spooled: AtomicU64::new(0),
            queue: AtomicU32::new(settings.queue),
            queue_timeout: AtomicU64::new(millis(settings.queue_timeout)),
            counters: Counters::default(),
            name: settings.name.as_str().into(),
            takes_one: settings.takes_one,
            settings: ArcSwap::from_pointee(settings),
            rules: ArcSwapOption::empty(),
            overrides: Mutex::default(),
            waiting: Mutex::default(),
        };
        let settings = gate.settings.load_full();
        gate.set_order(settings.order);
        gate.set_rules(settings.rules.clone());
        gate.set_hold(settings.hold);
        gate.word.set(Mode::DRY_RUN, settings.dry_run);
        gate
    }

    /// Takes seats that are free if nobody waits for them and nobody counts them by key.
    #[inline]
    pub(super) fn take(&self, seats: u32) -> bool {
        let Some(word) = self.word.try_acquire(seats) else { return false };
        self.took(seats, word);
        if word.is_full() {
            self.agree_on_fullness();
        }
        true
    }

    /// Takes seats for the one whose turn it is. To be called under the lock.
    pub(super) fn take_in_turn(&self, seats: u32) -> bool {
        let word = self.word.try_acquire_for_waiter(seats);
        if let Some(word) = word {
            self.took(seats, word);
        }
        word.is_some()
    }

    /// Takes seats whatever the limit. Returns how many could be counted, and how it was before.
    pub(super) fn force(&self, seats: u32) -> (u32, Reading) {
        let (counted, before) = self.word.force(seats);
        self.counters.took(counted);
        self.peak.rise(u64::from(before.in_flight() + counted));
        if before.in_flight() + counted >= before.limit() {
            self.agree_on_fullness();
        }
        (counted, before)
    }

    /// Takes note of seats that have been taken, which has left the word so.
    #[inline]
    fn took(&self, seats: u32, word: Reading) {
        self.counters.took(seats);
        self.peak.rise(u64::from(word.in_flight()));
    }

    /// Takes note of whether the limit is full.
    #[cold]
    fn agree_on_fullness(&self) {
        self.full.agree(|| self.word.read().is_full(), || self.nanos());
    }

    /// For how long it has been full, all together.
    pub(super) fn full_for(&self) -> Duration {
        Duration::from_nanos(self.full.read(|| self.nanos()))
    }

    fn nanos(&self) -> u64 {
        u64::try_from(now().saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Gives seats back, to the next in line if there is one.
    #[inline]
    pub(super) fn release(&self, seats: u32, flow: Option<FlowId>) {
        match flow {
            Some(flow) => self.release_counted(seats, flow),
            None if self.give_back(seats) => self.hand_over(),
            None => {}
        }
    }

    #[cold]
    fn release_counted(&self, seats: u32, flow: FlowId) {
        // Both at once: nobody finds the seats free and the key still at its cap.
        let mut waiting = self.lock();
        waiting.line.end(flow, seats);
        self.give_back(seats);
        self.settle_from(waiting, |waiting| self.next(waiting));
    }

    /// Whether somebody may be waiting for them.
    #[inline]
    fn give_back(&self, seats: u32) -> bool {
        let released = self.word.release(seats);
        if released.carried > 0 {
            self.carried.fetch_add(released.carried, Release);
        }
        // Whoever hands over takes note of it afterwards: mostly it is full again then.
        if released.was_full && !released.somebody_waits {
            self.agree_on_fullness();
        }
        released.somebody_waits
    }

    /// How many seats have come back so far. Never less than it was: between what the word loses and what is carried, a few
    /// are missing for a moment.
    pub(super) fn completed(&self) -> u64 {
        // In this order, so that what is carried from here on is missed and not counted twice.
        let carried = self.carried.load(Acquire);
        let completed = carried + self.word.read().come_back();
        self.told.fetch_max(completed, Relaxed).max(completed)
    }

    /// Hands free seats to whoever is next.
    #[cold]
    pub(super) fn hand_over(&self) {
        self.settle_all(|waiting| self.next(waiting));
    }

    /// Lets the next one go, or ends the wait of one who is late or has been overtaken too often. `None` if nobody can go
    /// now.
    pub(super) fn next(&self, waiting: &mut Waiting) -> Option<Waker> {
        let room = self.word.read().room();
        if waiting.line.is_empty() {
            return None;
        }
        if let Some(ticket) = waiting.line.next_overtaken(room.limit) {
            return waiting.line.settle(ticket, Verdict::Rejected(Reason::Evicted));
        }
        if room.in_flight >= room.limit {
            return None;
        }
        let waker = match waiting.line.next(now(), room)? {
            Next::Expired(ticket) => waiting.line.settle(ticket, Verdict::Expired),
            Next::Go(choice) => {
                // It fails only if the limit has just been lowered.
                self.take_in_turn(choice.seats()).then_some(())?;
                self.tally.granted(choice.seats());
                waiting.line.grant(choice, Verdict::Granted)
            }
        };
        debug_assert!(waker.is_some(), "the next in line was not waiting");
        waker
    }

    /// Settles waiters as long as `next` finds one, and wakes them after unlocking.
    pub(super) fn settle_all(&self, next: impl FnMut(&mut Waiting) -> Option<Waker>) {
        self.settle_from(self.lock(), next);
    }

    pub(super) fn settle_from<'a>(
        &'a self,
        lock: MutexGuard<'a, Waiting>,
        mut next: impl FnMut(&mut Waiting) -> Option<Waker>,
    ) {
        let mut locked = Some(lock);
        loop {
            let mut wakers = Wakers::default();
            {
                let mut waiting = locked.take().unwrap_or_else(|| self.lock());
                while let Some(waker) = (!wakers.is_full()).then(|| next(&mut waiting)).flatten() {
                    wakers.push(waker);
                }
                self.publish(&mut waiting);
            }
            let more = wakers.is_full();
            wakers.wake();
            if !more {
                return;
            }
        }
    }

    /// Makes the flag and what is told beside the line agree with it. Called before the lock is released.
    pub(super) fn publish(&self, waiting: &mut Waiting) {
        // Those whom only their key's cap holds back do not wait for the limit.
        let somebody_waits = !waiting.line.is_idle();
        if somebody_waits != waiting.drain_rate.is_observed() {
            self.observe(waiting, now(), somebody_waits);
        }
        if waiting.line.is_empty() {
            self.crowd.publish(0, 0, None);
            self.word.clear_waiting();
        } else {
            self.crowd.publish(waiting.line.len(), waiting.line.seats(), waiting.line.least_urgent());
        }
        // After the flag: who gives seats back from here on takes note of it himself.
        self.agree_on_fullness();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing of ours panics under this lock; a poisoned one would hold the same consistent line.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_overrides(&self) -> MutexGuard<'_, Overrides> {
        self.overrides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many may wait.
    pub(super) fn queue(&self) -> u32 {
        self.queue.load(Relaxed)
    }

    pub(super) fn set_queue(&self, queue: u32) {
        self.queue.store(queue, Relaxed);
    }

    pub(super) fn queue_timeout(&self) -> Duration {
        Duration::from_millis(self.queue_timeout.load(Relaxed))
    }

    pub(super) fn set_queue_timeout(&self, queue_timeout: Duration) {
        self.queue_timeout.store(millis(queue_timeout), Relaxed);
    }

    pub(super) fn set_order(&self, order: Order) {
        let mut waiting = self.lock();
        waiting.line.set_order(order);
        self.word.set(Mode::NEWEST_FIRST, order != Order::Fifo);
        self.word.set(Mode::JUDGED, order == Order::AdaptiveLifo);
    }

    /// Those who wait keep their keys; who has come without one shares the turn of all who have none.
    pub(super) fn set_rules(&self, rules: Option<Rules<Key>>) {
        let mut waiting = self.lock();
        self.word.set(Mode::KEYED, rules.is_some());
        self.rules.store(rules.clone().map(Arc::new));
        waiting.line.set_rules(rules.unwrap_or_default());
        self.word.set(Mode::CAPPED, waiting.line.counts_in_flight());
    }

    pub(super) fn set_hold(&self, hold: Hold) {
        self.word.set(Mode::HEAD, hold == Hold::Head);
    }

    /// In a dry run nobody waits: those who do come again.
    pub(super) fn set_dry_run(&self, dry_run: bool) {
        self.word.set(Mode::DRY_RUN, dry_run);
        if dry_run {
            self.end_waits(Verdict::Again);
        }
    }

    /// Ends the waits of all who wait now, with one verdict. Returns how many there were.
    pub(super) fn end_waits(&self, verdict: Verdict) -> u32 {
        let mut ended = 0;
        let mut left = None;
        self.settle_all(|waiting| {
            // Counted once: who comes while they are woken is not one of them.
            let left = left.get_or_insert(waiting.line.len());
            *left = left.checked_sub(1)?;
            let ticket = waiting.line.anybody()?;
            ended += 1;
            waiting.line.settle(ticket, verdict)
        });
        ended
    }

    /// A rejection, with what a client needs to know to come back at a better time.
    pub(super) fn reject(&self, reason: Reason, waited: Waited) -> Rejection {
        self.counters.rejected(reason);
        let ahead = u64::from(self.crowd.read().seats) + 1;
        Rejection { reason, limit: 0, waited, drains_in: self.rate.guess(ahead), predicted: false }
    }

    /// Takes note of how fast seats come back.
    pub(super) fn measure(&self, waiting: &mut Waiting, now: Instant) {
        self.observe(waiting, now, waiting.drain_rate.is_observed());
    }

    fn observe(&self, waiting: &mut Waiting, now: Instant, somebody_waits: bool) {
        let completed = self.completed();
        if somebody_waits || waiting.drain_rate.is_observed() || self.queue() > 0 {
            waiting.drain_rate.observe(now, completed, somebody_waits);
        } else {
            waiting.drain_rate.turned_away(now, completed);
        }
        self.rate.publish(&waiting.drain_rate);
    }

    /// The same for those who are turned away without the lock. Whoever finds it taken leaves it to the one who has it.
    pub(super) fn measure_if_unlocked(&self) {
        if let Ok(mut waiting) = self.waiting.try_lock() {
            self.measure(&mut waiting, now());
        }
    }

    /// Whether waiting requests may take more bytes into memory.
    pub(super) fn has_spool_room(&self) -> bool {
        self.spooled.load(Relaxed) < self.settings.load().queue_bytes
    }

    pub(super) fn spool(&self, bytes: u64) {
        self.spooled.fetch_add(bytes, Relaxed);
    }

    pub(super) fn unspool(&self, bytes: u64) {
        self.spooled.fetch_sub(bytes, Relaxed);
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
