//! What is decided comes into force, and nothing else moves the limit.

use std::future::ready;
use std::task::{Context, Waker};

use super::*;
use crate::admission::{Overrides, Permit, Settings};

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

fn settings(min: u32, max: u32, initial: u32) -> AdaptiveSettings {
    AdaptiveSettings {
        min: number(min),
        max: number(max),
        initial: Some(number(initial)),
        shadow: false,
        queue_follows: true,
    }
}

fn adaptive(settings: AdaptiveSettings) -> Adaptive {
    let of_limit = Settings { queue: 0, ..Settings::new("api", number(20)) };
    Adaptive::new(Limiter::new(of_limit), AdaptiveSettings { queue_follows: false, ..settings }, None, 1)
}

/// An upstream with so many places, for so many ticks: more at a time take longer in proportion. All permits are always
/// taken, and some ask in vain. Returns the limits that were in force.
async fn drive(adaptive: &Adaptive, ticks: u32, places: f64) -> Vec<u32> {
    let limiter = adaptive.limiter();
    let mut left = 0.0;
    let mut limits = Vec::new();
    for _ in 0..ticks {
        let permits: Vec<Permit> = std::iter::from_fn(|| limiter.try_acquire()).collect();
        for _ in 0..permits.len() / 4 + 1 {
            let mut late = std::pin::pin!(limiter.acquire());
            assert!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        let in_flight = permits.len() as f64;
        let takes = 0.05 * (in_flight / places).max(1.0);
        left += in_flight / takes * TICK.as_secs_f64();
        while left >= 1.0 {
            left -= 1.0;
            adaptive.samples().answered(0, Duration::from_secs_f64(takes));
        }
        tokio::time::advance(TICK).await;
        adaptive.tick();
        limits.push(limiter.limit());
        drop(permits);
        ready(()).await;
    }
    limits
}

#[tokio::test(start_paused = true)]
async fn the_limit_in_force_becomes_what_is_found() {
    let adaptive = adaptive(settings(1, 1000, 10));
    drive(&adaptive, 3000, 40.0).await;
    let limit = adaptive.limiter().limit();
    // It may be in the middle of a trial.
    assert!((30..=60).contains(&limit), "{limit}");
    let status = adaptive.status();
    assert_eq!((status.last.limit, adaptive.limit().get()), (limit, limit));
    let baseline = status.baseline.expect("it has seen enough").as_secs_f64();
    assert!((0.045..0.056).contains(&baseline), "{baseline}");
    let changes = |wanted: Reason| status.changes.iter().find(|(reason, _)| *reason == wanted).map(|(_, count)| *count);
    assert!(changes(Reason::Raised) > Some(0) || changes(Reason::TryingMore) > Some(0), "{:?}", status.changes);
    assert_eq!(changes(Reason::Frozen), Some(0));
}

#[tokio::test(start_paused = true)]
async fn the_limit_in_force_is_never_beyond_the_bounds() {
    let adaptive = adaptive(settings(15, 25, 20));
    let mut limits = drive(&adaptive, 1000, 200.0).await;
    limits.extend(drive(&adaptive, 1000, 2.0).await);
    assert!(limits.iter().all(|limit| (15..=25).contains(limit)), "{limits:?}");
    assert!(limits.contains(&15) && limits.contains(&25), "{limits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_number_that_was_set_holds_until_it_is_taken_back() {
    let adaptive = adaptive(settings(1, 1000, 10));
    drive(&adaptive, 2000, 40.0).await;
    let found = adaptive.limit().get();
    let limiter = adaptive.limiter().clone();
    limiter.override_settings(Overrides { limit: Some(number(7)), ..Overrides::default() });
    let limits = drive(&adaptive, 500, 40.0).await;
    assert!(limits.iter().all(|limit| *limit == 7), "{limits:?}");
    assert_eq!(adaptive.status().last.reason, Reason::Pinned);
    limiter.override_settings(Overrides::default());
    let after = drive(&adaptive, 10, 40.0).await[0];
    assert!(after.abs_diff(found) <= found / 3, "{after} after {found}");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_limit_stays_whatever_is_seen() {
    let adaptive = adaptive(settings(1, 1000, 10));
    drive(&adaptive, 2000, 40.0).await;
    adaptive.limiter().override_settings(Overrides { freeze: Some(true), ..Overrides::default() });
    let limits = drive(&adaptive, 1000, 5.0).await;
    assert!(limits.iter().all(|limit| *limit == limits[0]), "{limits:?}");
    assert_eq!(adaptive.status().last.reason, Reason::Frozen);
    adaptive.limiter().override_settings(Overrides::default());
    drive(&adaptive, 1500, 5.0).await;
    assert!(adaptive.limit().get() < limits[0] / 2);
}

#[tokio::test(start_paused = true)]
async fn who_freezes_it_in_the_middle_of_a_trial_has_the_number_before_at_once() {
    let adaptive = adaptive(settings(1, 1000, 10));
    drive(&adaptive, 2000, 40.0).await;
    let limiter = adaptive.limiter().clone();
    let mut before = adaptive.limit().get();
    // A trial with less ends where it began, whatever it shows of these times.
    while adaptive.status().last.reason != Reason::TryingLess {
        before = adaptive.limit().get();
        drive(&adaptive, 1, 40.0).await;
    }
    assert!(limiter.limit() < before);
    limiter.override_settings(Overrides { freeze: Some(true), ..Overrides::default() });
    adaptive.heed();
    assert_eq!((limiter.limit(), adaptive.status().last.reason), (before, Reason::Frozen));
    limiter.override_settings(Overrides { limit: Some(number(7)), ..Overrides::default() });
    adaptive.heed();
    assert_eq!((limiter.limit(), adaptive.status().last.reason), (7, Reason::Pinned));
    limiter.override_settings(Overrides::default());
    adaptive.heed();
    assert_eq!((limiter.limit(), adaptive.status().last.reason), (before, Reason::Gathering));
}

#[tokio::test(start_paused = true)]
async fn a_shadow_moves_nothing() {
    let adaptive = adaptive(AdaptiveSettings { shadow: true, initial: None, ..settings(1, 1000, 10) });
    let limiter = adaptive.limiter().clone();
    limiter.set_limit(number(5));
    drive(&adaptive, 100, 10.0).await;
    limiter.set_limit(number(20));
    let limits = drive(&adaptive, 2000, 10.0).await;
    assert!(limits.iter().all(|limit| *limit == 20), "{limits:?}");
    let found = adaptive.status().last.limit;
    assert!((8..=13).contains(&found), "{found}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_teaches_nothing() {
    let adaptive = adaptive(settings(1, 1000, 10));
    adaptive.limiter().set_dry_run(true);
    for _ in 0..1000 {
        (0..5).for_each(|_| adaptive.samples().answered(0, Duration::from_millis(50)));
        tokio::time::advance(TICK).await;
        adaptive.tick();
    }
    assert_eq!((adaptive.limit().get(), adaptive.status().last.reason), (10, Reason::Unused));
}

#[tokio::test(start_paused = true)]
async fn other_settings_keep_what_was_found() {
    let adaptive = adaptive(settings(1, 1000, 10));
    drive(&adaptive, 2000, 40.0).await;
    let found = adaptive.limit();
    adaptive.reconfigure(settings(2, 900, 15));
    assert_eq!(adaptive.limit(), found, "where it begins is for the beginning");
    adaptive.reconfigure(settings(1, 12, 10));
    assert_eq!(adaptive.limit().get(), 12);
    adaptive.tick();
    assert_eq!(adaptive.limiter().limit(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_is_put_in_force_begins_with_what_it_has_found() {
    let shadow = AdaptiveSettings { shadow: true, initial: None, ..settings(1, 1000, 10) };
    let adaptive = adaptive(shadow);
    let found = adaptive.limit();
    adaptive.reconfigure(AdaptiveSettings { shadow: false, ..shadow });
    assert_eq!(adaptive.limit(), found);
    assert!(!adaptive.is_shadow());
}

#[tokio::test(start_paused = true)]
async fn a_trial_with_less_takes_no_place_in_the_queue_away() {
    let of_limit = Settings::new("api", number(100));
    let adaptive = Adaptive::new(Limiter::new(of_limit), settings(1, 1000, 100), None, 1);
    adaptive.tick();
    assert_eq!(adaptive.limiter().queue(), 400);
    adaptive.reconfigure(settings(1, 50, 100));
    adaptive.tick();
    assert_eq!((adaptive.limiter().limit(), adaptive.limiter().queue()), (50, 400));
    for _ in 0..100 {
        tokio::time::advance(Duration::from_millis(100)).await;
        adaptive.tick();
    }
    assert_eq!(adaptive.limiter().queue(), 200);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_asks_it_is_idle() {
    let adaptive = adaptive(settings(1, 1000, 10));
    assert!(adaptive.tick());
    let permit = adaptive.limiter().try_acquire();
    assert!(!adaptive.tick());
    drop(permit);
    assert!(adaptive.tick(), "it came before the last window");
}
