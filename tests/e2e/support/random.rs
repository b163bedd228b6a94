//! A small generator of repeatable chance (SplitMix64), so that a failing storm can be run again from its seed.

use std::time::Duration;

#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn from_seed(seed: u64) -> Self {
        Random(seed)
    }

    /// The seed in `SLUICEGATE_SEED`, or one from the clock. Printed, so that it stands above a failure.
    pub fn announced(purpose: &str) -> Self {
        let from_clock = || {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            since.map_or(1, |d| d.as_nanos() as u64)
        };
        let seed = std::env::var("SLUICEGATE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(from_clock);
        println!("{purpose}: SLUICEGATE_SEED={seed}");
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(most.as_micros() as u64 + 1))
    }

    /// An independent generator, for a task of its own.
    pub fn fork(&mut self) -> Random {
        Random(self.next())
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
