//! Controllers of Netflix's concurrency-limits, written after its published sources, with its defaults. For comparison.

use super::controllers::{Controller, Sample};

/// `AIMDLimit`: initial 20, between 20 and 200, timeout 5 s, backoff 0.9; looks at each sample.
pub(crate) struct Aimd(f64);

impl Default for Aimd {
    fn default() -> Self {
        Aimd(20.0)
    }
}

impl Controller for Aimd {
    fn limit(&self) -> u32 {
        self.0 as u32
    }

    fn sample(&mut self, sample: Sample) {
        if sample.cut || sample.time > 5.0 {
            self.0 = (self.0 * 0.9).floor();
        } else if f64::from(sample.in_flight) * 2.0 >= self.0 {
            self.0 += 1.0;
        }
        self.0 = self.0.clamp(20.0, 200.0);
    }
}

/// `WindowedLimit`: a second and ten samples at least; mean time, most in flight, whether any was dropped.
#[derive(Default)]
struct Second {
    sum: f64,
    count: u32,
    in_flight: u32,
    cut: bool,
    ends: f64,
}

impl Second {
    fn add(&mut self, sample: Sample) -> Option<(f64, f64, bool)> {
        self.sum += sample.time;
        self.count += 1;
        self.in_flight = self.in_flight.max(sample.in_flight);
        self.cut |= sample.cut;
        if sample.now <= self.ends {
            return None;
        }
        let closed = std::mem::replace(self, Second { ends: sample.now + 1.0, ..Second::default() });
        (closed.count >= 10).then(|| (closed.sum / f64::from(closed.count), f64::from(closed.in_flight), closed.cut))
    }
}

/// `VegasLimit`: initial 20, at most 1000, smoothing 1, alpha 3 log10 and beta 6 log10 of the limit.
pub(crate) struct Vegas {
    second: Second,
    limit: f64,
    unloaded: f64,
    until_probe: f64,
    jitter: f64,
    random: fastrand::Rng,
}

impl Vegas {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let jitter = 0.5 + 0.5 * random.f64();
        Vegas { second: Second::default(), limit: 20.0, unloaded: 0.0, until_probe: 0.0, jitter, random }
    }
}

impl Controller for Vegas {
    fn limit(&self) -> u32 {
        self.limit as u32
    }

    fn sample(&mut self, sample: Sample) {
        let Some((time, in_flight, cut)) = self.second.add(sample) else { return };
        self.until_probe += 1.0;
        if self.jitter * 30.0 * self.limit <= self.until_probe {
            self.jitter = 0.5 + 0.5 * self.random.f64();
            self.until_probe = 0.0;
            self.unloaded = time;
            return;
        }
        if self.unloaded == 0.0 || time < self.unloaded {
            self.unloaded = time;
            return;
        }
        let queued = (self.limit * (1.0 - self.unloaded / time)).ceil();
        let log = self.limit.log10().floor().max(1.0);
        let limit = match () {
            () if cut => self.limit - log,
            () if in_flight * 2.0 < self.limit => return,
            () if queued <= log => self.limit + 6.0 * log,
            () if queued < 3.0 * log => self.limit + log,
            () if queued > 6.0 * log => self.limit - log,
            () => return,
        };
        self.limit = limit.clamp(1.0, 1000.0);
    }
}

/// `Gradient2Limit`: initial 20, between 20 and 200, tolerance 1.5, smoothing 0.2, queue 4, long window 600.
#[derive(Default)]
pub(crate) struct Gradient2 {
    second: Second,
    limit: Option<f64>,
    long: f64,
    warm: u32,
    sum: f64,
}

impl Controller for Gradient2 {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(20.0) as u32
    }

    fn sample(&mut self, sample: Sample) {
        let Some((time, in_flight, _)) = self.second.add(sample) else { return };
        let limit = self.limit.unwrap_or(20.0);
        if self.warm < 10 {
            self.warm += 1;
            self.sum += time;
            self.long = self.sum / f64::from(self.warm);
        } else {
            self.long += (time - self.long) * 2.0 / 601.0;
        }
        let long = self.long;
        if long / time > 2.0 {
            self.long *= 0.95;
        }
        if in_flight < limit / 2.0 {
            return;
        }
        let gradient = (1.5 * long / time).clamp(0.5, 1.0);
        self.limit = Some((0.8 * limit + 0.2 * (limit * gradient + 4.0)).clamp(20.0, 200.0));
    }
}
