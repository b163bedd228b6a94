//! What the gate costs, beside tokio's semaphore: `cargo bench --bench gate`.
//!
//! Prints nanoseconds per operation: the lower quartile of many short rounds, in which the gate and the semaphore take
//! turns, so that whatever else the machine does hits both.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sluicegate::admission::{Acquire, Limiter, Permit, Settings};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const ROUNDS: usize = 51;
/// Enough that threads which start a little apart run beside each other for most of the time.
const OPERATIONS: u32 = 100_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Never driven: the housekeeper of those who wait only has to be somewhere.
    let _entered = runtime.enter();
    println!("ns per operation                                   gate   tokio");
    for threads in [1, 2] {
        let (limiter, semaphore) = (limiter(1000, 0), Arc::new(Semaphore::new(1000)));
        let (ours, theirs) = beside(
            threads,
            || drop(limiter.try_acquire().expect("a free permit")),
            || drop(semaphore.clone().try_acquire_owned().expect("a free permit")),
        );
        row(&format!("try_acquire + release, threads: {threads}"), ours, Some(theirs));
        let (ours, theirs) = beside(
            threads,
            || drop(ready(pin!(limiter.acquire())).expect("a free permit")),
            || drop(ready(pin!(semaphore.clone().acquire_owned())).expect("a free permit")),
        );
        row(&format!("acquire + release, threads: {threads}"), ours, Some(theirs));
    }
    for waiters in [0, 100, 10_000] {
        let name = format!("release, hand-off, collect, join; waiters: {waiters}");
        row(&name, hand_off(waiters), Some(hand_off_of_tokio(waiters)));
    }
    for (name, queue) in [("rejection, no queue", 0), ("rejection, full queue", 100)] {
        let limiter = limiter(1, queue);
        let _permit = limiter.try_acquire();
        let mut waiting: Vec<_> = (0..queue).map(|_| Box::pin(limiter.acquire())).collect();
        assert!(waiting.iter_mut().all(|wait| poll(wait.as_mut()).is_pending()));
        for threads in [1, 2] {
            let cost = on_threads(threads, || assert!(ready(pin!(limiter.acquire())).is_err()));
            row(&format!("{name}, threads: {threads}"), cost, None);
        }
    }
}

fn limiter(limit: u32, queue: u32) -> Limiter {
    let limit = NonZeroU32::new(limit).expect("a limit");
    Limiter::new(Settings { queue, queue_timeout: Duration::from_secs(3600), ..Settings::new("bench", limit) })
}

/// A line of `waiters` behind one permit: it comes back, the next one has it, and somebody joins the end.
fn hand_off(waiters: u32) -> f64 {
    let limiter = limiter(1, waiters + 1);
    let mut permit: Option<Permit> = limiter.try_acquire();
    let mut line: VecDeque<Pin<Box<Acquire>>> = VecDeque::new();
    let join = |line: &mut VecDeque<_>| {
        let mut acquire = Box::pin(limiter.acquire());
        assert!(poll(acquire.as_mut()).is_pending());
        line.push_back(acquire);
    };
    (0..waiters).for_each(|_| join(&mut line));
    time(|| {
        join(&mut line);
        permit = None;
        permit = ready(line.pop_front().expect("somebody waits").as_mut()).ok();
    })
}

fn hand_off_of_tokio(waiters: u32) -> f64 {
    let semaphore = Arc::new(Semaphore::new(1));
    let mut permit: Option<OwnedSemaphorePermit> = semaphore.clone().try_acquire_owned().ok();
    let mut line = VecDeque::new();
    let join = |line: &mut VecDeque<_>| {
        let mut acquire = Box::pin(semaphore.clone().acquire_owned());
        assert!(poll(acquire.as_mut()).is_pending());
        line.push_back(acquire);
    };
    (0..waiters).for_each(|_| join(&mut line));
    time(|| {
        join(&mut line);
        permit = None;
        permit = ready(line.pop_front().expect("somebody waits").as_mut()).ok();
    })
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<F: Future>(future: Pin<&mut F>) -> F::Output {
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it has to wait"),
    }
}

/// The time of one operation.
fn time(mut operation: impl FnMut()) -> f64 {
    quartile((0..ROUNDS).map(|_| round(&mut operation)).collect())
}

fn round(operation: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..OPERATIONS).for_each(|_| operation());
    start.elapsed().as_nanos() as f64 / f64::from(OPERATIONS)
}

fn quartile(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 4]
}

/// The same on each of several threads at the same time: the slowest of them.
fn on_threads(threads: usize, operation: impl Fn() + Sync) -> f64 {
    beside(threads, operation, || {}).0
}

/// Two operations by turns, each on all threads at the same time: the slowest of them.
fn beside(threads: usize, ours: impl Fn() + Sync, theirs: impl Fn() + Sync) -> (f64, f64) {
    let barrier = Barrier::new(threads);
    let one = || {
        let mut rounds = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            barrier.wait();
            rounds.0.push(round(&mut &ours));
            barrier.wait();
            rounds.1.push(round(&mut &theirs));
        }
        (quartile(rounds.0), quartile(rounds.1))
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let slowest = |(a, b): (f64, f64), (c, d): (f64, f64)| (a.max(c), b.max(d));
        running.into_iter().map(|thread| thread.join().expect("no panic")).fold((0.0, 0.0), slowest)
    })
}

fn row(name: &str, ours: f64, theirs: Option<f64>) {
    let theirs = theirs.map_or_else(|| "      -".to_owned(), |theirs| format!("{theirs:7.1}"));
    println!("{name:<48}{ours:7.1} {theirs}");
}
