//! What is tried.

use std::time::Duration;

use super::clients::Stage;
use super::upstream::{Knee, Work};

/// A run: what the upstream is like, and what clients ask of it, one stage after the other.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) work: Work,
    pub(super) parts: Vec<Part>,
}

pub(super) struct Part {
    pub(super) stage: Stage,
    pub(super) knee: Knee,
    /// The best fixed limit for it.
    pub(super) best: u32,
}

const PLACES: f64 = 20.0;
const SERVICE: Duration = Duration::from_millis(40);

pub(super) fn scenarios() -> Vec<Scenario> {
    let log_normal = || Work::log_normal(SERVICE, 0.5);
    let steady = [("1x", 1.0), ("2x", 2.0), ("5x", 5.0), ("10x", 10.0)];
    let mut all: Vec<Scenario> = steady.into_iter().map(|(name, load)| Scenario::steady(name, load)).collect();
    all.push(Scenario {
        name: "fall",
        work: log_normal(),
        parts: vec![part(": before", 2.0, 15.0, 1.0), part(": 15 s at 40 %", 2.0, 15.0, 0.4)],
    });
    all.push(Scenario {
        name: "steps",
        work: log_normal(),
        parts: vec![
            part(": before", 2.0, 15.0, 1.0),
            part(": first second of half", 2.0, 1.0, 0.5),
            part(": then 4 s", 2.0, 4.0, 0.5),
            part(": then 15 s", 2.0, 15.0, 0.5),
            part(": 2 s of the double", 2.0, 2.0, 1.0),
            part(": then 3 s", 2.0, 3.0, 1.0),
            part(": then 15 s", 2.0, 15.0, 1.0),
        ],
    });
    // Some 44 permits: 16 requests at work and 32 in their pauses in the mean, and with more there are too often more than 20
    // at work.
    let slower = |part: Part| Part { knee: Knee { pause: 2 * SERVICE, ..part.knee }, best: 44, ..part };
    all.push(Scenario {
        name: "slower",
        work: log_normal(),
        parts: vec![
            part(": 40 ms", 0.8, 15.0, 1.0),
            slower(part(": and 80 ms of pause", 0.8, 20.0, 1.0)),
            slower(part(": then 20 s", 0.8, 20.0, 1.0)),
        ],
    });
    all.push(Scenario {
        name: "surge",
        work: log_normal(),
        parts: vec![part(": idle", 0.02, 15.0, 1.0), part(": then 3x", 3.0, 15.0, 1.0)],
    });
    all.push(Scenario { name: "log-normal, 1.5", work: Work::log_normal(SERVICE, 1.5), ..Scenario::steady("", 2.0) });
    all.push(Scenario { name: "Pareto, 1.6", work: Work::pareto(SERVICE, 1.6), ..Scenario::steady("", 2.0) });
    all.push(Scenario { name: "two classes", work: Work::two(SERVICE), ..Scenario::steady("", 2.0) });
    all
}

impl Scenario {
    pub(super) fn steady(name: &'static str, load: f64) -> Self {
        let Part { stage, .. } = part("", load, 20.0, 1.0);
        let parts = vec![Part { stage: Stage { skipped: 5.0, ..stage }, ..part("", load, 20.0, 1.0) }];
        Scenario { name, work: Work::log_normal(SERVICE, 0.5), parts }
    }
}

/// So many times what all the places can do is asked of a share of them.
fn part(name: &'static str, load: f64, seconds: f64, share: f64) -> Part {
    let per_second = load * PLACES / SERVICE.as_secs_f64();
    let places = share * PLACES;
    let knee = Knee { places, pause: Duration::ZERO };
    Part { stage: Stage { name, per_second, seconds, skipped: 0.0 }, knee, best: places as u32 }
}
