//! Requests that take more than one permit.

use std::num::NonZeroU32;

use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_ok};

use super::{at_once, level, limiter, seats, settings, waiting, waiting_as};
use crate::admission::{Claim, Level, Limiter, Limits, Reason};

#[tokio::test]
async fn seats_are_taken_together_and_come_back_together() {
    let limiter = limiter(10, 4);
    let wide = at_once(&limiter, seats(7), "a").unwrap();
    assert_eq!((limiter.in_flight(), wide.in_flight()), (7, 7));
    let narrow = at_once(&limiter, seats(3), "a").unwrap();
    let mut next = waiting_as(&limiter, seats(4), "a");
    drop(narrow);
    assert_pending!(next.poll());
    drop(wide);
    let next = assert_ready_ok!(next.poll());
    assert_eq!(limiter.in_flight(), 4);
    drop(next);
    assert_eq!((limiter.in_flight(), limiter.counts().admitted), (0, 3));
}

#[tokio::test]
async fn one_wider_than_the_limit_runs_alone() {
    let limiter = limiter(2, 4);
    let narrow = limiter.acquire().await.unwrap();
    let mut wide = waiting_as(&limiter, seats(5), "a");
    drop(narrow);
    let wide = assert_ready_ok!(wide.poll());
    let mut behind = waiting(&limiter);
    assert!(limiter.try_acquire().is_none());
    drop(wide);
    drop(assert_ready_ok!(behind.poll()));
    assert_eq!((limiter.in_flight(), limiter.counts().admitted), (0, 3));
}

#[tokio::test]
async fn the_wide_are_passed_for_as_long_as_they_are_wide_and_no_longer() {
    let limiter = limiter(4, 10);
    let first = at_once(&limiter, seats(2), "a").unwrap();
    let mut wide = waiting_as(&limiter, seats(4), "a");
    // It waits behind the wide one of its own turn, though two are free.
    let mut narrow = waiting(&limiter);
    assert_eq!((limiter.in_flight(), limiter.queue_len()), (2, 2));
    drop(first);
    let wide = assert_ready_ok!(wide.poll());
    assert_pending!(narrow.poll());
    drop(wide);
    assert_ready_ok!(narrow.poll());
}

#[tokio::test]
async fn a_wide_one_that_leaves_lets_those_go_for_whom_there_is_room() {
    let limiter = limiter(4, 10);
    let _first = at_once(&limiter, seats(2), "a").unwrap();
    let wide = waiting_as(&limiter, seats(4), "a");
    let mut narrow = waiting(&limiter);
    drop(wide);
    assert!(narrow.is_woken());
    assert_ready_ok!(narrow.poll());
}

#[tokio::test(start_paused = true)]
async fn a_wide_one_whose_time_is_over_lets_those_go_for_whom_there_is_room() {
    let limiter = limiter(4, 10);
    let _first = at_once(&limiter, seats(2), "a").unwrap();
    let wide = tokio::spawn(limiter.acquire_as(seats(4), None));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let narrow = tokio::spawn(limiter.acquire());
    assert_eq!(wide.await.unwrap().unwrap_err().reason, Reason::QueueTimeout);
    assert!(narrow.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_client_that_asks_for_more_than_there_ever_is_is_told_so() {
    let limiter = limiter(10, 4);
    let asked = |seats| Claim { seats, seats_from_client: true, ..Claim::default() };
    assert_eq!(at_once(&limiter, asked(11), "a").unwrap_err().reason, Reason::Cost);
    assert!(at_once(&limiter, asked(10), "a").is_ok());
    // Lowered for a while, the limit lets it run alone.
    limiter.set_limit(NonZeroU32::new(5).unwrap());
    assert!(at_once(&limiter, asked(10), "a").is_ok());
    assert_eq!(at_once(&limiter, asked(11), "a").unwrap_err().reason, Reason::Cost);
    // The operator's own word is no mistake of the client's.
    assert!(at_once(&limiter, seats(11), "a").is_ok());
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test]
async fn seats_count_at_each_limit() {
    let (narrow, wide) = (limiter(4, 4), limiter(6, 4));
    let limits = Limits::new(vec![narrow.clone(), wide.clone()]).unwrap();
    let first = limits.acquire_as(seats(3), None).await.unwrap();
    assert_eq!((narrow.in_flight(), wide.in_flight()), (3, 3));
    let mut second = spawn(limits.acquire_as(seats(2), None));
    assert_pending!(second.poll());
    drop(first);
    drop(assert_ready_ok!(second.poll()));
    assert_eq!((narrow.in_flight(), wide.in_flight()), (0, 0));
}

#[tokio::test]
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
async fn what_comes_back_is_counted_whatever_came_back_at_once() {
    let limiter = limiter(1000, 0);
    let mut admitted = 0;
    for width in [1, 1, 15, 16, 17, 1, 255, 256, 300, 1, 2, 3].repeat(5) {
        drop(at_once(&limiter, seats(width), "a").unwrap());
        admitted += 1;
        assert_eq!((limiter.counts().admitted, limiter.in_flight(), limiter.limit()), (admitted, 0, 1000));
    }
}
