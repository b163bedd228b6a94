//! Deadlines: what is not waited for because it would be in vain.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, advance};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};

use super::{at_once, limiter, settings, waiting};
use crate::admission::{Claim, Limiter, Limits, Order, Permit, Reason, Settings};

fn within(millis: u64) -> Claim {
    let deadline = (Instant::now() + Duration::from_millis(millis)).into_std();
    Claim { deadline: Some(deadline), ..Claim::default() }
}

/// Twenty completions, ten a second.
async fn ten_a_second(limiter: &Limiter) -> Permit {
    let mut permit = limiter.acquire().await.unwrap();
    for _ in 0..20 {
        let mut next = waiting(limiter);
        advance(Duration::from_millis(100)).await;
        drop(permit);
        permit = assert_ready_ok!(next.poll());
    }
    permit
}

#[tokio::test(start_paused = true)]
async fn an_expired_deadline_is_turned_away_even_when_a_permit_is_free() {
    let limiter = limiter(1, 4);
    let rejection = at_once(&limiter, within(0), "a").unwrap_err();
    assert_eq!((rejection.reason, limiter.in_flight()), (Reason::DeadlineExpired, 0));
    assert!(at_once(&limiter, within(1), "a").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_while_waiting_ends_the_wait_and_says_whose_it_was() {
    let limiter = limiter(1, 4);
    let _permit = limiter.acquire().await.unwrap();
    let start = Instant::now();
    let short = tokio::spawn(limiter.acquire_as(within(500), None));
    let long = tokio::spawn(limiter.acquire_as(within(60_000), None));
    assert_eq!(short.await.unwrap().unwrap_err().reason, Reason::DeadlineExpired);
    let late = start.elapsed() - Duration::from_millis(500);
    assert!(late <= Duration::from_millis(20), "{late:?}");
    assert_eq!(long.await.unwrap().unwrap_err().reason, Reason::QueueTimeout);
    assert!(start.elapsed() >= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn who_is_late_is_never_let_go() {
    let limiter = limiter(1, 4);
    let permit = limiter.acquire().await.unwrap();
    let mut late = spawn(limiter.acquire_as(within(50), None));
    assert_pending!(late.poll());
    let mut next = waiting(&limiter);
    // The housekeeper has not looked yet.
    advance(Duration::from_millis(50)).await;
    drop(permit);
    assert_eq!(assert_ready_err!(late.poll()).reason, Reason::DeadlineExpired);
    assert_ready_ok!(next.poll());
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_collected_too_late_goes_back() {
    let limiter = limiter(1, 4);
    let permit = limiter.acquire().await.unwrap();
    let mut late = spawn(limiter.acquire_as(within(50), None));
    assert_pending!(late.poll());
    drop(permit);
    advance(Duration::from_millis(50)).await;
    assert_eq!(assert_ready_err!(late.poll()).reason, Reason::DeadlineExpired);
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_cannot_be_met_is_turned_away_at_once() {
    let limiter = limiter(1, 30);
    let _permit = ten_a_second(&limiter).await;
    let _waits: Vec<_> = (0..10).map(|_| waiting(&limiter)).collect();
    // Ten before it, a tenth of a second each.
    let rejection = at_once(&limiter, within(500), "a").unwrap_err();
    assert_eq!((rejection.reason, rejection.waited.position), (Reason::DeadlineUnmeetable, 11));
    assert!(rejection.waited.wait.is_zero() && !rejection.predicted);
    assert_pending!(spawn(limiter.acquire_as(within(2000), None)).poll());
    // More urgent, it would be next.
    let urgent = Claim { level: crate::admission::Level::High, ..within(500) };
    assert_pending!(spawn(limiter.acquire_as(urgent, None)).poll());
}

#[tokio::test(start_paused = true)]
async fn before_twenty_completions_nobody_is_turned_away_by_an_estimate() {
    let limiter = limiter(1, 30);
    let mut permit = limiter.acquire().await.unwrap();
    for _ in 0..3 {
        let mut next = waiting(&limiter);
        advance(Duration::from_secs(1)).await;
        drop(permit);
        permit = assert_ready_ok!(next.poll());
    }
    let _waits: Vec<_> = (0..10).map(|_| waiting(&limiter)).collect();
    assert!(limiter.drain_rate().is_some());
    assert_pending!(spawn(limiter.acquire_as(within(10), None)).poll());
}

#[tokio::test(start_paused = true)]
async fn adaptive_order_judges_the_wait_on_arrival() {
    let second = Duration::from_secs(1);
    let limiter = Limiter::new(Settings { order: Order::AdaptiveLifo, queue_timeout: second, ..settings(1, 100) });
    let _permit = ten_a_second(&limiter).await;
    // Eleven come to a bit more than a second.
    let mut waits = Vec::new();
    let rejection = loop {
        let mut wait = spawn(limiter.acquire());
        match wait.poll() {
            std::task::Poll::Pending => waits.push(wait),
            std::task::Poll::Ready(outcome) => break outcome.unwrap_err(),
        }
    };
    assert_eq!((rejection.reason, rejection.predicted), (Reason::QueueTimeout, true));
    assert!((9..=12).contains(&waits.len()), "{}", waits.len());
    assert_eq!(limiter.counts().rejected[Reason::QueueTimeout as usize].1, 1);
    // With fifo they would wait.
    limiter.set_order(Order::Fifo);
    assert_pending!(spawn(limiter.acquire()).poll());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_goes_on_at_the_next_limit() {
    let (narrow, wide) = (limiter(1, 4), limiter(1, 4));
    let limits = Limits::new(vec![narrow.clone(), wide.clone()]).unwrap();
    let (first, _second) = (narrow.acquire().await.unwrap(), wide.acquire().await.unwrap());
    let start = Instant::now();
    let waiting = tokio::spawn(limits.acquire_as(within(2000), None));
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(first);
    let rejection = waiting.await.unwrap().map(drop).unwrap_err();
    assert_eq!((rejection.reason, rejection.limit), (Reason::DeadlineExpired, 1));
    assert!(start.elapsed() < Duration::from_millis(2020));
    assert_eq!(narrow.in_flight(), 0);
    narrow.set_limit(NonZeroU32::MIN);
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
async fn idle_time_between_bursts_is_no_measure_of_what_a_full_limit_does() {
    let limiter = short_bursts(Order::Fifo).await;
    let _permits: Vec<_> = (0..10).map(|_| limiter.try_acquire().unwrap()).collect();
    let _ahead: Vec<_> = (0..8).map(|_| waiting(&limiter)).collect();
    // It would wait for 10 ms.
    let mut newcomer = spawn(limiter.acquire_as(within(1500), None));
    assert_pending!(newcomer.poll(), "rate {:?}", limiter.drain_rate());
}

#[tokio::test(start_paused = true)]
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
    let mut newcomer = spawn(limiter.acquire_as(within(10_000), None));
    assert_pending!(newcomer.poll(), "rate {:?}", limiter.drain_rate());
}
