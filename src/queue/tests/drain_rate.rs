//! How fast a full limit makes room.

use super::*;

fn at(start: Instant, millis: u64) -> Instant {
    start + Duration::from_millis(millis)
}

#[test]
fn the_drain_rate_is_completions_per_second() {
    let start = Instant::now();
    let mut rate = DrainRate::default();
    assert_eq!(rate.per_second(), None);
    for tenth in 0..=100 {
        rate.observe(at(start, 100 * tenth), 5 * tenth, true);
    }
    let measured = rate.per_second().unwrap();
    assert!((45.0..55.0).contains(&measured), "{measured}");
}

#[test]
fn time_in_which_nobody_waits_does_not_count() {
    let start = Instant::now();
    let mut rate = DrainRate::default();
    for burst in 0..10 {
        let begin = 5_000 * burst;
        rate.observe(at(start, begin), 11 * burst, true);
        rate.observe(at(start, begin + 10), 11 * burst + 10, false);
        // One more completes in the meantime, of which nobody knows how long the limit took for it.
    }
    assert_eq!(rate.per_second(), Some(1000.0));
    assert!(rate.is_firm());
}

#[test]
fn the_first_estimate_rests_on_twenty_completions_or_a_second() {
    let start = Instant::now();
    let mut rate = DrainRate::default();
    rate.observe(start, 0, true);
    rate.observe(at(start, 1), 19, true);
    assert_eq!(rate.per_second(), None);
    rate.observe(at(start, 20), 20, true);
    assert_eq!(rate.per_second(), Some(1000.0));

    let mut slow = DrainRate::default();
    slow.observe(start, 0, true);
    slow.observe(at(start, 1000), 1, true);
    assert_eq!((slow.per_second(), slow.is_firm()), (Some(1.0), false));
}

#[test]
fn after_ten_seconds_without_waiting_it_is_not_firm_and_the_next_measurement_replaces_it() {
    let start = Instant::now();
    let mut rate = DrainRate::default();
    rate.observe(start, 0, true);
    rate.observe(at(start, 10_000), 100, false);
    assert!(rate.is_firm());
    rate.observe(at(start, 19_000), 100, true);
    rate.observe(at(start, 19_001), 100, false);
    assert!(rate.is_firm());
    rate.observe(at(start, 29_001), 100, true);
    assert_eq!((rate.is_firm(), rate.per_second()), (false, Some(10.0)));
    rate.observe(at(start, 29_021), 120, false);
    assert_eq!((rate.is_firm(), rate.per_second()), (true, Some(1000.0)));
}

#[test]
fn a_long_wait_is_no_gap() {
    let start = Instant::now();
    let mut rate = DrainRate::default();
    for completed in 0..=20 {
        rate.observe(at(start, 30_000 * completed), completed, true);
    }
    assert!(rate.is_firm());
    assert!((0.03..0.04).contains(&rate.per_second().unwrap()));
}

#[test]
fn where_nobody_may_wait_those_who_are_turned_away_are_what_it_is_measured_by() {
    let start = Instant::now();
    let mut rate = DrainRate::default();
    for tenth in 0..30 {
        rate.turned_away(at(start, 100 * tenth), tenth);
    }
    assert_eq!(rate.per_second(), Some(10.0));
    rate.turned_away(at(start, 60_000), 1_000);
    assert_eq!(rate.per_second(), Some(10.0));
    // It was taken from below, so nobody who waits is judged by it.
    rate.observe(at(start, 60_001), 1_000, true);
    assert!(!rate.is_firm());
}
