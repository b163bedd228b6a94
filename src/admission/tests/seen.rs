//! Peaks, the time at the limit, the longest wait, and whether all permits are accounted for.

use super::super::full::Fullness;
use super::super::peak::Peak;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_peak_between_two_looks_is_seen_by_all_who_look_for_a_minute() {
    let limiter = limiter(5, 0);
    let permits: Vec<_> = (0..3).map(|_| limiter.try_acquire().unwrap()).collect();
    drop(permits);
    let one = limiter.try_acquire().unwrap();
    assert_eq!((limiter.in_flight(), limiter.peak(), limiter.peak()), (1, 3, 3));
    assert_eq!(limiter.end_second().peak, 3);
    advance(Duration::from_secs(59)).await;
    assert_eq!(limiter.peak(), 3);
    assert_eq!(limiter.end_second().peak, 1, "the second begins with what there is");
    advance(Duration::from_secs(1)).await;
    assert_eq!(limiter.peak(), 1);
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn the_time_at_the_limit_is_exact_with_and_without_a_queue() {
    let limiter = limiter(2, 4);
    let millis = |limiter: &Limiter| limiter.full_for().as_millis();
    let one = limiter.try_acquire().unwrap();
    advance(Duration::from_millis(5)).await;
    let two = limiter.try_acquire().unwrap();
    advance(Duration::from_millis(10)).await;
    assert_eq!(millis(&limiter), 10, "it goes on while it lasts");
    let mut waits = waiting(&limiter);
    drop(one);
    advance(Duration::from_millis(20)).await;
    assert_eq!(millis(&limiter), 30, "the waiter has the place at once");
    let three = assert_ready_ok!(waits.poll());
    drop((two, three));
    advance(Duration::from_millis(40)).await;
    assert_eq!(millis(&limiter), 30);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lowered_is_full_and_one_that_is_raised_is_not() {
    let limiter = limiter(2, 4);
    let set = |limit| limiter.set_limit(NonZeroU32::new(limit).unwrap());
    let permit = limiter.try_acquire().unwrap();
    advance(Duration::from_millis(1)).await;
    set(1);
    advance(Duration::from_millis(10)).await;
    set(2);
    advance(Duration::from_millis(100)).await;
    assert_eq!(limiter.full_for().as_millis(), 10);
    limiter.set_dry_run(true);
    let second = limiter.try_acquire().unwrap();
    advance(Duration::from_millis(1000)).await;
    drop((permit, second));
    advance(Duration::from_millis(10_000)).await;
    assert_eq!(limiter.full_for().as_millis(), 1010, "also in a dry run");
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_of_a_second_is_told_once_and_exactly() {
    let limiter = limiter(1, 4);
    let permit = limiter.try_acquire().unwrap();
    let mut first = waiting(&limiter);
    advance(Duration::from_micros(1_234)).await;
    drop(permit);
    drop(assert_ready_ok!(first.poll()));
    assert_eq!(limiter.end_second().longest_wait, Duration::from_micros(1_234));
    assert_eq!(limiter.end_second().longest_wait, Duration::ZERO);
}

#[test]
fn a_seat_without_a_permit_and_a_permit_without_a_seat_are_told_after_a_second() {
    let limiter = limiter(5, 0);
    let permit = limiter.try_acquire().unwrap();
    let told = || {
        (0..2).for_each(|_| _ = limiter.end_second());
        limiter.unaccounted()
    };
    assert_eq!(told(), 0);
    assert!(limiter.0.take(2), "nobody makes permits of these");
    assert_eq!(limiter.unaccounted(), 0, "they may be on their way");
    assert_eq!(told(), 2);
    limiter.0.release(3, None);
    assert_eq!(told(), -1);
    assert!(limiter.0.take(1));
    assert_eq!(told(), 0);
    drop(permit);
    assert_eq!(told(), 0);
}

#[tokio::test]
async fn what_a_waiter_has_been_granted_is_accounted_for_whether_it_comes_for_it_or_not() {
    let limiter = limiter(1, 4);
    let permit = limiter.acquire().await.unwrap();
    let (mut collects, leaves) = (waiting(&limiter), waiting(&limiter));
    let told = || {
        (0..2).for_each(|_| _ = limiter.end_second());
        (limiter.in_flight(), limiter.unaccounted())
    };
    drop(permit);
    assert_eq!(told(), (1, 0), "granted, and not collected");
    let permit = assert_ready_ok!(collects.poll());
    assert_eq!(told(), (1, 0));
    drop(permit);
    assert_eq!(told(), (1, 0), "granted to the one who leaves");
    drop(leaves);
    assert_eq!(told(), (0, 0));
}

#[test]
fn the_time_at_the_limit_is_added_up_and_goes_on_while_it_lasts() {
    let fullness = Fullness::default();
    let at = |nanos: u64| move || nanos;
    fullness.agree(|| false, at(5));
    assert_eq!(fullness.read(at(10)), 0);
    fullness.agree(|| true, at(10));
    fullness.agree(|| true, || unreachable!("nothing has changed, so no clock is read"));
    assert_eq!(fullness.read(at(17)), 7);
    fullness.agree(|| false, at(20));
    assert_eq!(fullness.read(at(100)), 10);
    fullness.agree(|| true, at(100));
    assert_eq!(fullness.read(at(101)), 11);
    assert_eq!(fullness.read(at(100)), 11, "it never goes back");
}

#[test]
fn a_peak_is_told_for_a_minute_to_everyone_who_asks() {
    let peak = Peak::default();
    let start = Instant::now().into_std();
    let after = |seconds| start + Duration::from_secs(seconds);
    peak.rise(7);
    peak.rise(3);
    assert_eq!(peak.most(start), 7);
    assert_eq!(peak.end_second(after(1), || 2), 7);
    assert_eq!((peak.most(after(1)), peak.most(after(1)), peak.most(after(60))), (7, 7, 7));
    assert_eq!(peak.most(after(61)), 2, "what is still there is no less a peak for having come before");
    for second in 2..=200 {
        assert_eq!(peak.end_second(after(second), || 2), 2);
    }
    assert_eq!(peak.seconds.lock().unwrap().len(), 60);
    assert_eq!(peak.end_second(after(201), || 0), 2);
    assert_eq!(peak.end_second(after(202), || 0), 0);
}
