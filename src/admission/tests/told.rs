//! How long the gate itself takes to turn somebody away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::*;

/// With ten times as many at the gate as it lets in, all of them always asking: far more than a network brings.
#[test]
fn a_rejection_takes_less_than_a_millisecond_of_the_gates_own_time() {
    const LIMIT: u32 = 8;
    const REJECTIONS: u64 = 100_000;
    let attempts = (0..3).map(|_| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let limiter = limiter(LIMIT, LIMIT);
        let (rejected, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let clients: Vec<_> = (0..10 * LIMIT)
            .map(|_| {
                let (limiter, rejected, done) = (limiter.clone(), rejected.clone(), done.clone());
                runtime.spawn(async move {
                    let mut took = Vec::new();
                    while !done.load(Relaxed) {
                        let start = Instant::now();
                        match limiter.acquire().await {
                            Ok(permit) => {
                                tokio::task::yield_now().await;
                                drop(permit);
                            }
                            Err(rejection) => {
                                took.push(start.elapsed());
                                assert_eq!(rejection.reason, Reason::QueueFull);
                                if rejected.fetch_add(1, Relaxed) >= REJECTIONS {
                                    done.store(true, Relaxed);
                                }
                            }
                        }
                        tokio::task::yield_now().await;
                    }
                    took
                })
            })
            .collect();
        let mut took: Vec<_> = clients.into_iter().flat_map(|client| runtime.block_on(client).unwrap()).collect();
        took.sort();
        let (median, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        println!("{} rejections: {median:?} at the median, {p99:?} at p99", took.len());
        p99
    });
    let p99 = attempts.min().unwrap();
    assert!(p99 <= Duration::from_millis(1), "{p99:?} at p99");
}
