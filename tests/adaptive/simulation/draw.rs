//! Distributions.

/// How long something takes, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Draw {
    None,
    Exponential {
        mean: f64,
    },
    /// `sigma` is that of the normal underneath.
    LogNormal {
        mean: f64,
        sigma: f64,
    },
    Pareto {
        mean: f64,
        alpha: f64,
    },
    /// Two exponentials.
    Mixed {
        slow_share: f64,
        fast: f64,
        slow: f64,
    },
}

impl Draw {
    pub(crate) fn draw(self, random: &mut fastrand::Rng) -> f64 {
        match self {
            Draw::None => 0.0,
            Draw::Exponential { mean } => exponential(random, mean),
            Draw::LogNormal { mean, sigma } => mean * (sigma * normal(random) - sigma * sigma / 2.0).exp(),
            Draw::Pareto { mean, alpha } => mean * (alpha - 1.0) / alpha / (1.0 - random.f64()).powf(1.0 / alpha),
            Draw::Mixed { slow_share, fast, slow } => {
                let mean = if random.f64() < slow_share { slow } else { fast };
                exponential(random, mean)
            }
        }
    }

    pub(crate) fn mean(self) -> f64 {
        match self {
            Draw::None => 0.0,
            Draw::Exponential { mean } | Draw::LogNormal { mean, .. } | Draw::Pareto { mean, .. } => mean,
            Draw::Mixed { slow_share, fast, slow } => slow_share * slow + (1.0 - slow_share) * fast,
        }
    }

    /// The same, so many times as long.
    pub(crate) fn times(self, by: f64) -> Draw {
        match self {
            Draw::None => Draw::None,
            Draw::Exponential { mean } => Draw::Exponential { mean: mean * by },
            Draw::LogNormal { mean, sigma } => Draw::LogNormal { mean: mean * by, sigma },
            Draw::Pareto { mean, alpha } => Draw::Pareto { mean: mean * by, alpha },
            Draw::Mixed { slow_share, fast, slow } => Draw::Mixed { slow_share, fast: fast * by, slow: slow * by },
        }
    }
}

pub(crate) fn exponential(random: &mut fastrand::Rng, mean: f64) -> f64 {
    -mean * (1.0 - random.f64()).ln()
}

/// Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}
