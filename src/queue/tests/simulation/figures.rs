//! What the queue is to reach, with a limit that is right.

use super::*;

/// Of the work itself: -20 ms x ln 0.01.
const UNCONTENDED_P99: f64 = 0.0921;

/// The configuration's defaults at this limit, for clients that wait for a second.
fn setup(order: Order, classes: Vec<Class>) -> Setup {
    Setup {
        seed: 1,
        order,
        queue: 4 * CAPACITY,
        queue_timeout: 10.0,
        patience: 1.0,
        retries: 0,
        measured: (1.0, 6.0),
        classes,
    }
}

fn steady(like: Like, load: f64) -> Class {
    Class { like, load, peak: load, surge: None, work: WORK }
}

const OVERLOADS: [f64; 5] = [1.2, 2.0, 3.0, 5.0, 10.0];

#[test]
fn overload_costs_no_goodput_and_oldest_first_no_more_time_than_the_queue() {
    for load in OVERLOADS {
        let outcome = Simulation::run(setup(Order::Fifo, vec![steady(PLAIN, load)]));
        let p99 = outcome.classes[0].p99();
        println!("fifo {load}x: goodput {:.4}, p99 {p99:.4}", outcome.goodput);
        assert!(outcome.goodput >= 0.99);
        // A full queue takes 80 ms.
        assert!(p99 <= UNCONTENDED_P99 + 0.1);
    }
}

/// Whether the queue timeout is two and a half times the work or as long as can be.
#[test]
fn overload_costs_no_goodput_and_newest_first_no_time() {
    for queue_timeout in [0.05, 10.0] {
        for (load, seed) in OVERLOADS.into_iter().flat_map(|load| [(load, 1), (load, 2), (load, 3)]) {
            let setup = setup(Order::AdaptiveLifo, vec![steady(PLAIN, load)]);
            let outcome = Simulation::run(Setup { seed, queue_timeout, measured: (1.0, 11.0), ..setup });
            let p99 = outcome.classes[0].p99();
            println!("adaptive_lifo {load}x, {queue_timeout} s: goodput {:.4}, p99 {p99:.4}", outcome.goodput);
            assert!(outcome.goodput >= 0.99);
            assert!(p99 <= 1.25 * UNCONTENDED_P99);
        }
    }
}

/// Thirty-two seats of a service that takes ten seconds: three come free in a second.
#[test]
fn of_a_slow_service_nobody_is_let_go_of_for_having_waited_for_seconds() {
    let slow = setup(Order::AdaptiveLifo, vec![Class { work: 10.0, ..steady(PLAIN, 1.2) }]);
    let slow = Setup { queue_timeout: 60.0, patience: 300.0, measured: (100.0, 1100.0), ..slow };
    let Outcome { use_of_capacity, overtaken, .. } = Simulation::run(slow);
    println!("use of capacity {use_of_capacity:.4}, {overtaken} let go of");
    // As many more come as can be served.
    assert!(use_of_capacity >= 0.97 && overtaken <= 3 * 200);
}

/// Half of the capacity is wanted, and three times the capacity for 150 ms of each second: 0.88 in all.
#[test]
fn a_burst_that_the_queue_has_room_for_is_absorbed_for_the_most_part() {
    let burst = |second: u32| Class {
        surge: Some((f64::from(second), f64::from(second) + 0.15)),
        ..Class { load: 0.0, peak: 2.5, ..steady(PLAIN, 0.0) }
    };
    let loss = |order| {
        let classes = std::iter::once(steady(PLAIN, 0.5)).chain((1..11).map(burst)).collect();
        let outcome = Simulation::run(Setup { queue: 1000, measured: (1.0, 11.0), ..setup(order, classes) });
        let (good, offered) =
            outcome.classes.iter().fold((0, 0), |(good, offered), fate| (good + fate.good, offered + fate.offered));
        println!("{order:?}: {good} of {offered}, {} let go of", outcome.overtaken);
        1.0 - f64::from(good) / f64::from(offered)
    };
    assert_eq!(loss(Order::Fifo), 0.0);
    // Until it is over, three come for each that goes.
    assert!(loss(Order::AdaptiveLifo) <= 0.25);
}

#[test]
fn a_wait_that_would_be_too_long_is_refused_on_arrival() {
    let long = Setup { queue: 1000, queue_timeout: 0.05, ..setup(Order::AdaptiveLifo, vec![steady(PLAIN, 10.0)]) };
    let outcome = Simulation::run(long);
    // 50 ms at 1600 a second, and what the measured rate is off by.
    println!("longest queue {}", outcome.longest_queue);
    assert!((70..=100).contains(&outcome.longest_queue));
    // One in ten comes in for each that goes, and as many time out behind them; all others are told at once.
    let told_late = f64::from(outcome.expired) / f64::from(outcome.classes[0].offered);
    assert!(told_late <= 0.15, "{told_late}");
}

#[test]
fn a_timeout_is_noticed_within_twenty_milliseconds() {
    let long = Setup { queue: 1000, queue_timeout: 0.05, ..setup(Order::Fifo, vec![steady(PLAIN, 3.0)]) };
    let outcome = Simulation::run(long);
    println!("{} expired, the latest {:.4} s late", outcome.expired, outcome.latest_notice);
    assert!(outcome.expired > 1000 && outcome.latest_notice <= 0.02);
}

#[test]
fn after_a_surge_with_retries_all_is_well_within_three_seconds() {
    for order in [Order::Fifo, Order::AdaptiveLifo] {
        for seed in 1..=3 {
            let surging = Class { peak: 3.0, surge: Some((3.0, 13.0)), ..steady(PLAIN, 0.85) };
            let setup = setup(order, vec![surging]);
            let outcome = Simulation::run(Setup { seed, patience: 0.25, retries: 3, measured: (1.0, 20.0), ..setup });
            let well = |bin: usize| {
                let (offered, done) = outcome.bins[bin];
                done >= 0.97 * offered.min(f64::from(CAPACITY) / 2.0)
            };
            let last_bad = (26..40).rev().find(|bin| !well(*bin));
            let recovered = last_bad.map_or(0.0, |bin| (bin as f64 + 1.0) / 2.0 - 13.0);
            println!("{order:?}: recovered after {recovered} s, goodput {:.4}", outcome.goodput);
            assert!((2..6).all(well));
            assert!(recovered <= 3.0);
        }
    }
}

/// How equally a few are served: 1 is equally.
fn jain(shares: &[f64]) -> f64 {
    shares.iter().sum::<f64>().powi(2) / (shares.len() as f64 * shares.iter().map(|share| share * share).sum::<f64>())
}

const QUIET: [&str; 9] = ["b", "c", "d", "e", "f", "g", "h", "i", "j"];

#[test]
fn one_at_ten_times_its_share_takes_nothing_from_nine_who_are_quiet() {
    // Newest first, a key that is quiet but stands for a moment gives up its oldest.
    for (order, queue_timeout, most) in
        [(Order::Fifo, 10.0, 0.5), (Order::Fifo, 0.1, 0.5), (Order::AdaptiveLifo, 0.1, 3.0)]
    {
        let mut classes = vec![steady(of("a"), 1.0)];
        classes.extend(QUIET.map(|key| steady(of(key), 0.09)));
        let ten = Setup { queue_timeout, measured: (1.0, 16.0), ..setup(order, classes) };
        let outcome = Simulation::run(ten);
        let quiet = &outcome.classes[1..];
        let left = f64::from(CAPACITY) * 15.0 - quiet.iter().map(|fate| fate.offered_work).sum::<f64>();
        let satisfied =
            |(key, fate): (usize, &Fate)| (fate.good_work / if key == 0 { left } else { fate.offered_work }).min(1.0);
        let shares: Vec<f64> = outcome.classes.iter().enumerate().map(satisfied).collect();
        let loss = quiet.iter().map(Fate::loss).fold(0.0, f64::max);
        let latencies = quiet.iter().flat_map(|fate| fate.latencies.clone()).collect();
        let p99 = Fate { latencies, ..Fate::default() }.p99();
        println!("{order:?}: Jain {:.5}, quiet loss {loss:.3} %, quiet p99 {p99:.4}", jain(&shares));
        assert!(jain(&shares) >= 0.999 && loss <= most);
        assert!(p99 <= 1.25 * UNCONTENDED_P99);
    }
}

#[test]
fn requests_of_eight_seats_get_their_key_no_more_than_its_share() {
    let mut classes = vec![steady(Like { seats: 8, ..of("wide") }, 1.0)];
    classes.extend(["b", "c", "d"].map(|key| steady(of(key), 1.0)));
    let outcome = Simulation::run(Setup { measured: (1.0, 31.0), ..setup(Order::Fifo, classes) });
    let work: Vec<f64> = outcome.classes.iter().map(|fate| fate.good_work).collect();
    let share = 100.0 * work[0] / work.iter().sum::<f64>();
    println!("wide share {share:.2} %, goodput {:.4}", outcome.goodput);
    assert!((24.0..=26.0).contains(&share));
    // What is saved up for a wide one idles for a while.
    assert!(outcome.goodput >= 0.85);
}

#[test]
fn a_flood_of_low_priority_takes_nothing_from_high() {
    for order in [Order::Fifo, Order::AdaptiveLifo] {
        let high = steady(Like { level: Level::High, ..PLAIN }, 0.5);
        let low = steady(Like { level: Level::Low, ..PLAIN }, 5.0);
        let flood = Setup { measured: (1.0, 11.0), ..setup(order, vec![high, low]) };
        let outcome = Simulation::run(flood);
        let (loss, p99) = (outcome.classes[0].loss(), outcome.classes[0].p99());
        println!("{order:?}: high loss {loss:.4} %, p99 {p99:.4}, goodput {:.4}", outcome.goodput);
        assert!(loss < 0.1 && p99 <= 1.25 * UNCONTENDED_P99);
        assert!(outcome.goodput >= 0.99);
    }
}
