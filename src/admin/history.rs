//! The last five minutes of each limit, second by second.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::admission::{self, Counts, Limiter, Reason};
use crate::histogram::BOUNDS;

/// What each limit was like once a second. A limit that is gone is forgotten.
#[derive(Debug, Default)]
pub(super) struct History {
    series: BTreeMap<String, Series>,
}

#[derive(Debug)]
struct Series {
    /// The counts at the last sample, and when that was.
    last: (Counts, Instant),
    /// The newest last.
    seconds: VecDeque<Second>,
    /// What is only asked for of the last minute.
    details: VecDeque<Detail>,
}

/// A sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Second {
    pub(super) in_flight: u32,
    /// The most that were in flight at once since the sample before.
    pub(super) peak: u32,
    pub(super) limit: u32,
    pub(super) waiting: u32,
    /// Since the sample before.
    pub(super) admitted: u32,
    pub(super) rejected: u32,
    pub(super) lasted: f32,
}

#[derive(Debug, Clone, Copy)]
struct Detail {
    waits: [u32; BOUNDS.len() + 1],
    longest_wait: Duration,
    rejected: [u32; Reason::ALL.len()],
}

/// The samples of a limit in columns, the oldest first and one a second. All columns are of one length.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Columns {
    in_flight: Vec<u32>,
    peak: Vec<u32>,
    limit: Vec<u32>,
    queue_length: Vec<u32>,
    admitted: Vec<u32>,
    rejected: Vec<u32>,
}

/// So many samples of one value, as `[value, samples]`, or just one of it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Run {
    Of(u32, u32),
    Once(u32),
}

/// How busy a limit is.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Pace {
    /// Over the last five seconds.
    pub(super) admitted_per_second: f64,
    /// The same.
    pub(super) rejected_per_second: f64,
    last_second: Events,
    pub(super) last_minute: Minute,
}

/// What happened between two samples.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Events {
    /// The most that were in flight at once.
    peak: u32,
    admitted: u32,
    rejected: u32,
}

/// What the last minute was like.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Minute {
    /// Those whose wait has ended, admitted or not. Times are theirs; the quantiles are as exact as the buckets of the
    /// histogram, and the longest wait is exact.
    waited: u64,
    wait_p50_seconds: Option<f64>,
    pub(super) wait_p95_seconds: Option<f64>,
    wait_max_seconds: Option<f64>,
    rejected: BTreeMap<&'static str, u64>,
}

/// How many seconds are kept.
pub(super) const SECONDS: usize = 300;
const MINUTE: usize = 60;
/// What is told as a rate of the moment is one over so many samples.
const MOMENT: usize = 5;

impl History {
    /// Takes the next sample of each limit.
    pub(super) fn sample(&mut self, limiters: &[Limiter], now: Instant) {
        self.series.retain(|name, _| limiters.iter().any(|limiter| limiter.name() == name));
        for limiter in limiters {
            match self.series.get_mut(limiter.name()) {
                Some(series) => series.sample(limiter, now),
                None => {
                    self.series.insert(limiter.name().to_owned(), Series::new(limiter, now));
                }
            }
        }
    }

    /// The samples of a limit, if there is such a limit.
    pub(super) fn columns(&self, name: &str) -> Option<Columns> {
        let mut columns = Columns::default();
        for second in &self.series.get(name)?.seconds {
            columns.in_flight.push(second.in_flight);
            columns.peak.push(second.peak);
            columns.limit.push(second.limit);
            columns.queue_length.push(second.waiting);
            columns.admitted.push(second.admitted);
            columns.rejected.push(second.rejected);
        }
        Some(columns)
    }

    /// The samples of a limit, the oldest first.
    pub(super) fn seconds(&self, name: &str) -> Vec<Second> {
        self.series.get(name).map(|series| series.seconds.iter().copied().collect()).unwrap_or_default()
    }

    /// All of them, in short.
    pub(super) fn all(&self) -> BTreeMap<&str, BTreeMap<&'static str, Vec<Run>>> {
        self.series.keys().filter_map(|name| Some((name.as_str(), self.columns(name)?.short()))).collect()
    }

    /// How busy a limit is. Nothing is known before the second sample.
    pub(super) fn pace(&self, name: &str) -> Pace {
        self.series.get(name).map(Series::pace).unwrap_or_default()
    }
}

impl Columns {
    /// Without repetition, and without columns that are all zero. That of the limit is always there: it says how many
    /// samples there are.
    fn short(&self) -> BTreeMap<&'static str, Vec<Run>> {
        let Columns { in_flight, peak, limit, queue_length, admitted, rejected } = self;
        let others = [
            ("in_flight", in_flight),
            ("peak", peak),
            ("queue_length", queue_length),
            ("admitted", admitted),
            ("rejected", rejected),
        ];
        let others = others.into_iter().filter(|(_, column)| column.iter().any(|value| *value > 0));
        others.chain([("limit", limit)]).map(|(name, column)| (name, runs(column))).collect()
    }
}

fn runs(column: &[u32]) -> Vec<Run> {
    let mut runs = Vec::new();
    for run in column.chunk_by(PartialEq::eq) {
        match run {
            // That is as short.
            [value] | [value, _] => runs.extend(run.iter().map(|_| Run::Once(*value))),
            [value, ..] => runs.push(Run::Of(*value, run.len() as u32)),
            [] => {}
        }
    }
    runs
}

impl Series {
    fn new(limiter: &Limiter, now: Instant) -> Self {
        // What was before the first sample is no second's.
        limiter.end_second();
        Series { last: (limiter.counts(), now), seconds: VecDeque::new(), details: VecDeque::new() }
    }

    fn sample(&mut self, limiter: &Limiter, now: Instant) {
        let admission::Second { peak, longest_wait } = limiter.end_second();
        let (before, then) = std::mem::replace(&mut self.last, (limiter.counts(), now));
        let counts = &self.last.0;
        let rejected = std::array::from_fn(|at| since(counts.rejected[at].1, before.rejected[at].1));
        push(
            &mut self.seconds,
            SECONDS,
            Second {
                in_flight: limiter.in_flight(),
                peak,
                limit: limiter.limit(),
                waiting: limiter.queue_len(),
                admitted: since(counts.admitted, before.admitted),
                rejected: rejected.iter().sum(),
                lasted: now.saturating_duration_since(then).as_secs_f32(),
            },
        );
        let waits = std::array::from_fn(|at| {
            let sum = |counts: &Counts| counts.admitted_waits.buckets[at] + counts.rejected_waits.buckets[at];
            since(sum(counts), sum(&before))
        });
        push(&mut self.details, MINUTE, Detail { waits, longest_wait, rejected });
    }

    fn pace(&self) -> Pace {
        let moment = || self.seconds.iter().rev().take(MOMENT);
        let lasted: f64 = moment().map(|second| f64::from(second.lasted)).sum();
        let rate = |count: fn(&Second) -> u32| match moment().map(|second| f64::from(count(second))).sum::<f64>() {
            count if lasted > 0.0 => (count / lasted * 10.0).round() / 10.0,
            _ => 0.0,
        };
        let mut waits = [0_u64; BOUNDS.len() + 1];
        let mut rejected = [0_u64; Reason::ALL.len()];
        let longest_wait = self.details.iter().map(|detail| detail.longest_wait).max().unwrap_or_default();
        for detail in &self.details {
            waits.iter_mut().zip(detail.waits).for_each(|(sum, count)| *sum += u64::from(count));
            rejected.iter_mut().zip(detail.rejected).for_each(|(sum, count)| *sum += u64::from(count));
        }
        // Somewhere in a bucket, but not beyond the longest.
        let at_most = |seconds: Option<f64>| seconds.map(|seconds| seconds.min(longest_wait.as_secs_f64()));
        let reasons = Reason::ALL.iter().zip(rejected).filter(|(_, count)| *count > 0);
        Pace {
            admitted_per_second: rate(|second| second.admitted),
            rejected_per_second: rate(|second| second.rejected),
            last_second: self.seconds.back().map(Events::from).unwrap_or_default(),
            last_minute: Minute {
                waited: waits.iter().sum(),
                wait_p50_seconds: at_most(quantile(&waits, 0.5)),
                wait_p95_seconds: at_most(quantile(&waits, 0.95)),
                wait_max_seconds: waits.iter().any(|count| *count > 0).then_some(longest_wait.as_secs_f64()),
                rejected: reasons.map(|(reason, count)| (reason.as_str(), count)).collect(),
            },
        }
    }
}

impl From<&Second> for Events {
    fn from(second: &Second) -> Self {
        Events { peak: second.peak, admitted: second.admitted, rejected: second.rejected }
    }
}

fn push<T>(ring: &mut VecDeque<T>, most: usize, item: T) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(item);
}

fn since(now: u64, before: u64) -> u32 {
    u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX)
}

/// A quantile by its bucket, evenly spread within it as Prometheus takes it to be.
fn quantile(buckets: &[u64], quantile: f64) -> Option<f64> {
    let count: u64 = buckets.iter().sum();
    let rank = quantile * count as f64;
    let mut below = 0.0;
    for (at, in_bucket) in buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
        let in_bucket = *in_bucket as f64;
        if below + in_bucket >= rank {
            let start = at.checked_sub(1).map_or(0.0, |before| BOUNDS[before]);
            // Of what is beyond all bounds, only the last bound is known.
            let end = BOUNDS.get(at).copied().unwrap_or(start);
            let seconds = start + (end - start) * (rank - below) / in_bucket;
            return Some(Duration::from_secs_f64(seconds).as_micros() as f64 / 1e6);
        }
        below += in_bucket;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::admission::Settings;

    fn limiter(name: &str) -> Limiter {
        let settings = Settings { queue: 0, ..Settings::new(name, NonZeroU32::new(2).unwrap()) };
        Limiter::new(settings)
    }

    #[tokio::test(start_paused = true)]
    async fn a_sample_says_what_has_happened_since_the_one_before() {
        let limits = [limiter("api")];
        let mut history = History::default();
        let sample = |history: &mut History| {
            history.sample(&limits, Instant::now());
        };
        sample(&mut history);
        assert_eq!(history.columns("api"), Some(Columns::default()));
        let one = limits[0].acquire().await.unwrap();
        let two = limits[0].acquire().await.unwrap();
        assert!(limits[0].acquire().await.is_err());
        tokio::time::advance(Duration::from_secs(1)).await;
        sample(&mut history);
        drop((one, two));
        tokio::time::advance(Duration::from_secs(1)).await;
        sample(&mut history);
        let expected = Columns {
            in_flight: vec![2, 0],
            peak: vec![2, 2],
            limit: vec![2, 2],
            queue_length: vec![0, 0],
            admitted: vec![2, 0],
            rejected: vec![1, 0],
        };
        assert_eq!(history.columns("api"), Some(expected));
        let pace = history.pace("api");
        assert_eq!((pace.admitted_per_second, pace.rejected_per_second), (1.0, 0.5));
        assert_eq!(pace.last_minute.rejected, BTreeMap::from([("no_permit", 1)]));
    }

    #[tokio::test(start_paused = true)]
    async fn five_minutes_are_kept_and_limits_that_are_gone_are_not() {
        let limits = [limiter("api"), limiter("gone")];
        let mut history = History::default();
        for _ in 0..SECONDS + 50 {
            history.sample(&limits, Instant::now());
        }
        assert_eq!(history.columns("api").unwrap().in_flight.len(), SECONDS);
        history.sample(&limits[..1], Instant::now());
        assert_eq!(history.columns("gone"), None);
        assert_eq!(history.all().keys().collect::<Vec<_>>(), [&"api"]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_quantile_is_beyond_the_longest_wait() {
        let limits = [Limiter::new(Settings { queue: 5, ..Settings::new("api", NonZeroU32::MIN) })];
        let mut history = History::default();
        history.sample(&limits, Instant::now());
        let permit = limits[0].acquire().await.unwrap();
        let waits = limits[0].acquire();
        let release = async {
            tokio::time::sleep(Duration::from_millis(2600)).await;
            drop(permit);
        };
        drop(tokio::join!(waits, release).0.unwrap());
        history.sample(&limits, Instant::now());
        let minute = history.pace("api").last_minute;
        assert_eq!((minute.wait_p95_seconds, minute.wait_max_seconds), (Some(2.6), Some(2.6)));
    }

    #[test]
    fn in_short_there_is_no_repetition_and_no_column_of_zeros() {
        let columns = Columns {
            in_flight: vec![0, 0, 0, 3, 4, 4],
            limit: vec![16; 6],
            queue_length: vec![0; 6],
            ..Columns::default()
        };
        let short = serde_json::to_value(columns.short()).unwrap();
        assert_eq!(short, serde_json::json!({ "in_flight": [[0, 3], 3, 4, 4], "limit": [[16, 6]] }));
    }

    #[test]
    fn quantiles_lie_in_their_buckets() {
        let mut buckets = [0; BOUNDS.len() + 1];
        assert_eq!(quantile(&buckets, 0.5), None);
        // 10 to 25 ms, and beyond 300 s.
        buckets[4] = 100;
        assert_eq!(quantile(&buckets, 0.5), Some(0.0175));
        buckets[17] = 100;
        assert_eq!(quantile(&buckets, 0.95), Some(300.0));
        assert_eq!(quantile(&buckets, 0.25), Some(0.0175));
    }
}
