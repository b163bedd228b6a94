use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use tokio_test::task::{Spawn, spawn};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok};

use super::*;

mod bodies;
mod deadlines;
mod dry_run;
mod first_look;
mod keys;
mod orders;
mod seats;
mod seen;
mod storm;
mod storm_of_all;
mod told;

fn settings(limit: u32, queue: u32) -> Settings {
    Settings { queue, ..Settings::new("test", NonZeroU32::new(limit).unwrap()) }
}

fn limiter(limit: u32, queue: u32) -> Limiter {
    Limiter::new(settings(limit, queue))
}

fn waiting_as(limiter: &Limiter, claim: Claim, key: &str) -> Spawn<Acquire> {
    let mut acquire = spawn(limiter.acquire_as(claim, Some(Key::new(key))));
    assert_pending!(acquire.poll());
    acquire
}

/// What becomes of it at once.
fn at_once(limiter: &Limiter, claim: Claim, key: &str) -> Result<Permit, Rejection> {
    assert_ready!(spawn(limiter.acquire_as(claim, Some(Key::new(key)))).poll())
}

fn level(level: Level) -> Claim {
    Claim { level, ..Claim::default() }
}

fn seats(seats: u32) -> Claim {
    Claim { seats, ..Claim::default() }
}

fn waiting(limiter: &Limiter) -> Spawn<Acquire> {
    let mut acquire = spawn(limiter.acquire());
    assert_pending!(acquire.poll());
    acquire
}

#[tokio::test]
async fn permits_are_given_up_to_the_limit_and_not_beyond() {
    let limiter = limiter(2, 0);
    let first = limiter.acquire().await.unwrap();
    let second = limiter.acquire().await.unwrap();
    let rejection = limiter.acquire().await.unwrap_err();
    assert_eq!(rejection.reason, Reason::NoPermit);
    assert_eq!(rejection.waited, Waited { position: 1, wait: Duration::ZERO });
    drop(first);
    assert_eq!(limiter.in_flight(), 1);
    assert!(limiter.try_acquire().is_some());
    drop(second);
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test]
async fn the_next_in_line_has_the_permit_before_it_is_woken() {
    let limiter = limiter(1, 4);
    let permit = limiter.acquire().await.unwrap();
    let mut first = waiting(&limiter);
    let mut second = waiting(&limiter);
    drop(permit);
    assert!(first.is_woken());
    assert!(!second.is_woken());
    // Nobody slips in between.
    assert_eq!(limiter.in_flight(), 1);
    assert!(limiter.try_acquire().is_none());
    let permit = assert_ready_ok!(first.poll());
    assert_eq!(permit.waited().unwrap().position, 1);
    assert_pending!(second.poll());
    drop(permit);
    assert_eq!(assert_ready_ok!(second.poll()).waited().unwrap().position, 2);
}

#[tokio::test]
async fn a_newcomer_stands_behind_those_who_wait() {
    let limiter = limiter(2, 4);
    let _one = limiter.acquire().await.unwrap();
    let two = limiter.acquire().await.unwrap();
    let mut waiter = waiting(&limiter);
    let mut newcomer = waiting(&limiter);
    drop(two);
    assert_pending!(newcomer.poll());
    assert_ready_ok!(waiter.poll());
}

#[tokio::test]
async fn a_full_queue_rejects_and_one_that_leaves_makes_room() {
    let limiter = limiter(1, 2);
    let _permit = limiter.acquire().await.unwrap();
    let first = waiting(&limiter);
    let _second = waiting(&limiter);
    let rejection = limiter.acquire().await.unwrap_err();
    assert_eq!((rejection.reason, rejection.waited.position), (Reason::QueueFull, 3));
    drop(first);
    assert_eq!(limiter.queue_len(), 1);
    let _third = waiting(&limiter);
    assert_eq!(limiter.queue_len(), 2);
}

#[tokio::test]
async fn a_granted_permit_that_nobody_collects_goes_to_the_next() {
    let limiter = limiter(1, 2);
    let permit = limiter.acquire().await.unwrap();
    let first = waiting(&limiter);
    let mut second = waiting(&limiter);
    drop(permit);
    drop(first);
    assert!(second.is_woken());
    assert_ready_ok!(second.poll());
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_within_twenty_milliseconds_of_its_timeout() {
    let limiter = limiter(1, 4);
    let _permit = limiter.acquire().await.unwrap();
    let start = Instant::now();
    let mut waits = Vec::new();
    for late in [0, 3, 7, 15] {
        let limiter = limiter.clone();
        waits.push(tokio::spawn(async move {
            sleep(Duration::from_millis(late)).await;
            let since = Instant::now();
            let rejection = limiter.acquire().await.unwrap_err();
            (rejection, since.elapsed())
        }));
    }
    for wait in waits {
        let (rejection, took) = wait.await.unwrap();
        assert_eq!(rejection.reason, Reason::QueueTimeout);
        let late = took - Duration::from_secs(10);
        assert!(late <= Duration::from_millis(20), "{late:?}");
        assert_eq!(rejection.waited.wait, took);
    }
    assert!(start.elapsed() < Duration::from_secs(11));
    assert_eq!(limiter.queue_len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_housekeeper_is_there_again_for_the_next_who_wait() {
    let limiter = limiter(1, 4);
    let _permit = limiter.acquire().await.unwrap();
    for _ in 0..3 {
        assert_eq!(limiter.acquire().await.unwrap_err().reason, Reason::QueueTimeout);
        advance(Duration::from_secs(100)).await;
    }
}

#[tokio::test]
async fn raising_the_limit_wakes_and_lowering_it_cuts_nobody() {
    let limiter = limiter(1, 4);
    let first = limiter.acquire().await.unwrap();
    let mut second = waiting(&limiter);
    let mut third = waiting(&limiter);
    limiter.set_limit(NonZeroU32::new(3).unwrap());
    let second = assert_ready_ok!(second.poll());
    let third = assert_ready_ok!(third.poll());
    assert_eq!(limiter.in_flight(), 3);

    limiter.set_limit(NonZeroU32::MIN);
    let mut fourth = waiting(&limiter);
    drop(first);
    drop(second);
    assert_pending!(fourth.poll());
    drop(third);
    assert_ready_ok!(fourth.poll());
}

#[tokio::test]
async fn closing_ends_all_waits_and_leaves_permits_alone() {
    let limiter = limiter(1, 40);
    let permit = limiter.acquire().await.unwrap();
    let mut waits: Vec<_> = (0..40).map(|_| waiting(&limiter)).collect();
    assert_eq!(limiter.close(), 40);
    for wait in &mut waits {
        assert_eq!(assert_ready_err!(wait.poll()).reason, Reason::Closed);
    }
    assert_eq!(limiter.in_flight(), 1);
    drop(permit);
    assert_eq!(limiter.acquire().await.unwrap_err().reason, Reason::Closed);
    assert!(limiter.try_acquire().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_rejection_says_how_long_the_queue_takes() {
    let limiter = limiter(1, 1);
    assert_eq!(limiter.acquire().await.map(drop), Ok(()));
    let mut permit = limiter.acquire().await.unwrap();
    // One completion a second.
    for _ in 0..20 {
        let mut next = waiting(&limiter);
        advance(Duration::from_secs(1)).await;
        drop(permit);
        permit = assert_ready_ok!(next.poll());
    }
    let _waiter = waiting(&limiter);
    let rejection = limiter.acquire().await.unwrap_err();
    let drains_in = rejection.drains_in.unwrap().as_secs_f64();
    assert!((1.5..2.5).contains(&drains_in), "{drains_in}");
}

#[tokio::test]
async fn a_request_holds_the_narrow_permit_while_it_waits_for_the_wide_one() {
    let (narrow, wide) = (limiter(2, 4), limiter(1, 4));
    let limits = Limits::new(vec![narrow.clone(), wide.clone()]).unwrap();
    let first = limits.acquire().await.unwrap();
    assert_eq!((narrow.in_flight(), wide.in_flight()), (1, 1));
    let mut second = spawn(limits.acquire());
    assert_pending!(second.poll());
    assert_eq!((narrow.in_flight(), narrow.queue_len(), wide.queue_len()), (2, 0, 1));
    // The third stands at the first gate and holds nothing.
    let mut third = spawn(limits.acquire());
    assert_pending!(third.poll());
    assert_eq!((narrow.queue_len(), wide.queue_len()), (1, 1));
    drop(first);
    drop(assert_ready_ok!(second.poll()));
    drop(assert_ready_ok!(third.poll()));
    assert_eq!((narrow.in_flight(), wide.in_flight()), (0, 0));
}

#[tokio::test]
async fn one_that_is_rejected_or_leaves_at_the_wide_gate_gives_the_narrow_permit_back() {
    let (narrow, wide) = (limiter(5, 4), limiter(1, 1));
    let limits = Limits::new(vec![narrow.clone(), wide.clone()]).unwrap();
    let _first = limits.acquire().await.unwrap();
    let mut second = spawn(limits.acquire());
    assert_pending!(second.poll());
    let rejection = limits.acquire().await.unwrap_err();
    assert_eq!((rejection.reason, rejection.limit), (Reason::QueueFull, 1));
    assert_eq!(narrow.in_flight(), 2);
    drop(second);
    assert_eq!((narrow.in_flight(), wide.queue_len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn several_limits_share_one_wait_budget_the_smallest() {
    let patient = |name: &str, seconds| {
        let settings = Settings::new(name, NonZeroU32::MIN);
        Limiter::new(Settings { queue_timeout: Duration::from_secs(seconds), ..settings })
    };
    let (narrow, wide) = (patient("narrow", 3), patient("wide", 60));
    let limits = Limits::new(vec![narrow.clone(), wide.clone()]).unwrap();
    let (first, _second) = (narrow.acquire().await.unwrap(), wide.acquire().await.unwrap());
    let start = Instant::now();
    let waiting = tokio::spawn(async move { limits.acquire().await.map(drop) });
    sleep(Duration::from_secs(2)).await;
    drop(first);
    let rejection = waiting.await.unwrap().unwrap_err();
    assert_eq!((rejection.reason, rejection.limit), (Reason::QueueTimeout, 1));
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(3) && took <= Duration::from_millis(3020), "{took:?}");
    assert_eq!(rejection.waited.wait, took);
    assert_eq!(narrow.in_flight(), 0);
}

#[test]
fn waiting_outside_a_runtime_panics_and_leaves_nothing_behind() {
    let limiter = limiter(1, 4);
    let permit = limiter.try_acquire().unwrap();
    let mut acquire = spawn(limiter.acquire());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(acquire.poll()))).is_err());
    drop((acquire, permit));
    assert_eq!((limiter.in_flight(), limiter.queue_len()), (0, 0));
    assert!(assert_ready_ok!(spawn(limiter.acquire()).poll()).waited().is_none());
}
