//! What there is to say of the upstreams.

use std::fmt::Error;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::collector::{counter, family, gauge};
use crate::proxy::{Shared, UpstreamCounts};

pub(super) fn encode_upstreams(encoder: &mut DescriptorEncoder<'_>, proxy: &Shared) -> Result<(), Error> {
    type Read = fn(&UpstreamCounts) -> u64;
    let counters: [(&str, &str, Read); 3] = [
        ("retries", "Requests that were sent again.", |counts| counts.retries),
        ("retries_refused", "Requests that were not sent again, the budget being spent.", |counts| {
            counts.retries_refused
        }),
        ("abandoned", "Exchanges that nobody waited for, reset when abort_grace was over.", |counts| counts.abandoned),
    ];
    let upstreams: Vec<_> = proxy.upstream_counts().collect();
    for (name, help, read) in counters {
        let mut counters = family(encoder, name, help, MetricType::Counter)?;
        for (upstream, counts) in &upstreams {
            counter(&mut counters, &[("upstream", *upstream)], &read(counts))?;
        }
    }
    let mut errors = family(encoder, "upstream_errors", "Requests that failed upstream.", MetricType::Counter)?;
    for (upstream, counts) in &upstreams {
        for (kind, count) in counts.errors {
            counter(&mut errors, &[("upstream", *upstream), ("kind", kind)], &count)?;
        }
    }
    let help = "Connections to an upstream, those being made among the active ones.";
    let mut connections = family(encoder, "upstream_connections", help, MetricType::Gauge)?;
    for (upstream, counts) in &upstreams {
        for (state, count) in [("active", counts.active), ("idle", counts.idle)] {
            gauge(&mut connections, &[("upstream", *upstream), ("state", state)], &u64::from(count))?;
        }
    }
    Ok(())
}
