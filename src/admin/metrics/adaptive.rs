//! What limits that find themselves have found, and why.

use std::fmt::Error;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::collector::{counter, family, gauge};
use crate::admission::AdaptiveStatus;
use crate::proxy::Shared;

pub(super) fn encode_adaptive(encoder: &mut DescriptorEncoder<'_>, proxy: &Shared) -> Result<(), Error> {
    let all: Vec<(&str, AdaptiveStatus)> =
        proxy.adaptive().iter().map(|adaptive| (adaptive.limiter().name(), adaptive.status())).collect();
    let help = "What the shadow of a fixed limit has found. It is not in force.";
    let mut shadows = family(encoder, "limit_shadow", help, MetricType::Gauge)?;
    for (name, status) in all.iter().filter(|(_, status)| status.settings.shadow) {
        gauge(&mut shadows, &[("limit", *name)], &u64::from(status.last.limit))?;
    }
    let help = "How long requests of an adaptive limit take where there are few.";
    let mut baselines = family(encoder, "limit_baseline_seconds", help, MetricType::Gauge)?;
    for (name, status) in &all {
        if let Some(baseline) = status.baseline {
            gauge(&mut baselines, &[("limit", *name)], &baseline.as_secs_f64())?;
        }
    }
    let help = "How often an adaptive limit, or a shadow, has changed its number.";
    let mut changes = family(encoder, "limit_changes", help, MetricType::Counter)?;
    for (name, status) in &all {
        // Most reasons change nothing, ever.
        for (reason, count) in status.changes.iter().filter(|(_, count)| *count > 0) {
            counter(&mut changes, &[("limit", *name), ("reason", reason.as_str())], count)?;
        }
    }
    Ok(())
}
