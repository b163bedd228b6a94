//! How much of what the best fixed limit does adaptive limits do, in a model.
//!
//! `cargo run --release --example adaptive_table [seeds] [letters]` prints, for each scenario of
//! `tests/adaptive/simulation/scenarios.rs`, the shipped `knee` beside Gradient2, Vegas and AIMD at their published
//! defaults: goodput in percent of the best fixed limit of each phase, and p99 as a multiple of that limit's. Takes some
//! minutes, most of them for finding the best fixed limits.

#[path = "../tests/adaptive/simulation/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod simulation;

use std::num::NonZeroU32;

use simulation::controllers::{Controller, Shipped};
use simulation::published::{Aimd, Gradient2, Vegas};
use simulation::scenarios::{a_to_j, others};
use simulation::score::{best_fixed, score};
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
    let summary = sums.map(|(sum, worst)| format!("{:>16}", format!("{:.1}, {worst:.0}", sum / count)));
    println!("{:48} {:>16} {}", "mean, worst", "", summary.concat());
}
