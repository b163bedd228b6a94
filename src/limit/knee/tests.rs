//! What holds whatever is seen. How good it is at it is for `tests/adaptive` to say.

use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::limit::window::Moments;

const TICK: Duration = Duration::from_millis(10);

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

fn moments(count: u64, seconds: f64) -> Moments {
    let ln = seconds.ln();
    Moments { count, sum: count as f64 * ln, squares: count as f64 * (ln * ln + 0.2) }
}

/// A tick in which the limit was taken up, and so many were answered after so many seconds.
fn busy(limit: u32, count: u64, seconds: f64) -> Window {
    Window {
        duration: TICK,
        answered: moments(count, seconds),
        arrivals: 2 * count,
        constrained: count,
        in_flight: limit,
        in_flight_max: limit,
        ..Window::default()
    }
}

/// An upstream with so many places, as far as means go: beyond them all take longer in proportion.
fn run(knee: &mut Knee, ticks: u32, places: f64, alone: f64) -> Vec<Decision> {
    run_failing(knee, ticks, places, alone, 0.0)
}

/// The same, and so large a share of the answers are failures.
fn run_failing(knee: &mut Knee, ticks: u32, places: f64, alone: f64, failing: f64) -> Vec<Decision> {
    let (mut left, mut failed) = (0.0, 0.0);
    (0..ticks)
        .map(|_| {
            let limit = knee.limit();
            let takes = alone * (f64::from(limit) / places).max(1.0);
            left += f64::from(limit) / takes * TICK.as_secs_f64();
            let count = left as u64;
            left -= count as f64;
            failed += failing * count as f64;
            let lost = failed as u64;
            failed -= lost as f64;
            knee.update(&Window { failed: lost, ..busy(limit, count - lost, takes) })
        })
        .collect()
}

#[test]
fn it_finds_the_places_that_there_are() {
    let mut knee = Knee::new(Settings::new(number(1), number(1000)));
    run(&mut knee, 3000, 40.0, 0.05);
    assert!((34..=50).contains(&knee.limit()), "{}", knee.limit());
    let baseline = knee.baseline().expect("it has seen much");
    assert!((0.045..0.056).contains(&baseline), "{baseline}");
}

#[test]
fn it_stays_within_its_bounds_whatever_it_sees() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (min, max) = (random.u32(1..50), random.u32(50..200));
        let start = Start::At(number(random.u32(1..400)));
        let mut knee = Knee::new(Settings { start, seed, ..Settings::new(number(min), number(max)) });
        for _ in 0..3000 {
            let seconds = 10_f64.powf(random.f64() * 9.0 - 6.0);
            let window = Window {
                duration: Duration::from_micros(random.u64(0..200_000)),
                answered: moments(random.u64(0..60), seconds),
                cut: moments(random.u64(0..5), seconds),
                failed: random.u64(0..5) * random.u64(0..20),
                arrivals: random.u64(0..100),
                constrained: random.u64(0..100),
                in_flight: random.u32(0..400),
                in_flight_max: random.u32(0..400),
            };
            let decision = knee.update(&window);
            assert!((min..=max).contains(&decision.limit), "seed {seed}: {decision:?}");
            assert_eq!(decision.limit, knee.limit());
        }
        assert!(knee.memory().limit.is_finite(), "seed {seed}");
    }
}

#[test]
fn nothing_moves_while_it_is_frozen_and_it_goes_on_afterwards() {
    let mut knee = Knee::new(Settings::new(number(1), number(1000)));
    run(&mut knee, 200, 40.0, 0.05);
    knee.freeze(true);
    let limit = knee.limit();
    let frozen = Decision { limit, reason: Reason::Frozen };
    assert!(run(&mut knee, 2000, 5.0, 0.05).iter().all(|decision| *decision == frozen));
    knee.freeze(false);
    run(&mut knee, 3000, 5.0, 0.05);
    assert!(knee.limit() < limit / 2, "{} after {limit}", knee.limit());
}

#[test]
fn other_bounds_hold_at_once_and_what_is_known_stays() {
    let mut knee = Knee::new(Settings::new(number(1), number(1000)));
    run(&mut knee, 3000, 40.0, 0.05);
    let baseline = knee.baseline();
    knee.set_bounds(number(1), number(20));
    assert_eq!(knee.limit(), 20);
    knee.set_bounds(number(70), number(90));
    assert_eq!((knee.limit(), knee.baseline()), (70, baseline));
    let mut young = Knee::new(Settings::new(number(1), number(1000)));
    young.set_bounds(number(1), number(5));
    assert_eq!(young.limit(), 5);
}

#[test]
fn a_limit_that_holds_nobody_back_is_not_raised() {
    let mut knee = Knee::new(Settings::new(number(1), number(1000)));
    let few = Window { constrained: 0, in_flight: 3, in_flight_max: 5, ..busy(0, 2, 0.02) };
    for _ in 0..3000 {
        assert!(knee.update(&few).limit <= 10);
    }
}

#[test]
fn answers_that_fail_at_once_are_not_taken_for_fast_ones() {
    let mut knee = Knee::new(Settings::new(number(1), number(1000)));
    run(&mut knee, 3000, 40.0, 0.05);
    let limit = knee.limit();
    let mut fail = || knee.update(&Window { failed: 80, ..busy(knee.limit(), 8, 0.05) });
    let cut = (0..100).map(|_| fail()).find(|decision| decision.reason == Reason::Failing).expect("it notices");
    assert!(cut.limit < limit, "{cut:?} after {limit}");
}

#[test]
fn failures_that_have_nothing_to_do_with_load_cost_no_places() {
    let mut knee = Knee::new(Settings::new(number(1), number(1000)));
    run(&mut knee, 3000, 40.0, 0.05);
    let limit = knee.limit();
    let limits: Vec<u32> =
        run_failing(&mut knee, 6000, 40.0, 0.05, 0.5).iter().map(|decision| decision.limit).collect();
    let mean = limits[1000..].iter().sum::<u32>() / 5000;
    assert!(mean > limit * 9 / 10, "{mean} after {limit}");
}

#[test]
fn what_was_known_is_enough_to_go_on_from() {
    let mut knee = Knee::new(Settings::new(number(1), number(1000)));
    run(&mut knee, 3000, 40.0, 0.05);
    let start = Start::From(knee.memory());
    let mut next = Knee::new(Settings { start, ..Settings::new(number(1), number(1000)) });
    assert_eq!((next.limit(), next.baseline()), (knee.limit(), knee.baseline()));
    let limits: Vec<u32> = run(&mut next, 500, 40.0, 0.05).iter().map(|decision| decision.limit).collect();
    assert!(limits.iter().all(|limit| (20..=80).contains(limit)), "{limits:?}");
}
