//! What has become of the requests of a route. Each worker counts for itself, and nobody adds up but who looks on.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::registry::Phase;
use crate::access_log::Outcome;
use crate::histogram::{Buckets, Histogram};

/// The counts of one route, or of those that no route took.
#[derive(Debug)]
pub(super) struct Traffic(Box<[Counts]>);

/// What one worker has counted; on cache lines that no other worker writes to.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counts {
    requests: [[AtomicU64; Outcome::ALL.len()]; CLASSES.len()],
    aborts: [AtomicU64; ABORTED_IN.len()],
    durations: Histogram,
    heads: Histogram,
    holds: Histogram,
}

/// Classes of statuses, from 100 on.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Where a request can be when its client leaves.
const ABORTED_IN: [&str; 3] = ["queued", "upstream", "response"];

/// What has become of the requests of a route until now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrafficCounts {
    /// How many have ended, by the class of their status (`2xx`) and what became of them; without those that are none.
    pub requests: Vec<(&'static str, Outcome, u64)>,
    /// Clients that left before they had their answers, by where their requests were.
    pub aborts: [(&'static str, u64); ABORTED_IN.len()],
    /// From arrival until the client had its answer.
    pub durations: Buckets,
    /// From admission to the upstream's head.
    pub heads: Buckets,
    /// From admission until the permits came back.
    pub holds: Buckets,
}

impl Traffic {
    pub(super) fn new(workers: usize) -> Self {
        Traffic((0..workers.max(1)).map(|_| Counts::default()).collect())
    }

    pub(super) fn of(&self, worker: usize) -> &Counts {
        &self.0[worker % self.0.len()]
    }

    pub(super) fn read(&self) -> TrafficCounts {
        Traffic::read_all(self.0.iter())
    }

    /// What several have counted.
    pub(super) fn read_all<'a>(all: impl Iterator<Item = &'a Counts> + Clone) -> TrafficCounts {
        let sum = |count: &dyn Fn(&Counts) -> u64| all.clone().map(count).sum::<u64>();
        let mut read = TrafficCounts::default();
        for (class, name) in CLASSES.into_iter().enumerate() {
            for outcome in Outcome::ALL {
                let count = sum(&|counts| counts.requests[class][outcome as usize].load(Relaxed));
                if count > 0 {
                    read.requests.push((name, outcome, count));
                }
            }
        }
        read.aborts = std::array::from_fn(|at| (ABORTED_IN[at], sum(&|counts| counts.aborts[at].load(Relaxed))));
        for counts in all.clone() {
            read.durations += counts.durations.read();
            read.heads += counts.heads.read();
            read.holds += counts.holds.read();
        }
        read
    }
}

impl Counts {
    /// A request has ended for its client.
    pub(super) fn ended(&self, status: u16, outcome: Outcome, took: Duration) {
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        self.requests[class][outcome as usize].fetch_add(1, Relaxed);
        self.durations.count(took);
    }

    /// A client has left.
    pub(super) fn aborted(&self, phase: Phase) {
        let at = match phase {
            Phase::Queued => 0,
            Phase::Upstream => 1,
            Phase::Response | Phase::Upgraded | Phase::Abandoned => 2,
        };
        self.aborts[at].fetch_add(1, Relaxed);
    }

    /// The upstream's head has come.
    pub(super) fn headed(&self, after: Duration) {
        self.heads.count(after);
    }

    /// Permits have come back.
    pub(super) fn released(&self, after: Duration) {
        self.holds.count(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_have_counted_is_added_up() {
        let traffic = Traffic::new(2);
        traffic.of(0).ended(200, Outcome::Completed, Duration::from_millis(3));
        traffic.of(1).ended(204, Outcome::Completed, Duration::from_millis(4));
        traffic.of(1).ended(499, Outcome::ClientGone, Duration::from_millis(5));
        traffic.of(1).aborted(Phase::Queued);
        traffic.of(1).headed(Duration::from_millis(2));
        traffic.of(0).released(Duration::from_millis(2));
        let read = traffic.read();
        assert_eq!(read.requests, [("2xx", Outcome::Completed, 2), ("4xx", Outcome::ClientGone, 1)]);
        assert_eq!(read.aborts, [("queued", 1), ("upstream", 0), ("response", 0)]);
        assert_eq!(read.durations.sum, Duration::from_millis(12));
        assert_eq!((read.heads.sum, read.holds.sum), (Duration::from_millis(2), Duration::from_millis(2)));
    }
}
