//! How much of what the best fixed limit does adaptive limits do, in a model.
//!
//! `cargo run --release --example adaptive_table [seeds] [letters]` prints, for each scenario of
//! `tests/adaptive/simulation/scenarios.rs`, the shipped `knee` beside Gradient2, Vegas and AIMD at their published
//! defaults: goodput in percent of the best fixed limit of each phase, and p99 as a multiple of that limit's. Then, with
//! `-` for letters only, how they follow a capacity that halves and doubles, in percent of what could be done, and whether
//! they drift in ten minutes of mild overload. Takes some minutes, most of them for finding the best fixed limits.

#[path = "../tests/adaptive/simulation/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod simulation;

use std::num::NonZeroU32;

use simulation::controllers::{Controller, Shipped};
use simulation::published::{Aimd, Gradient2, Vegas};
use simulation::scenarios::{CAPACITY, a_to_j, others, plain};
use simulation::score::{best_fixed, score};
use simulation::{Outcome, Setup, run};
use sluicegate::limit::Settings;

type Make = fn(u64) -> Box<dyn Controller>;

const CONTROLLERS: [(&str, Make); 4] = [
    ("knee", |seed| {
        let (min, max) = (NonZeroU32::MIN, NonZeroU32::new(1000).expect("not zero"));
        Box::new(Shipped::new(Settings { seed, ..Settings::new(min, max) }))
    }),
    ("Gradient2", |_| Box::new(Gradient2::default())),
    ("Vegas", |seed| Box::new(Vegas::new(seed))),
    ("AIMD", |_| Box::new(Aimd::default())),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seeds: u64 = arguments.next().and_then(|seeds| seeds.parse().ok()).unwrap_or(2);
    let letters = arguments.next().unwrap_or_default();
    println!("{:48} {:>16} {}", "scenario", "best fixed", CONTROLLERS.map(|(name, _)| format!("{name:>16}")).concat());
    let mut sums = [(0.0, f64::INFINITY); 4];
    let mut count = 0.0;
    for scenario in a_to_j(60.0).into_iter().chain(others(60.0)) {
        if !letters.is_empty() && !letters.contains(&scenario.name[..1]) {
            continue;
        }
        let best = best_fixed(&scenario);
        let limits: Vec<String> = best.iter().map(|(limit, ..)| limit.to_string()).collect();
        let mut row = format!("{:48} {:>16} ", scenario.name, limits.join("/"));
        for ((_, make), sum) in CONTROLLERS.iter().zip(&mut sums) {
            let scores: Vec<_> = (1..=seeds).map(|seed| score(&scenario, &best, seed, make(seed).as_mut())).collect();
            let mean = scores.iter().map(|score| score.mean()).sum::<f64>() / seeds as f64;
            let p99 = scores.iter().map(|score| score.p99).sum::<f64>() / seeds as f64;
            row += &format!("{:>16}", format!("{mean:.0} ({p99:.1})"));
            (sum.0, sum.1) = (sum.0 + mean, sum.1.min(mean));
        }
        count += 1.0;
        println!("{row}");
    }
    if count > 0.0 {
        let summary = sums.map(|(sum, worst)| format!("{:>16}", format!("{:.1}, {worst:.0}", sum / count)));
        println!("{:48} {:>16} {}", "mean, worst", "", summary.concat());
    }
    if letters.is_empty() || letters == "-" {
        steps();
        drift();
    }
}

const HALVES: f64 = 60.0;
const DOUBLES: f64 = 120.0;
const ENDS: f64 = 180.0;
const SEEDS: u64 = 12;

fn outcomes(setup: &Setup, make: Make) -> Vec<Outcome> {
    (1..=SEEDS).map(|seed| run(&Setup { seed, ..setup.clone() }, make(seed).as_mut())).collect()
}

fn mean(outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> f64 {
    outcomes.iter().map(of).sum::<f64>() / outcomes.len() as f64
}

/// Three times the load, from 32 places to 16 and back.
fn steps() {
    let capacity = vec![(0.0, CAPACITY), (HALVES, 0.5 * CAPACITY), (DOUBLES, CAPACITY)];
    let setup = Setup { capacity, ends: ENDS, ..plain(3.0) };
    let bounds = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, ENDS - DOUBLES];
    let columns: Vec<String> =
        bounds.windows(2).map(|pair| format!("{:>7}", format!("{}-{} s", pair[0], pair[1]))).collect();
    println!("\n{SEEDS} seeds, 3x     after 32 to 16 {:41}   after 16 to 32", "");
    println!("{:16} {}   {}", "", columns.join("  "), columns.join("  "));
    for (name, make) in CONTROLLERS {
        let outcomes = outcomes(&setup, make);
        let row = [HALVES, DOUBLES].map(|step| {
            let cells = bounds
                .windows(2)
                .map(|pair| mean(&outcomes, |outcome| outcome.goodput(step + pair[0], step + pair[1])));
            cells.map(|share| format!("{share:>7.0}")).collect::<Vec<_>>().join("  ")
        });
        println!("{name:16} {}", row.join("   "));
    }
}

/// Ten minutes of 1.3 times what 32 places can do.
fn drift() {
    let setup = Setup { ends: 600.0, ..plain(1.3) };
    println!("\n{:16} {:>22} {:>22}", "1.3x", "first minute", "tenth minute");
    for (name, make) in CONTROLLERS {
        let outcomes = outcomes(&setup, make);
        let cells = [0.0, 540.0].map(|from| {
            let goodput = mean(&outcomes, |outcome| outcome.goodput(from, from + 60.0));
            let limit = mean(&outcomes, |outcome| outcome.limit(from, from + 60.0));
            format!("{:>22}", format!("{goodput:.1} %, limit {limit:.1}"))
        });
        println!("{name:16} {}", cells.join(" "));
    }
}
