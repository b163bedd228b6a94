//! What an adaptive limit is to reach, in a model of clients, the shipped queue and a server that has a knee. The whole
//! table is `cargo run --release --example adaptive_table`.

#[expect(dead_code, reason = "the table uses the rest")]
mod simulation;

use std::num::NonZeroU32;

use sluicegate::limit::{Settings, Start};

use simulation::controllers::{Controller, Fixed, Shipped};
use simulation::scenarios::{a_to_j, plain};
use simulation::score::{Score, known_best, score};
use simulation::{Crowding, Draw, Outcome, Scenario, Setup, run};

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

fn knee(seed: u64) -> Shipped {
    Shipped::new(Settings { seed, ..Settings::new(number(1), number(1000)) })
}

fn scenario(letter: char, third: f64) -> Scenario {
    a_to_j(third).into_iter().find(|scenario| scenario.name.starts_with(letter)).expect("there is one")
}

/// The share of the best fixed limit, in the mean of some seeds.
fn share(scenario: &Scenario, seeds: std::ops::RangeInclusive<u64>) -> f64 {
    let best = known_best(scenario);
    let scores: Vec<Score> = seeds.clone().map(|seed| score(scenario, &best, seed, &mut knee(seed))).collect();
    for (seed, score) in seeds.zip(&scores) {
        println!("{}: seed {seed}, phases {:.0?}, limits {:.0?}", scenario.name, score.phases, score.limits);
    }
    scores.iter().map(Score::mean).sum::<f64>() / scores.len() as f64
}

#[test]
fn nearly_as_much_is_done_as_at_the_best_fixed_limit() {
    let shares: Vec<f64> = "ACDEFG".chars().map(|letter| share(&scenario(letter, 30.0), 1..=1)).collect();
    println!("{shares:.1?}");
    assert!(shares.iter().sum::<f64>() / shares.len() as f64 >= 92.0, "{shares:.1?}");
    assert!(shares.iter().all(|share| *share >= 82.0), "{shares:.1?}");
}

#[test]
fn ten_times_the_load_is_as_good_as_twice() {
    assert!(share(&scenario('B', 12.0), 1..=1) >= 88.0);
}

#[test]
fn a_large_upstream_is_found_in_seconds() {
    assert!(share(&scenario('J', 6.0), 1..=1) >= 85.0);
}

#[test]
fn two_places_are_told_from_four_at_eighty_requests_a_second() {
    assert!(share(&scenario('I', 60.0), 1..=8) >= 65.0);
}

fn step(seeds: u64) -> Vec<Outcome> {
    let setup = Setup { capacity: vec![(0.0, 32.0), (20.0, 16.0), (45.0, 32.0)], ends: 65.0, ..plain(3.0) };
    (1..=seeds).map(|seed| run(&Setup { seed: 100 + seed, ..setup.clone() }, &mut knee(seed))).collect()
}

fn goodput(outcomes: &[Outcome], from: f64, to: f64) -> f64 {
    let goodput = outcomes.iter().map(|outcome| outcome.goodput(from, to)).sum::<f64>() / outcomes.len() as f64;
    println!("seeds from 101, {from} to {to} s: {goodput:.1} %");
    goodput
}

#[test]
fn half_the_capacity_is_noticed_within_a_second_and_the_double_within_five() {
    let outcomes = step(4);
    assert!(goodput(&outcomes, 20.0, 21.0) >= 78.0);
    assert!(goodput(&outcomes, 25.0, 30.0) >= 90.0);
    assert!(goodput(&outcomes, 30.0, 45.0) >= 93.0);
    assert!(goodput(&outcomes, 47.0, 50.0) >= 82.0);
    assert!(goodput(&outcomes, 50.0, 65.0) >= 93.0);
}

#[test]
fn mild_overload_for_long_lets_nothing_drift() {
    let setup = Setup { ends: 240.0, ..plain(1.3) };
    println!("seed {}", setup.seed);
    let outcome = run(&setup, &mut knee(1));
    let (first, last) = (outcome.goodput(10.0, 60.0), outcome.goodput(190.0, 240.0));
    let limit = outcome.limit(190.0, 240.0);
    println!("first {first:.1}, last {last:.1}, limit {limit:.1}");
    assert!(last >= first - 3.0);
    assert!((32.0 / 1.25..32.0 * 1.25).contains(&limit));
}

#[test]
fn a_service_that_gets_slower_without_load_gets_more_places() {
    let share = share(&scenario('F', 40.0), 2..=3);
    assert!(share >= 85.0, "{share:.1}");
}

/// Low variance and a high rate once let the memory of what was in flight run away.
#[test]
fn a_fast_and_even_service_keeps_its_limit() {
    let scenario =
        simulation::scenarios::scaled(30.0, Draw::LogNormal { mean: 0.001, sigma: 0.5 }, 2.0, Crowding::Linear(0.3));
    let setup = Setup { ends: 16.0, capacity: vec![(0.0, 30.0)], ..scenario.setup };
    println!("seed {}", setup.seed);
    let outcome = run(&setup, &mut knee(1));
    let limit = outcome.limit(4.0, 16.0);
    println!("limit {limit:.1}");
    assert!((24.0..40.0).contains(&limit));
}

#[test]
fn the_bounds_hold_whatever_is_seen() {
    let setup = Setup { capacity: vec![(0.0, 32.0), (5.0, 4.0), (10.0, 60.0)], ends: 15.0, ..plain(3.0) };
    println!("seed {}", setup.seed);
    let settings = Settings { start: Start::At(number(500)), ..Settings::new(number(12), number(40)) };
    let mut shipped = Shipped::new(settings);
    assert_eq!(shipped.limit(), 40);
    shipped.trace = Some(Vec::new());
    run(&setup, &mut shipped);
    let limits: Vec<u32> = shipped.trace.expect("it was asked for").iter().map(|entry| entry.1).collect();
    assert!(limits.iter().all(|limit| (12..=40).contains(limit)));
    assert!(limits.contains(&12) && limits.contains(&40));
}

/// Twenty places of 40 ms; more at a time do less, as the square. Clients leave after a second, and what they have left is
/// worked on with its permit given back.
fn sharp(per_second: f64, seconds: f64) -> Setup {
    let mut setup = Setup { capacity: vec![(0.0, 20.0)], ends: seconds, ..plain(1.0) };
    (setup.crowding, setup.queue_timeout, setup.forgets) = (Crowding::Square, 0.1, true);
    setup.classes[0].work = Draw::LogNormal { mean: 0.04, sigma: 0.5 };
    setup.classes[0].patience = 1.0;
    setup.classes[0].per_second = vec![(0.0, per_second)];
    setup
}

fn knees(setup: &Setup) -> Vec<Outcome> {
    (1..=4).map(|seed| run(&Setup { seed, ..setup.clone() }, &mut knee(seed))).collect()
}

#[test]
fn a_sharp_knee_is_kept_under_overload_and_found_again_when_capacity_falls() {
    let setup = Setup { capacity: vec![(0.0, 20.0), (20.0, 8.0)], ..sharp(1000.0, 35.0) };
    let outcomes = knees(&setup);
    assert!(goodput(&outcomes, 5.0, 20.0) >= 95.0);
    assert!(goodput(&outcomes, 20.0, 35.0) >= 88.0);
}

/// One place too many costs twice what one too few does, and times say little about either.
#[test]
fn nothing_leads_past_a_sharp_knee_where_as_many_come_as_it_can_do() {
    let outcomes = knees(&sharp(500.0, 40.0));
    assert!(goodput(&outcomes, 5.0, 40.0) >= 95.0);
    let limit = outcomes.iter().map(|outcome| outcome.limit(5.0, 40.0)).sum::<f64>() / 4.0;
    println!("limit {limit:.1}");
    assert!((18.5..20.5).contains(&limit));
}

/// Its answers that say so come at once, so that requests never fill a limit that is too high.
#[test]
fn a_server_that_turns_away_what_is_too_much_is_asked_for_less() {
    let capacity = vec![(0.0, 32.0), (20.0, 16.0)];
    let setup = Setup { capacity, ends: 40.0, turns_away: true, ..plain(1.3) };
    for initial in [10, 300] {
        println!("seed {}, from {initial}", setup.seed);
        let settings = Settings { start: Start::At(number(initial)), ..Settings::new(number(1), number(1000)) };
        let outcome = run(&setup, &mut Shipped::new(settings));
        for (from, to) in [(8.0, 20.0), (25.0, 40.0)] {
            let (away, good) = (outcome.turned_away(from, to), outcome.goodput(from, to));
            println!("{from} to {to} s: {away:.1} % turned away, {good:.1} % done");
            assert!(away < 20.0 && good > 75.0);
        }
    }
    let unlimited = run(&setup, &mut Fixed(1000));
    assert!(unlimited.turned_away(25.0, 40.0) > 50.0);
}

/// The model itself: at the knee all is done, and a limit four times too high is as bad as it is said to be.
#[test]
fn the_model_punishes_a_wrong_limit() {
    let setup = Setup { ends: 10.0, ..plain(2.0) };
    let share = |limit| run(&setup, &mut Fixed(limit)).goodput(2.0, 10.0);
    println!("seed {}", setup.seed);
    assert!(share(32) >= 97.0);
    assert!((45.0..55.0).contains(&share(16)));
    assert!(share(128) < 35.0);
}
