//! What a review found. Each of these fails today.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_ok};

use super::{at_once, level, limiter, settings, waiting, waiting_as};
use crate::admission::{Claim, Key, Level, Limiter, Limits, Order, Reason, Rules, Settings};

fn until(millis: u64) -> Claim {
    let deadline = (Instant::now() + Duration::from_millis(millis)).into_std();
    Claim { deadline: Some(deadline), ..Claim::default() }
}

/// Twenty requests at once, each of 10 ms, at a limit of ten: over in 20 ms.
async fn burst(limiter: &Limiter) {
    let permits: Vec<_> = (0..10).map(|_| limiter.try_acquire().unwrap()).collect();
    let mut waits: Vec<_> = (0..10).map(|_| waiting(limiter)).collect();
    advance(Duration::from_millis(10)).await;
    drop(permits);
    let permits: Vec<_> = waits.iter_mut().map(|wait| assert_ready_ok!(wait.poll())).collect();
    advance(Duration::from_millis(10)).await;
    drop(permits);
}

async fn short_bursts(order: Order) -> Limiter {
    let limiter = Limiter::new(Settings { order, queue_timeout: Duration::from_secs(1), ..settings(10, 100) });
    for _ in 0..3 {
        burst(&limiter).await;
        advance(Duration::from_secs(5)).await;
    }
    limiter
}

#[tokio::test(start_paused = true)]
#[ignore = "review"]
async fn idle_time_between_bursts_is_no_measure_of_what_a_full_limit_does() {
    let limiter = short_bursts(Order::Fifo).await;
    let _permits: Vec<_> = (0..10).map(|_| limiter.try_acquire().unwrap()).collect();
    let _ahead: Vec<_> = (0..8).map(|_| waiting(&limiter)).collect();
    // It would wait for 10 ms.
    let mut newcomer = spawn(limiter.acquire_as(until(1500), None));
    assert_pending!(newcomer.poll(), "rate {:?}", limiter.drain_rate());
}

#[tokio::test(start_paused = true)]
#[ignore = "review"]
async fn idle_time_between_bursts_turns_nobody_away_who_is_judged_on_arrival() {
    let limiter = short_bursts(Order::AdaptiveLifo).await;
    let _permits: Vec<_> = (0..10).map(|_| limiter.try_acquire().unwrap()).collect();
    for n in 0..10 {
        let mut newcomer = spawn(limiter.acquire());
        assert_pending!(newcomer.poll(), "number {n}, rate {:?}", limiter.drain_rate());
        std::mem::forget(newcomer);
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "review"]
async fn a_rate_of_an_hour_ago_turns_nobody_away() {
    let limiter = limiter(10, 100);
    // An upstream that stood nearly still for a while.
    let mut permits: Vec<_> = (0..10).map(|_| limiter.try_acquire().unwrap()).collect();
    for _ in 0..30 {
        let _asks = waiting(&limiter);
        advance(Duration::from_secs(4)).await;
        drop(permits.pop());
        drop(_asks);
        permits.push(limiter.try_acquire().unwrap());
    }
    drop(permits);
    advance(Duration::from_secs(3600)).await;
    let _permits: Vec<_> = (0..10).map(|_| limiter.try_acquire().unwrap()).collect();
    let _ahead: Vec<_> = (0..8).map(|_| waiting(&limiter)).collect();
    let mut newcomer = spawn(limiter.acquire_as(until(10_000), None));
    assert_pending!(newcomer.poll(), "rate {:?}", limiter.drain_rate());
}

#[tokio::test(start_paused = true)]
#[ignore = "review"]
async fn a_dry_run_shortens_no_wait_at_another_limit() {
    let own = limiter(1, 4);
    let dry = Limiter::new(Settings { dry_run: true, queue_timeout: Duration::from_millis(50), ..settings(9, 4) });
    let limits = Limits::new(vec![own.clone(), dry]).unwrap();
    let _permit = own.acquire().await.unwrap();
    let wait = limits.acquire();
    tokio::select! {
        end = wait => panic!("{:?} after 50 ms, where the only limit that is enforced says 10 s", end.unwrap_err()),
        () = sleep(Duration::from_secs(1)) => {}
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "review"]
async fn those_whom_only_their_keys_cap_holds_back_are_ahead_of_nobody() {
    let rules = Rules { per_key: NonZeroU32::new(1), ..Rules::<Key>::default() };
    let limiter = Limiter::new(Settings { rules: Some(rules), ..settings(2, 200) });
    let _capped = at_once(&limiter, level(Level::High), "a").unwrap();
    let _parked: Vec<_> = (0..50).map(|_| waiting_as(&limiter, level(Level::High), "a")).collect();
    for _ in 0..30 {
        let permit = at_once(&limiter, Claim::default(), "c").unwrap();
        advance(Duration::from_millis(100)).await;
        drop(permit);
    }
    let other = at_once(&limiter, Claim::default(), "b").unwrap();
    drop(waiting_as(&limiter, level(Level::High), "a"));
    let rate = limiter.drain_rate();
    let mut newcomer = spawn(limiter.acquire_as(until(1_000), Some(Key::new("n"))));
    let first = newcomer.poll();
    assert!(first.is_pending(), "{:?}, at a rate of {rate:?}", first.map(|end| end.map(|_| ())));
    drop(other);
    assert_ready_ok!(newcomer.poll());
}

#[tokio::test]
#[ignore = "review"]
async fn with_a_queue_of_none_for_each_key_nobody_waits() {
    let rules = Rules { per_key_queue: Some(0), ..Rules::<Key>::default() };
    let limiter = Limiter::new(Settings { rules: Some(rules), ..settings(1, 100) });
    let _permit = at_once(&limiter, Claim::default(), "a").unwrap();
    let mut newcomer = spawn(limiter.acquire_as(Claim::default(), Some(Key::new("b"))));
    let first = newcomer.poll();
    assert!(first.is_ready(), "it waits");
}

async fn ages(order: Order) {
    let limiter = Limiter::new(Settings { order, queue_timeout: Duration::from_secs(3600), ..settings(1, 100) });
    let permit = limiter.acquire().await.unwrap();
    let mut old = spawn(limiter.acquire_as(level(Level::Background), None));
    assert_pending!(old.poll());
    advance(Duration::from_secs(60)).await;
    let mut urgent = spawn(limiter.acquire_as(level(Level::Critical), None));
    assert_pending!(urgent.poll());
    drop(permit);
    assert!(old.is_woken(), "{order:?}: it has waited for a minute, and has not risen");
}

#[tokio::test(start_paused = true)]
#[ignore = "review"]
async fn a_waiter_rises_a_level_each_five_seconds_also_where_the_newest_goes_first() {
    ages(Order::Lifo).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "review"]
async fn one_who_waited_until_a_dry_run_began_has_waited() {
    let limiter = limiter(1, 4);
    let _permit = limiter.acquire().await.unwrap();
    let mut wait = waiting(&limiter);
    advance(Duration::from_secs(3)).await;
    limiter.set_dry_run(true);
    let permit = assert_ready_ok!(wait.poll());
    assert!(permit.waited().is_some_and(|waited| waited.wait >= Duration::from_secs(3)), "{:?}", permit.waited());
}

#[tokio::test]
#[ignore = "review"]
async fn what_can_never_fit_a_later_limit_pushes_nobody_out_at_an_earlier_one() {
    let narrow = Limiter::new(settings(100, 1));
    let shared = limiter(10, 4);
    let limits = Limits::new(vec![narrow.clone(), shared]).unwrap();
    let _full = at_once(&narrow, Claim { seats: 100, ..Claim::default() }, "").unwrap();
    let mut patient = spawn(narrow.acquire_as(level(Level::Low), None));
    assert_pending!(patient.poll());
    let doomed = Claim { seats: 50, seats_from_client: true, level: Level::High, ..Claim::default() };
    let mut doomed = spawn(limits.acquire_as(doomed, None));
    let first = doomed.poll();
    let reason = first.map(|end| end.unwrap_err().reason);
    assert_eq!(reason, std::task::Poll::Ready(Reason::Cost), "it stands in line, in another's place");
}

#[tokio::test]
#[ignore = "review"]
async fn what_is_read_ahead_at_a_second_limit_is_on_its_account() {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use bytes::Bytes;
    use futures_util::StreamExt;
    use http::{Request, Response};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use crate::admission::{Admitted, NoKeys};

    let [first, second] = [(); 2].map(|()| Limiter::new(Settings { queue_bytes: 64 << 10, ..settings(1, 4) }));
    let limits = Limits::new(vec![first.clone(), second.clone()]).unwrap();
    let (held, _held) = (first.try_acquire().unwrap(), second.try_acquire().unwrap());
    let read = Arc::new(AtomicUsize::new(0));
    let counted = read.clone();
    let frames = futures_util::stream::iter(0..1000).map(move |_| {
        counted.fetch_add(16 << 10, Relaxed);
        Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; 16 << 10])))
    });
    let request = Request::new(StreamBody::new(frames));
    let echo = tower::service_fn(|_: Admitted<_>| async { Ok::<_, Infallible>(Response::new(())) });
    let mut call = spawn(limits.admit(request, Claim::default(), NoKeys, echo));
    assert_pending!(call.poll());
    assert!(read.load(Relaxed) <= 128 << 10);
    drop(held);
    assert_pending!(call.poll());
    assert!(read.load(Relaxed) <= 256 << 10, "{} bytes in memory, queue_bytes is 64 KiB", read.load(Relaxed));
}
