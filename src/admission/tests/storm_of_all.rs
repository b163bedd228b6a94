//! Many threads at once, with all that a limit can do.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use super::{settings, waiting_as};
use crate::admission::{Claim, Key, KeyRule, Level, Limiter, Order, Rules, Settings};

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
const MOST: u32 = 8;
const PER_KEY: u32 = 3;
const WIDEST: u32 = 10;

/// What the tasks see of each other.
#[derive(Default)]
struct Seen {
    inside: AtomicU32,
    by_key: [AtomicU32; KEYS.len()],
    admitted: AtomicU64,
    rejected: AtomicU64,
}

fn rules(random: &mut fastrand::Rng) -> Rules<Key> {
    let weight = KeyRule { weight: NonZeroU32::new(3), ..KeyRule::default() };
    Rules {
        per_key: NonZeroU32::new(random.u32(1..=PER_KEY)),
        per_key_queue: random.bool().then_some(4),
        keys: HashMap::from([(Key::new("a"), weight)]),
        // With fewer, one could have requests in flight in its own flow and in the shared one.
        max_keys: KEYS.len(),
        ..Rules::default()
    }
}

/// Levels, keys, seats, caps, deadlines, evictions, cancelled waits, and a limit whose number, order and rules change all
/// the while: nobody is let in whom limit and cap do not allow, every rejection is counted once, and everything is back
/// in the end.
#[test]
fn whatever_happens_to_a_limit_it_holds_and_ends_at_zero() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let limiter = Limiter::new(Settings {
        rules: Some(rules(&mut fastrand::Rng::with_seed(seed))),
        queue_timeout: Duration::from_millis(5),
        ..settings(MOST, 20)
    });
    let seen = Arc::new(Seen::default());
    let barrier = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (limiter, seen, barrier) = (limiter.clone(), seen.clone(), barrier.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                barrier.wait();
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..30)
                        .map(|task| {
                            let random = fastrand::Rng::with_seed(seed ^ (thread * 1000 + task));
                            match task {
                                0 => tokio::spawn(meddle(limiter.clone(), random)),
                                _ => tokio::spawn(visit(limiter.clone(), seen.clone(), random)),
                            }
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

    assert_eq!((limiter.in_flight(), limiter.queue_len()), (0, 0), "seed {seed}");
    assert_eq!(limiter.0.tally.difference(|| 0), 0, "seed {seed}");
    assert_eq!(limiter.full_for(), limiter.full_for(), "nobody is left who has not told that it is full no more");
    let counts = limiter.counts();
    let rejected: u64 = counts.rejected.iter().map(|(_, count)| count).sum();
    assert_eq!(rejected, seen.rejected.load(SeqCst), "seed {seed}");
    assert!(counts.admitted >= seen.admitted.load(SeqCst), "seed {seed}");
    assert!(seen.admitted.load(SeqCst) > 100 && rejected > 100, "seed {seed}");
    settle(&limiter);
    assert_eq!(limiter.keys_tracked(), 0, "seed {seed}");
}

async fn visit(limiter: Limiter, seen: Arc<Seen>, mut random: fastrand::Rng) {
    for _ in 0..80 {
        let key = random.usize(0..KEYS.len());
        let seats = if random.u32(0..4) == 0 { random.u32(2..=WIDEST) } else { 1 };
        let deadline = random.bool().then(|| Instant::now() + Duration::from_micros(random.u64(0..4000)));
        let level = Level::ALL[random.usize(0..Level::ALL.len())];
        let claim = Claim { level, seats, deadline, seats_from_client: random.bool(), tag: 0 };
        let patience = Duration::from_micros(random.u64(0..6000));
        let acquire = limiter.acquire_as(claim, Some(Key::new(KEYS[key])));
        let permit = match tokio::time::timeout(patience, acquire).await {
            Err(_) => continue,
            Ok(Err(_)) => {
                seen.rejected.fetch_add(1, SeqCst);
                continue;
            }
            Ok(Ok(permit)) => permit,
        };
        seen.admitted.fetch_add(1, SeqCst);
        let inside = seen.inside.fetch_add(seats, SeqCst) + seats;
        assert!(inside <= MOST || inside == seats, "{inside} inside");
        let of_key = seen.by_key[key].fetch_add(seats, SeqCst) + seats;
        assert!(of_key <= PER_KEY || of_key == seats, "{of_key} of one key inside");
        assert!(permit.in_flight() >= seats);
        if random.bool() {
            tokio::task::yield_now().await;
        }
        seen.by_key[key].fetch_sub(seats, SeqCst);
        seen.inside.fetch_sub(seats, SeqCst);
        drop(permit);
    }
}

/// Changes everything that can be changed.
async fn meddle(limiter: Limiter, mut random: fastrand::Rng) {
    for _ in 0..300 {
        match random.u32(0..5) {
            0 | 1 => limiter.set_limit(NonZeroU32::new(random.u32(1..=MOST)).unwrap()),
            2 => limiter.set_order([Order::Fifo, Order::Lifo, Order::AdaptiveLifo][random.usize(0..3)]),
            3 => limiter.set_rules(Some(rules(&mut random))),
            _ => _ = limiter.flush(),
        }
        assert!(limiter.keys(3).len() <= 3);
        tokio::task::yield_now().await;
    }
}

/// What keys owe is forgotten a few at a time, by those who leave.
fn settle(limiter: &Limiter) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    limiter.set_limit(NonZeroU32::MIN);
    limiter.set_rules(Some(Rules::default()));
    for _ in 0..KEYS.len() {
        let permit = limiter.try_acquire().unwrap();
        drop(waiting_as(limiter, Claim::default(), KEYS[0]));
        drop(permit);
    }
}
