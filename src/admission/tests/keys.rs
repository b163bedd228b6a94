//! Keys: turns, caps, and who is asked when.

use std::cell::Cell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tokio::time::advance;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower::service_fn;

use super::{at_once, level, seats, settings, waiting_as};
use crate::admission::{
    Admitted, Claim, Error, Key, KeyRule, Keyed, Keys, Level, Limiter, Limits, Reason, Rules, Settings,
};

const ONE: Claim =
    Claim { level: crate::admission::Level::Normal, seats: 1, deadline: None, seats_from_client: false, tag: 0 };

fn keyed(limit: u32, queue: u32, rules: Rules<Key>) -> Limiter {
    Limiter::new(Settings { rules: Some(rules), ..settings(limit, queue) })
}

fn capped(limit: u32, queue: u32, per_key: u32) -> Limiter {
    keyed(limit, queue, Rules { per_key: NonZeroU32::new(per_key), ..Rules::default() })
}

#[tokio::test]
async fn keys_take_turns() {
    let limiter = keyed(1, 10, Rules::default());
    let permit = at_once(&limiter, ONE, "loud").unwrap();
    let mut loud: Vec<_> = (0..5).map(|_| waiting_as(&limiter, ONE, "loud")).collect();
    let mut quiet = waiting_as(&limiter, ONE, "quiet");
    drop(permit);
    drop(assert_ready_ok!(loud[0].poll()));
    assert_ready_ok!(quiet.poll());
}

#[tokio::test]
async fn a_full_queue_drops_from_the_longest_key() {
    let limiter = keyed(1, 4, Rules::default());
    let _permit = at_once(&limiter, ONE, "loud").unwrap();
    let mut loud: Vec<_> = (0..4).map(|_| waiting_as(&limiter, ONE, "loud")).collect();
    let _quiet = waiting_as(&limiter, ONE, "quiet");
    assert_eq!(assert_ready_err!(loud[3].poll()).reason, Reason::KeyQueueFull);
    assert_eq!(at_once(&limiter, ONE, "loud").unwrap_err().reason, Reason::KeyQueueFull);
    assert_eq!(limiter.keys(1), [("loud".to_owned(), 3, 0)]);
}

#[tokio::test]
async fn a_capped_key_waits_and_others_go() {
    let limiter = capped(3, 10, 1);
    let first = at_once(&limiter, ONE, "a").unwrap();
    let mut second = waiting_as(&limiter, ONE, "a");
    // Two permits are free, for others.
    let other = at_once(&limiter, ONE, "b").unwrap();
    let third = at_once(&limiter, ONE, "c").unwrap();
    assert_eq!((limiter.in_flight(), limiter.queue_len(), limiter.keys_tracked()), (3, 1, 3));
    drop(other);
    assert_pending!(second.poll());
    drop(first);
    let second = assert_ready_ok!(second.poll());
    let mut keys = limiter.keys(10);
    keys.sort();
    assert_eq!(keys, [("a".to_owned(), 0, 1), ("c".to_owned(), 0, 1)]);
    drop((second, third));
    assert_eq!((limiter.in_flight(), limiter.keys_tracked()), (0, 0));
}

#[tokio::test]
async fn where_nobody_may_wait_a_capped_key_is_told_so() {
    let limiter = capped(2, 0, 1);
    let first = at_once(&limiter, ONE, "a").unwrap();
    assert_eq!(at_once(&limiter, ONE, "a").unwrap_err().reason, Reason::KeyLimit);
    let _other = at_once(&limiter, ONE, "b").unwrap();
    assert_eq!(at_once(&limiter, ONE, "c").unwrap_err().reason, Reason::NoPermit);
    drop(first);
    assert!(at_once(&limiter, ONE, "a").is_ok());
}

#[tokio::test]
async fn only_so_many_of_a_key_wait() {
    let rules = Rules { per_key: NonZeroU32::new(1), per_key_queue: Some(1), ..Rules::default() };
    let limiter = keyed(5, 10, rules);
    let _first = at_once(&limiter, ONE, "a").unwrap();
    let _second = waiting_as(&limiter, ONE, "a");
    assert_eq!(at_once(&limiter, ONE, "a").unwrap_err().reason, Reason::KeyQueueFull);
}

#[tokio::test]
async fn a_cap_counts_seats_and_knows_its_exceptions() {
    let keys = HashMap::from([(Key::new("big"), KeyRule { per_key: NonZeroU32::new(6), ..KeyRule::default() })]);
    let limiter = keyed(20, 10, Rules { per_key: NonZeroU32::new(3), keys, ..Rules::default() });
    let _small = at_once(&limiter, seats(2), "small").unwrap();
    let _big = at_once(&limiter, seats(2), "big").unwrap();
    let _waits = waiting_as(&limiter, seats(2), "small");
    assert!(at_once(&limiter, seats(4), "big").is_ok());
    // Those without a key of their own share one.
    let _shared = assert_ready_ok!(spawn(limiter.acquire_as(seats(3), None)).poll());
    assert_pending!(spawn(limiter.acquire()).poll());
    assert_eq!(limiter.keys(1), [("small".to_owned(), 1, 2)]);
}

#[tokio::test]
async fn a_granted_permit_that_nobody_collects_leaves_its_key() {
    let limiter = capped(1, 10, 1);
    let permit = at_once(&limiter, ONE, "a").unwrap();
    let waiter = waiting_as(&limiter, ONE, "a");
    drop(permit);
    assert_eq!(limiter.keys(1), [("a".to_owned(), 0, 1)]);
    drop(waiter);
    assert_eq!((limiter.in_flight(), limiter.keys_tracked()), (0, 0));
}

#[tokio::test]
async fn rules_change_live() {
    let limiter = capped(4, 10, 1);
    let first = at_once(&limiter, ONE, "a").unwrap();
    let mut waits: Vec<_> = (0..3).map(|_| waiting_as(&limiter, ONE, "a")).collect();
    limiter.set_rules(Some(Rules { per_key: NonZeroU32::new(2), ..Rules::default() }));
    let second = assert_ready_ok!(waits[0].poll());
    assert_pending!(waits[1].poll());
    limiter.reconfigure(settings(4, 10));
    let third = assert_ready_ok!(waits[1].poll());
    let fourth = assert_ready_ok!(waits[2].poll());
    // Those who came with a key are counted by it to their end.
    drop((second, third, fourth, first));
    assert_eq!((limiter.in_flight(), limiter.keys_tracked()), (0, 0));
    assert!(limiter.try_acquire().is_some());
}

/// Says a key, and how often it was asked.
struct Asked<'a>(&'a Cell<u32>, Keyed);

impl<B> Keys<B> for Asked<'_> {
    fn key(&self, limit: usize, request: &Request<B>) -> Keyed {
        assert_eq!((limit, request.uri().path()), (0, "/asked"));
        self.0.set(self.0.get() + 1);
        self.1.clone()
    }
}

#[tokio::test]
async fn a_key_is_asked_for_only_where_it_matters() {
    let answer = |admitted: Admitted<Empty<Bytes>>| async move { Ok::<_, Infallible>(Response::new(admitted.permit)) };
    let ask = |limiter: &Limiter, times: &Cell<u32>, keyed| {
        let request = Request::builder().uri("/asked").body(Empty::new()).unwrap();
        let limits = Limits::from(limiter.clone());
        let mut call = spawn(limits.admit(request, Claim::default(), Asked(times, keyed), service_fn(answer)));
        match call.poll() {
            std::task::Poll::Ready(outcome) => Some(outcome.map(Response::into_body)),
            std::task::Poll::Pending => None,
        }
    };
    let own = || Keyed::Own(Key::new("a"));
    let times = &Cell::new(0);

    let limiter = keyed(1, 10, Rules::default());
    let permit = ask(&limiter, times, own()).unwrap().unwrap();
    assert_eq!(times.get(), 0);
    assert!(ask(&limiter, times, own()).is_none());
    assert_eq!(times.get(), 1);
    let refused = ask(&limiter, times, Keyed::Refused).unwrap().map(drop).unwrap_err();
    assert!(matches!(refused, Error::Rejected(rejection) if rejection.reason == Reason::KeyLimit));
    assert_eq!(times.get(), 2);
    drop(permit);

    times.set(0);
    let limiter = capped(1, 10, 1);
    let _permit = ask(&limiter, times, own()).unwrap().unwrap();
    assert_eq!(times.get(), 1);

    // Without rules for keys, nobody has one.
    times.set(0);
    let limiter = Limiter::new(settings(1, 0));
    let _permit = ask(&limiter, times, own()).unwrap().unwrap();
    assert!(ask(&limiter, times, own()).unwrap().is_err());
    assert_eq!(times.get(), 0);
}

#[tokio::test(start_paused = true)]
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
    let mut newcomer = spawn(limiter.acquire_as(
        Claim { deadline: Some((tokio::time::Instant::now() + Duration::from_secs(1)).into_std()), ..Claim::default() },
        Some(Key::new("n")),
    ));
    let first = newcomer.poll();
    assert!(first.is_pending(), "{:?}, at a rate of {rate:?}", first.map(|end| end.map(|_| ())));
    drop(other);
    assert_ready_ok!(newcomer.poll());
}

#[tokio::test]
async fn with_a_queue_of_none_for_each_key_nobody_waits() {
    let rules = Rules { per_key_queue: Some(0), ..Rules::<Key>::default() };
    let limiter = Limiter::new(Settings { rules: Some(rules), ..settings(1, 100) });
    let _permit = at_once(&limiter, Claim::default(), "a").unwrap();
    let mut newcomer = spawn(limiter.acquire_as(Claim::default(), Some(Key::new("b"))));
    let first = newcomer.poll();
    assert!(first.is_ready(), "it waits");
}
