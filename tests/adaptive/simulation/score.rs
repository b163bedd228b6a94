//! Shares of what could have been.

use super::controllers::{Controller, Fixed};
use super::model::BIN;
use super::{Outcome, Scenario, Setup, run};

impl Outcome {
    fn between(&self, from: f64, to: f64) -> &[super::model::Bin] {
        &self.bins[(from / BIN).round() as usize..(to / BIN).round() as usize]
    }

    /// Work done in time over work that was possible, in percent.
    pub(crate) fn goodput(&self, from: f64, to: f64) -> f64 {
        let bins = self.between(from, to);
        let possible: f64 = bins.iter().map(|bin| bin.possible).sum();
        100.0 * bins.iter().map(|bin| bin.good).sum::<f64>() / possible.max(1e-9)
    }

    pub(crate) fn limit(&self, from: f64, to: f64) -> f64 {
        let bins = self.between(from, to);
        bins.iter().map(|bin| bin.limit).sum::<f64>() / bins.len() as f64
    }

    pub(crate) fn p99(&self, from: f64, to: f64) -> f64 {
        let mut latencies: Vec<f32> = self.between(from, to).iter().flat_map(|bin| bin.latencies.clone()).collect();
        if latencies.is_empty() {
            return f64::NAN;
        }
        let index = latencies.len() * 99 / 100;
        f64::from(*latencies.select_nth_unstable_by(index, f32::total_cmp).1)
    }

    /// Of those who came, how many were turned away, in percent.
    pub(crate) fn refused(&self, from: f64, to: f64) -> f64 {
        let bins = self.between(from, to);
        let count = |of: fn(&super::model::Bin) -> u32| f64::from(bins.iter().map(of).sum::<u32>());
        100.0 * count(|bin| bin.refused) / count(|bin| bin.arrivals).max(1.0)
    }
}

/// The goodput and p99 of the best fixed limit, for each phase.
pub(crate) fn best_fixed(scenario: &Scenario) -> Vec<(u32, f64, f64)> {
    let mut limits: Vec<u32> = (0..90).map(|step| (2.0 * 1.08f64.powi(step)).round() as u32).collect();
    limits.push(1);
    limits.dedup();
    // Nobody needs more than four times what is busy at the most.
    let busiest = scenario.setup.capacity.iter().map(|(_, capacity)| *capacity).fold(0.0, f64::max);
    let pauses = scenario.setup.pauses.iter().map(|(_, times)| *times).fold(0.0, f64::max);
    let stretch = |class: &super::Class| 1.0 + pauses * class.pause.mean() / class.work.mean();
    let most = 1.6 * busiest * scenario.setup.classes.iter().map(stretch).fold(0.0, f64::max) + 2.0;
    let mut best = vec![(0, 0.0, f64::NAN); scenario.phases.len()];
    for limit in limits.into_iter().filter(|limit| f64::from(*limit) <= most) {
        let outcome = run(&scenario.setup, &mut Fixed(limit));
        for (best, (from, to, _)) in best.iter_mut().zip(&scenario.phases) {
            let goodput = outcome.goodput(*from, *to);
            if goodput > best.1 {
                *best = (limit, goodput, outcome.p99(*from, *to));
            }
        }
    }
    best
}

/// Like [`best_fixed`], but only the limits that the scenario knows to be best.
pub(crate) fn known_best(scenario: &Scenario) -> Vec<(u32, f64, f64)> {
    let mut runs: Vec<(u32, Outcome)> = Vec::new();
    let phases = scenario.phases.iter();
    phases
        .map(|(from, to, limit)| {
            if !runs.iter().any(|(known, _)| known == limit) {
                runs.push((*limit, run(&scenario.setup, &mut Fixed(*limit))));
            }
            let (_, outcome) = runs.iter().find(|(known, _)| known == limit).expect("it has just been run");
            (*limit, outcome.goodput(*from, *to), outcome.p99(*from, *to))
        })
        .collect()
}

/// A controller's share of the best fixed limit.
pub(crate) struct Score {
    /// For each phase, in percent.
    pub(crate) phases: Vec<f64>,
    /// p99 as a multiple of the best fixed limit's, in the mean.
    pub(crate) p99: f64,
    /// The mean limit of each phase.
    pub(crate) limits: Vec<f64>,
}

impl Score {
    pub(crate) fn mean(&self) -> f64 {
        self.phases.iter().sum::<f64>() / self.phases.len() as f64
    }

    pub(crate) fn worst(&self) -> f64 {
        self.phases.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

pub(crate) fn score(
    scenario: &Scenario,
    best: &[(u32, f64, f64)],
    seed: u64,
    controller: &mut dyn Controller,
) -> Score {
    let setup = Setup { seed, ..scenario.setup.clone() };
    let outcome = run(&setup, controller);
    let each = || scenario.phases.iter().zip(best);
    let phases = each().map(|((from, to, _), (_, goodput, _))| 100.0 * outcome.goodput(*from, *to) / goodput).collect();
    let p99 = each().map(|((from, to, _), (_, _, p99))| outcome.p99(*from, *to) / p99).sum::<f64>() / best.len() as f64;
    Score { phases, p99, limits: scenario.phases.iter().map(|(from, to, _)| outcome.limit(*from, *to)).collect() }
}
