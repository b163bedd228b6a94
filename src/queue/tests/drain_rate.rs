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
