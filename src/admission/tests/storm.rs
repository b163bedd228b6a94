//! Many threads at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::limiter;
use crate::admission::Limits;

/// Threads that acquire, wait, give up and resize at random; the limit holds at every moment, and nothing is left over.
#[test]
fn the_limit_holds_in_a_storm() {
    const LIMIT: u32 = 3;
    let limiter = limiter(LIMIT, 50);
    let inside = Arc::new(AtomicU32::new(0));
    let barrier = Arc::new(Barrier::new(4));
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (limiter, inside, barrier) = (limiter.clone(), inside.clone(), barrier.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                barrier.wait();
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..40)
                        .map(|task| {
                            let (limiter, inside) = (limiter.clone(), inside.clone());
                            let mut random = fastrand::Rng::with_seed(seed ^ (thread * 1000 + task));
                            tokio::spawn(async move {
                                for _ in 0..100 {
                                    let patience = Duration::from_micros(random.u64(0..3000));
                                    let Ok(Ok(permit)) = tokio::time::timeout(patience, limiter.acquire()).await else {
                                        continue;
                                    };
                                    assert!(inside.fetch_add(1, Ordering::SeqCst) < LIMIT);
                                    if random.bool() {
                                        tokio::task::yield_now().await;
                                    }
                                    inside.fetch_sub(1, Ordering::SeqCst);
                                    drop(permit);
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            })
        })
        .collect();
    // Whatever is under way while one looks, there is never a permit too many.
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        assert!(limiter.0.tally.difference(|| limiter.in_flight()) >= 0);
        std::thread::yield_now();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!((limiter.in_flight(), limiter.queue_len()), (0, 0));
    assert_eq!(limiter.0.tally.difference(|| 0), 0);
    assert_eq!((limiter.full_for(), limiter.peak()), (limiter.full_for(), LIMIT));
    let permits: Vec<_> = (0..LIMIT).map(|_| limiter.try_acquire().unwrap()).collect();
    assert!(limiter.try_acquire().is_none());
    drop(permits);
}

/// Random requests over nested and overlapping limits, on several threads: every limit holds, nothing is left over.
#[test]
fn nested_limits_hold_in_a_storm_and_end_at_zero() {
    let shared: Vec<_> = (1..=4).map(|limit| limiter(limit, 100)).collect();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..25)
                        .map(|task| {
                            let shared = shared.clone();
                            let mut random = fastrand::Rng::with_seed(seed ^ (thread * 1000 + task));
                            tokio::spawn(async move {
                                for _ in 0..1000 {
                                    // Some of them, in the one order.
                                    let mine: Vec<_> = shared.iter().filter(|_| random.bool()).cloned().collect();
                                    let Some(limits) = Limits::new(mine) else { continue };
                                    let patience = Duration::from_micros(random.u64(0..2000));
                                    let permit = tokio::time::timeout(patience, limits.acquire()).await;
                                    for limiter in limits.limiters() {
                                        assert!(limiter.in_flight() <= limiter.limit());
                                    }
                                    tokio::task::yield_now().await;
                                    drop(permit);
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(shared.iter().all(|limiter| limiter.in_flight() == 0 && limiter.queue_len() == 0));
    assert!(shared.iter().all(|limiter| limiter.0.tally.difference(|| 0) == 0));
}
