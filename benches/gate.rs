//! What the gate costs, beside tokio's semaphore: `cargo bench --bench gate`.
//!
//! Prints nanoseconds per operation, the median of several rounds.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sluicegate::admission::{Acquire, Limiter, Permit, Settings};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const ROUNDS: usize = 15;
const OPERATIONS: u32 = 200_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Never driven: the housekeeper of those who wait only has to be somewhere.
    let _entered = runtime.enter();
    println!("ns per operation                                   gate   tokio");
    for threads in [1, 2] {
        let (limiter, semaphore) = (limiter(1000, 0), Arc::new(Semaphore::new(1000)));
        let ours = on_threads(threads, || drop(limiter.try_acquire().expect("a free permit")));
        let theirs = on_threads(threads, || drop(semaphore.clone().try_acquire_owned().expect("a free permit")));
        row(&format!("try_acquire + release, threads: {threads}"), ours, Some(theirs));
        let ours = on_threads(threads, || drop(ready(pin!(limiter.acquire())).expect("a free permit")));
        let theirs = on_threads(threads, || drop(ready(pin!(semaphore.clone().acquire_owned())).expect("a free one")));
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
fn time(operation: impl FnMut()) -> f64 {
    time_beside(operation, || {})
}

fn time_beside(mut operation: impl FnMut(), between: impl Fn()) -> f64 {
    let round = || {
        between();
        let start = Instant::now();
        (0..OPERATIONS).for_each(|_| operation());
        start.elapsed().as_nanos() as f64 / f64::from(OPERATIONS)
    };
    let mut rounds: Vec<_> = std::iter::repeat_with(round).take(ROUNDS).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// The same on each of several threads at the same time: the slowest of them.
fn on_threads(threads: usize, operation: impl Fn() + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let one = || {
        time_beside(&operation, || {
            barrier.wait();
        })
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).fold(0.0, f64::max)
    })
}

fn row(name: &str, ours: f64, theirs: Option<f64>) {
    let theirs = theirs.map_or_else(|| "      -".to_owned(), |theirs| format!("{theirs:7.1}"));
    println!("{name:<48}{ours:7.1} {theirs}");
}
