//! Who goes next, and who gives way.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::advance;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};

use super::{at_once, level, limiter, settings, waiting, waiting_as};
use crate::admission::{Claim, Level, Limiter, Order, Reason, Settings};

fn ordered(order: Order, queue: u32) -> Limiter {
    Limiter::new(Settings { order, ..settings(1, queue) })
}

#[tokio::test(start_paused = true)]
async fn the_most_urgent_goes_first_and_age_is_worth_a_level() {
    let limiter = limiter(1, 10);
    let permit = limiter.acquire().await.unwrap();
    let mut low = waiting_as(&limiter, level(Level::Low), "a");
    advance(Duration::from_secs(4)).await;
    let mut normal = waiting(&limiter);
    assert_eq!((limiter.waiting(Level::Low), limiter.waiting(Level::Normal)), (1, 1));
    drop(permit);
    let permit = assert_ready_ok!(normal.poll());
    advance(Duration::from_secs(2)).await;
    // Six seconds older than this one.
    let mut normal = waiting(&limiter);
    drop(permit);
    assert_pending!(normal.poll());
    drop(assert_ready_ok!(low.poll()));
    assert_ready_ok!(normal.poll());
    let counts = limiter.counts();
    assert_eq!((counts.admitted, counts.admitted_by_level[3]), (4, (Level::Low, 1)));
    assert_eq!(counts.admitted_by_level[2], (Level::Normal, 3));
}

#[tokio::test]
async fn a_full_queue_pushes_out_the_least_urgent() {
    let limiter = limiter(1, 2);
    let _permit = limiter.acquire().await.unwrap();
    let mut low = waiting_as(&limiter, level(Level::Low), "a");
    let _normal = waiting(&limiter);
    // One of its own level does not make room.
    assert_eq!(at_once(&limiter, level(Level::Low), "a").unwrap_err().reason, Reason::QueueFull);
    assert_eq!(at_once(&limiter, level(Level::Background), "a").unwrap_err().reason, Reason::QueueFull);
    let _high = waiting_as(&limiter, level(Level::High), "a");
    assert!(low.is_woken());
    assert_eq!(assert_ready_err!(low.poll()).reason, Reason::Evicted);
    assert_eq!((limiter.queue_len(), limiter.waiting(Level::High)), (2, 1));
}

#[tokio::test]
async fn newest_first_the_oldest_gives_way() {
    let limiter = ordered(Order::Lifo, 2);
    let permit = limiter.acquire().await.unwrap();
    let mut waits: Vec<_> = (0..3).map(|_| waiting(&limiter)).collect();
    assert_eq!(assert_ready_err!(waits[0].poll()).reason, Reason::Evicted);
    drop(permit);
    assert_pending!(waits[1].poll());
    assert_ready_ok!(waits[2].poll());
}

#[tokio::test(start_paused = true)]
async fn the_order_turns_around_when_the_queue_has_stood() {
    let limiter = ordered(Order::AdaptiveLifo, 10);
    let permit = limiter.acquire().await.unwrap();
    let mut waits: Vec<_> = (0..3).map(|_| waiting(&limiter)).collect();
    drop(permit);
    let permit = assert_ready_ok!(waits[0].poll());
    advance(Duration::from_millis(100)).await;
    drop(permit);
    assert_pending!(waits[1].poll());
    assert_ready_ok!(waits[2].poll());
}

#[tokio::test]
async fn the_order_changes_live() {
    let limiter = limiter(1, 10);
    let permit = limiter.acquire().await.unwrap();
    let mut waits: Vec<_> = (0..3).map(|_| waiting(&limiter)).collect();
    limiter.set_order(Order::Lifo);
    drop(permit);
    let permit = assert_ready_ok!(waits[2].poll());
    limiter.reconfigure(settings(1, 10));
    drop(permit);
    assert_pending!(waits[1].poll());
    assert_ready_ok!(waits[0].poll());
}

#[tokio::test]
async fn an_operator_ends_all_waits_and_those_who_come_later_wait_on() {
    let limiter = limiter(1, 40);
    let permit = limiter.acquire().await.unwrap();
    let mut waits: Vec<_> = (0..40).map(|_| waiting(&limiter)).collect();
    assert_eq!(limiter.flush(), 40);
    for wait in &mut waits {
        assert_eq!(assert_ready_err!(wait.poll()).reason, Reason::Flushed);
    }
    let mut later = waiting(&limiter);
    drop(permit);
    assert_ready_ok!(later.poll());
    assert_eq!(limiter.flush(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_newcomer_would_find_is_told() {
    let limiter = limiter(1, 30);
    assert_eq!(limiter.forecast(Level::Normal, None).position, 1);
    let mut permit = limiter.acquire().await.unwrap();
    for _ in 0..20 {
        let mut next = waiting(&limiter);
        advance(Duration::from_millis(100)).await;
        drop(permit);
        permit = assert_ready_ok!(next.poll());
    }
    let _waits: Vec<_> = (0..5).map(|_| waiting(&limiter)).collect();
    let forecast = limiter.forecast(Level::Normal, None);
    let wait = forecast.wait.unwrap().as_secs_f64();
    assert!(forecast.position == 6 && (0.4..0.7).contains(&wait), "{forecast:?}");
    assert_eq!(limiter.forecast(Level::High, None).position, 1);
    advance(Duration::from_secs(1)).await;
    assert_eq!(limiter.oldest_wait(), Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_limit_raised_by_many_lets_all_of_them_go() {
    let limiter = limiter(1, 100);
    let _permit = limiter.acquire().await.unwrap();
    let mut waits: Vec<_> = (0..100).map(|_| waiting_as(&limiter, Claim::default(), "a")).collect();
    limiter.set_limit(NonZeroU32::new(101).unwrap());
    let permits: Vec<_> = waits.iter_mut().map(|wait| assert_ready_ok!(wait.poll())).collect();
    assert_eq!(limiter.in_flight(), 101);
    drop(permits);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_get_in_is_told_without_the_lock() {
    let limiter = limiter(1, 2);
    let permit = limiter.acquire().await.unwrap();
    let _waits = [Level::High, Level::Normal].map(|urgency| waiting_as(&limiter, level(urgency), "a"));
    let empty = super::limiter(1, 0);
    let _permit = empty.acquire().await.unwrap();
    let locked = (limiter.0.lock(), empty.0.lock());
    // Whoever took a lock would be here for ever.
    for urgency in [Level::Normal, Level::Low, Level::Background] {
        assert_eq!(at_once(&limiter, level(urgency), "a").unwrap_err().reason, Reason::QueueFull);
    }
    assert_eq!(at_once(&empty, Claim::default(), "a").unwrap_err().reason, Reason::NoPermit);
    let expired = Claim { deadline: Some(tokio::time::Instant::now().into_std()), ..Claim::default() };
    assert_eq!(at_once(&limiter, expired, "a").unwrap_err().reason, Reason::DeadlineExpired);
    drop(locked);
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_rises_a_level_each_five_seconds_also_where_the_newest_goes_first() {
    let limiter =
        Limiter::new(Settings { order: Order::Lifo, queue_timeout: Duration::from_secs(3600), ..settings(1, 100) });
    let permit = limiter.acquire().await.unwrap();
    let mut old = spawn(limiter.acquire_as(level(Level::Background), None));
    assert_pending!(old.poll());
    advance(Duration::from_secs(60)).await;
    let mut urgent = spawn(limiter.acquire_as(level(Level::Critical), None));
    assert_pending!(urgent.poll());
    drop(permit);
    assert!(old.is_woken(), "it has waited for a minute, and has not risen");
}

#[tokio::test(start_paused = true)]
async fn who_is_overtaken_a_hundred_times_by_adaptive_lifo_is_told_at_once_that_it_was_pushed_out() {
    let limiter = ordered(Order::AdaptiveLifo, 10);
    let mut permit = limiter.acquire().await.unwrap();
    let mut oldest = waiting(&limiter);
    advance(Duration::from_millis(300)).await;
    for turn in 0..100 {
        assert!(!oldest.is_woken(), "after {turn} turns");
        let mut newest = waiting(&limiter);
        drop(permit);
        permit = assert_ready_ok!(newest.poll());
    }
    assert!(oldest.is_woken());
    assert_eq!(assert_ready_err!(oldest.poll()).reason, Reason::Evicted);
    assert_eq!((limiter.in_flight(), limiter.queue_len()), (1, 0));
}
