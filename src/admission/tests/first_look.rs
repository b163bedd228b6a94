//! What is said as a request comes, without a wait and without the lock.

use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::service_fn;

use super::{level, limiter, seats, waiting};
use crate::admission::{AtOnce, Claim, Hold, Key, Level, Limits, NoKeys, Order, Reason, Rules, Settings};

#[tokio::test]
async fn who_finds_permits_has_them_and_who_finds_none_is_told() {
    let (narrow, wide) = (limiter(2, 0), limiter(3, 0));
    let limits = Limits::new(vec![narrow.clone(), wide.clone()]).unwrap();
    let AtOnce::Admitted(permit) = limits.at_once(&seats(2)) else { panic!("both have room") };
    assert_eq!((narrow.in_flight(), wide.in_flight()), (2, 2));
    let AtOnce::Rejected(rejection) = limits.at_once(&Claim::default()) else { panic!("there is no queue") };
    assert_eq!((rejection.reason, rejection.limit, rejection.waited.position), (Reason::NoPermit, 0, 1));
    narrow.set_limit(9.try_into().unwrap());
    let AtOnce::Rejected(rejection) = limits.at_once(&seats(2)) else { panic!("the second one is full") };
    assert_eq!((rejection.reason, rejection.limit), (Reason::NoPermit, 1));
    assert_eq!((narrow.in_flight(), wide.in_flight()), (2, 2), "what it had came back");
    drop(permit);
    assert_eq!((narrow.in_flight(), wide.in_flight(), narrow.unaccounted(), wide.unaccounted()), (0, 0, 0, 0));
    assert_eq!((narrow.counts().admitted, wide.counts().admitted), (2, 1));
    let AtOnce::Admitted(permit) = limits.at_once(&level(Level::High)) else { panic!("both have room") };
    assert_eq!(narrow.counts().admitted_by_level[1], (Level::High, 1));
    drop(permit);
}

#[tokio::test]
async fn who_may_have_to_wait_goes_on_with_what_it_has() {
    let (narrow, wide) = (limiter(2, 4), limiter(1, 4));
    let limits = Limits::new(vec![narrow.clone(), wide.clone()]).unwrap();
    let taken = wide.acquire().await.unwrap();
    let AtOnce::Later(begun) = limits.at_once(&Claim::default()) else { panic!("it may wait") };
    assert_eq!((narrow.in_flight(), wide.in_flight()), (1, 1));
    let inner = service_fn(async |admitted: crate::admission::Admitted<String>| Ok::<_, ()>(admitted.permit));
    let request = http::Request::new("a".to_owned());
    let mut goes_on = spawn(limits.admit_from(begun, request, Claim::default(), NoKeys, inner));
    assert_pending!(goes_on.poll());
    assert_eq!(narrow.in_flight(), 1, "it does not take twice what it has");
    drop(taken);
    let permit = assert_ready_ok!(goes_on.poll());
    assert_eq!((narrow.in_flight(), wide.in_flight()), (1, 1));
    drop(permit);
    let AtOnce::Admitted(permit) = limits.at_once(&Claim::default()) else { panic!("both have room") };
    let AtOnce::Later(begun) = limits.at_once(&Claim::default()) else { panic!("it may wait") };
    assert_eq!(narrow.in_flight(), 2);
    drop(begun);
    assert_eq!(narrow.in_flight(), 1);
    drop(permit);
}

/// What only the lock, the clock or the key can decide is left to them.
#[tokio::test]
async fn nobody_is_turned_away_who_could_still_be_let_in() {
    let is_later = |settings: Settings, claim: Claim| {
        let limiter = crate::admission::Limiter::new(settings);
        limiter.set_dry_run(limiter.settings().dry_run);
        let _taken = limiter.try_acquire();
        matches!(Limits::from(limiter).at_once(&claim), AtOnce::Later(_))
    };
    let settings = || super::settings(1, 0);
    assert!(!is_later(settings(), Claim::default()));
    let soon = Claim { deadline: Some(std::time::Instant::now()), ..Claim::default() };
    assert!(is_later(settings(), soon));
    assert!(is_later(settings(), Claim { seats_from_client: true, ..Claim::default() }));
    assert!(is_later(Settings { dry_run: true, ..settings() }, Claim::default()));
    assert!(is_later(Settings { order: Order::AdaptiveLifo, ..settings() }, Claim::default()));
    let capped = Rules::<Key> { per_key: Some(1.try_into().unwrap()), ..Rules::default() };
    assert!(is_later(Settings { rules: Some(capped), ..settings() }, Claim::default()));
    assert!(is_later(Settings { hold: Hold::Head, ..super::settings(1, 5) }, Claim::default()));
}

#[tokio::test]
async fn who_comes_to_a_full_queue_is_turned_away_unless_somebody_gives_way() {
    let limiter = limiter(1, 1);
    let _taken = limiter.acquire().await.unwrap();
    let _waits = waiting(&limiter);
    let limits = Limits::from(limiter);
    assert!(matches!(limits.at_once(&level(Level::High)), AtOnce::Later(_)));
    let AtOnce::Rejected(rejection) = limits.at_once(&Claim::default()) else { panic!("the queue is full") };
    assert_eq!((rejection.reason, rejection.waited.position), (Reason::QueueFull, 2));
}
