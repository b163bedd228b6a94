//! Limits that only count, and permits that come back with the head.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{advance, sleep};
use tokio_test::assert_ready_ok;

use super::{at_once, limiter, seats, settings, waiting};
use crate::admission::{Claim, Hold, Key, Limiter, Limits, Reason, Rules, Settings};

fn dry(limit: u32, queue: u32) -> Limiter {
    Limiter::new(Settings { dry_run: true, ..settings(limit, queue) })
}

fn noted(limiter: &Limiter) -> (u64, u64) {
    let counts = limiter.counts();
    (counts.dry_run_queued, counts.dry_run_rejected)
}

#[tokio::test]
async fn a_dry_run_lets_all_pass_and_notes_what_would_have_been() {
    let limiter = dry(2, 3);
    let permits: Vec<_> = (0..7).map(|_| at_once(&limiter, Claim::default(), "a").unwrap()).collect();
    assert_eq!((limiter.in_flight(), limiter.queue_len()), (7, 0));
    assert_eq!(noted(&limiter), (3, 2));
    assert!(limiter.try_acquire().is_some());
    assert_eq!(limiter.counts().rejected.iter().map(|(_, count)| count).sum::<u64>(), 0);
    drop(permits);
    assert_eq!((limiter.in_flight(), limiter.counts().admitted), (0, 8));
}

#[tokio::test]
async fn a_dry_run_rejects_neither_the_wide_nor_the_late() {
    let limiter = dry(2, 0);
    let wide = Claim { seats_from_client: true, deadline: Some(std::time::Instant::now()), ..seats(5) };
    assert!(at_once(&limiter, wide, "a").is_ok());
    assert_eq!((noted(&limiter), limiter.in_flight()), ((0, 1), 0));
    // More than can be counted.
    let all = [(); 3].map(|()| at_once(&limiter, seats(u32::MAX), "a").unwrap());
    assert!(limiter.in_flight() > 2);
    drop(all);
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test]
async fn a_dry_run_notes_caps() {
    let rules = Rules { per_key: NonZeroU32::new(1), ..Rules::<Key>::default() };
    let limiter = Limiter::new(Settings { rules: Some(rules), dry_run: true, ..settings(10, 4) });
    let permits = [(); 3].map(|()| at_once(&limiter, Claim::default(), "a").unwrap());
    assert_eq!((noted(&limiter), limiter.in_flight()), ((2, 0), 3));
    drop(permits);
    assert_eq!((limiter.in_flight(), limiter.keys_tracked()), (0, 0));
}

#[tokio::test]
async fn a_dry_run_that_begins_ends_all_waits_and_one_that_ends_holds_the_limit_again() {
    let limiter = limiter(1, 40);
    let first = limiter.acquire().await.unwrap();
    let mut waits: Vec<_> = (0..40).map(|_| waiting(&limiter)).collect();
    limiter.set_dry_run(true);
    let permits: Vec<_> = waits.iter_mut().map(|wait| assert_ready_ok!(wait.poll())).collect();
    assert_eq!((limiter.in_flight(), limiter.queue_len()), (41, 0));
    limiter.set_dry_run(false);
    let mut next = waiting(&limiter);
    drop(permits);
    assert!(!next.is_woken());
    drop(first);
    assert_ready_ok!(next.poll());
}

#[tokio::test]
async fn a_closed_dry_run_is_closed() {
    let limiter = dry(1, 1);
    limiter.close();
    assert_eq!(at_once(&limiter, Claim::default(), "a").unwrap_err().reason, Reason::Closed);
}

#[tokio::test]
async fn what_is_held_to_the_head_comes_back_with_it() {
    let at_head = Limiter::new(Settings { hold: Hold::Head, ..settings(2, 1) });
    let (narrow, wide) = (limiter(2, 1), limiter(2, 1));
    let limits = Limits::new(vec![narrow.clone(), at_head.clone(), wide.clone()]).unwrap();
    let mut permit = limits.acquire_as(seats(2), None).await.unwrap();
    let mut next = waiting(&at_head);
    permit.release_at_head();
    assert_eq!((narrow.in_flight(), wide.in_flight()), (2, 2));
    let next = assert_ready_ok!(next.poll());
    permit.release_at_head();
    drop(permit);
    assert_eq!((narrow.in_flight(), at_head.in_flight(), wide.in_flight()), (0, 1, 0));
    drop(next);
    at_head.set_hold(Hold::Response);
    let mut permit = at_head.acquire().await.unwrap();
    permit.release_at_head();
    assert_eq!(at_head.in_flight(), 1);
}

#[tokio::test(start_paused = true)]
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
async fn one_who_waited_until_a_dry_run_began_has_waited() {
    let limiter = limiter(1, 4);
    let _permit = limiter.acquire().await.unwrap();
    let mut wait = waiting(&limiter);
    advance(Duration::from_secs(3)).await;
    limiter.set_dry_run(true);
    let permit = assert_ready_ok!(wait.poll());
    assert!(permit.waited().is_some_and(|waited| waited.wait >= Duration::from_secs(3)), "{:?}", permit.waited());
}
