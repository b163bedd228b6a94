//! How fast a full limit makes room.

use super::*;

#[test]
fn the_drain_rate_is_completions_per_second() {
    let start = Instant::now();
    let mut rate = DrainRate::default();
    assert_eq!(rate.per_second(), None);
    for tenth in 0..=100 {
        rate.observe(start + Duration::from_millis(100 * tenth), 5 * tenth);
    }
    let measured = rate.per_second().unwrap();
    assert!((45.0..55.0).contains(&measured), "{measured}");
}

#[test]
fn the_drain_rate_forgets_time_in_which_nobody_asked() {
    let start = Instant::now();
    let mut rate = DrainRate::default();
    rate.observe(start, 0);
    rate.observe(start + Duration::from_secs(1), 100);
    rate.observe(start + Duration::from_secs(1000), 101);
    rate.observe(start + Duration::from_secs(1001), 201);
    let measured = rate.per_second().unwrap();
    assert!((99.0..101.0).contains(&measured), "{measured}");
}

#[test]
fn the_first_estimate_rests_on_twenty_completions_or_a_second() {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let mut rate = DrainRate::default();
    rate.observe(at(0), 0);
    rate.observe(at(1), 19);
    assert_eq!(rate.per_second(), None);
    rate.observe(at(20), 20);
    assert_eq!(rate.per_second(), Some(1000.0));

    let mut slow = DrainRate::default();
    slow.observe(at(0), 0);
    slow.observe(at(1000), 1);
    assert_eq!(slow.per_second(), Some(1.0));
}
