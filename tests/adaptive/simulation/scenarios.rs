//! The scenarios.

use super::{Bursts, Class, Crowding, Draw, Setup, Steps};

/// A setup, and the stretches of it that are measured on their own.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) setup: Setup,
    /// From, to, and the fixed limit that is best in between, from a search over all.
    pub(crate) phases: Vec<(f64, f64, u32)>,
}

pub(crate) const CAPACITY: f64 = 32.0;
pub(crate) const WORK: f64 = 0.020;

/// One class, at so many times the first capacity.
pub(crate) fn plain(load: f64) -> Setup {
    Setup {
        seed: 1,
        ends: 180.0,
        capacity: vec![(0.0, CAPACITY)],
        crowding: Crowding::Linear(0.3),
        pauses: vec![(0.0, 1.0)],
        classes: vec![Class {
            per_second: vec![(0.0, load * CAPACITY / WORK)],
            pause: Draw::None,
            work: Draw::Exponential { mean: WORK },
            patience: 0.25,
        }],
        bursts: None,
        forgets: false,
        queue_timeout: 0.05,
    }
}

fn halving(from: f64, third: f64) -> Steps {
    vec![(0.0, from), (third, from / 2.0), (2.0 * third, from)]
}

fn thirds(third: f64, best: [u32; 3]) -> Vec<(f64, f64, u32)> {
    let bounds = [0.0, third, 2.0 * third, 3.0 * third];
    (0..3).map(|phase| (bounds[phase].max(third / 6.0), bounds[phase + 1], best[phase])).collect()
}

/// A to J. `third` is how many seconds each state lasts, 60 for the table; H lasts ten times as long.
pub(crate) fn a_to_j(third: f64) -> Vec<Scenario> {
    let long = |load| Setup { ends: 3.0 * third, ..plain(load) };
    let step = |load| Setup { capacity: halving(CAPACITY, third), ..long(load) };
    let with = |mut setup: Setup, change: &dyn Fn(&mut Class)| {
        setup.classes.iter_mut().for_each(change);
        setup
    };
    let heavy = |class: &mut Class| {
        (class.work, class.patience) = (Draw::LogNormal { mean: WORK, sigma: 1.5 }, 0.5);
    };
    let mixed = |class: &mut Class| {
        (class.work, class.patience) = (Draw::Mixed { slow_share: 0.1, fast: 0.008, slow: 0.128 }, 0.6);
    };
    let paused = |class: &mut Class| class.pause = Draw::Exponential { mean: 0.03 };
    let patient = |class: &mut Class| (class.pause, class.patience) = (Draw::Exponential { mean: 0.03 }, 0.5);
    let full = CAPACITY / WORK;
    let surging = |class: &mut Class| {
        let (low, high) = (0.3 * full, 3.0 * full);
        class.per_second = vec![(0.0, low), (third, high), (2.0 * third, low), (2.5 * third, high)];
    };
    let small = |class: &mut Class| {
        *class = Class {
            per_second: vec![(0.0, 80.0)],
            pause: Draw::None,
            work: Draw::Exponential { mean: 0.1 },
            patience: 1.0,
        };
    };
    let large = |class: &mut Class| class.per_second = vec![(0.0, 2.0 * 256.0 / WORK)];
    let io = Setup { pauses: vec![(0.0, 1.0), (third, 3.0), (2.0 * third, 1.0)], ..long(2.0) };
    let tiny = Setup { capacity: halving(4.0, third), queue_timeout: 0.25, ..long(2.0) };
    let huge = Setup { capacity: halving(256.0, third), ends: 2.0 * third, ..long(2.0) };
    vec![
        Scenario { name: "A capacity halves and doubles, 2x", setup: step(2.0), phases: thirds(third, [32, 16, 32]) },
        Scenario { name: "B the same, 10x", setup: step(10.0), phases: thirds(third, [32, 16, 32]) },
        Scenario {
            name: "C heavy tail (log-normal, 1.5)",
            setup: with(step(2.0), &heavy),
            phases: thirds(third, [32, 16, 32]),
        },
        Scenario { name: "D one in ten slow", setup: with(step(2.0), &mixed), phases: thirds(third, [32, 16, 32]) },
        Scenario { name: "E 30 ms of pause", setup: with(step(2.0), &paused), phases: thirds(third, [80, 40, 80]) },
        Scenario { name: "F pauses x3, no overload", setup: with(io, &patient), phases: thirds(third, [80, 161, 80]) },
        Scenario {
            name: "G idle, then 3x",
            setup: with(long(1.0), &surging),
            phases: vec![(third, 2.0 * third, 32), (2.5 * third, 3.0 * third, 32)],
        },
        Scenario {
            name: "H 1.3x for long",
            setup: Setup { ends: 10.0 * third, ..plain(1.3) },
            phases: vec![(third / 6.0, 10.0 * third, 32)],
        },
        Scenario { name: "I capacity 4, 100 ms", setup: with(tiny, &small), phases: thirds(third, [4, 2, 4]) },
        Scenario {
            name: "J capacity 256",
            setup: with(huge, &large),
            phases: vec![(third / 6.0, third, 256), (third, 2.0 * third, 128)],
        },
    ]
}

/// Others, which nothing was tuned for.
pub(crate) fn others(third: f64) -> Vec<Scenario> {
    let long = |load| Setup { ends: 3.0 * third, ..plain(load) };
    let one = |setup: Setup, class: Class| Setup { classes: vec![class], ..setup };
    let class = |rate: f64, work: Draw, patience: f64| Class {
        per_second: vec![(0.0, rate)],
        pause: Draw::None,
        work,
        patience,
    };
    let halves =
        |capacity: f64, queue_timeout: f64| Setup { capacity: halving(capacity, third), queue_timeout, ..long(1.0) };
    let fast = Setup { crowding: Crowding::Linear(0.1), ..halves(12.0, 0.02) };
    let slow = Setup { crowding: Crowding::Linear(0.0), ..halves(100.0, 0.4) };
    let pareto = Setup { capacity: vec![(0.0, 32.0), (third, 24.0), (2.0 * third, 32.0)], ..long(2.0) };
    let paused = Class { pause: Draw::LogNormal { mean: 0.1, sigma: 0.8 }, ..class(2400.0, exponential(0.01), 1.0) };
    let eroding = (0..17).map(|step| (f64::from(step) * third / 6.0, 32.0 - f64::from(step))).collect();
    let square = Setup { crowding: Crowding::Square, queue_timeout: 0.2, ..halves(20.0, 0.2) };
    let lognormal = Draw::LogNormal { mean: 0.04, sigma: 0.5 };
    // Two kinds whose shares change places, at the same load.
    let quick = Class {
        per_second: vec![(0.0, 2400.0), (third, 480.0), (2.0 * third, 2400.0)],
        ..class(0.0, exponential(0.01), 1.0)
    };
    let thorough = Class {
        per_second: vec![(0.0, 80.0), (third, 560.0), (2.0 * third, 80.0)],
        ..class(0.0, exponential(0.08), 1.0)
    };
    vec![
        Scenario {
            name: "L capacity 12, 5 ms, little variance, 1.5x",
            setup: one(fast, class(3600.0, Draw::LogNormal { mean: 0.005, sigma: 0.5 }, 0.1)),
            phases: thirds(third, [12, 6, 12]),
        },
        Scenario {
            name: "M capacity 100, 200 ms, no crowding, 3x",
            setup: one(slow, class(1500.0, exponential(0.2), 2.0)),
            phases: thirds(third, [100, 50, 100]),
        },
        Scenario {
            name: "N Pareto 1.6",
            setup: one(pareto, class(3200.0, Draw::Pareto { mean: WORK, alpha: 1.6 }, 0.5)),
            phases: thirds(third, [32, 24, 32]),
        },
        Scenario {
            name: "P 100 ms of log-normal pause, 10 ms of work",
            setup: one(halves(16.0, 0.1), paused),
            phases: thirds(third, [132, 69, 132]),
        },
        Scenario {
            name: "Q bursts",
            setup: Setup { bursts: Some(Bursts { times: 2.5, high: 0.5, low: 1.0 }), ..long(1.2) },
            phases: vec![(third / 6.0, 3.0 * third, 36)],
        },
        Scenario {
            name: "R capacity erodes",
            setup: Setup { capacity: eroding, ..long(1.5) },
            phases: thirds(third, [31, 24, 19]),
        },
        Scenario {
            name: "S square crowding, capacity 20, 40 ms, 2x",
            setup: one(square, class(1000.0, lognormal, 1.0)),
            phases: thirds(third, [19, 10, 19]),
        },
        Scenario {
            name: "T two kinds whose shares change, 2x",
            setup: Setup { classes: vec![quick, thorough], queue_timeout: 0.1, ..long(2.0) },
            phases: thirds(third, [36, 31, 36]),
        },
    ]
}

fn exponential(mean: f64) -> Draw {
    Draw::Exponential { mean }
}

/// One state from beginning to end but for a halving in the middle, at any scale: all times go with `work`.
pub(crate) fn scaled(capacity: f64, work: Draw, load: f64, crowding: Crowding) -> Scenario {
    let mean = work.mean();
    // So long that there is something to find out: by round trips, and by requests where they are few.
    let third = 20f64.max(150.0 * mean).max(10_000.0 * mean / capacity);
    let class =
        Class { per_second: vec![(0.0, load * capacity / mean)], pause: Draw::None, work, patience: 12.5 * mean };
    let setup = Setup {
        capacity: halving(capacity, third),
        ends: 3.0 * third,
        crowding,
        queue_timeout: 2.5 * mean,
        classes: vec![class],
        ..plain(1.0)
    };
    let best = [capacity, capacity / 2.0, capacity].map(|best| best as u32);
    Scenario { name: "scaled", setup, phases: thirds(third, best) }
}
