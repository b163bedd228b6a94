//! What is counted, under the names that it is known by.

use std::fmt::Error;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, UNIX_EPOCH};

use prometheus_client::collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use super::adaptive::encode_adaptive;
use super::endpoints::encode_endpoints;
use super::traffic::encode_traffic;
use super::upstreams::encode_upstreams;
use crate::admission::{Counts, Limiter};
use crate::files::reload_errors;
use crate::histogram::{BOUNDS, Buckets};
use crate::proxy::Shared;
use crate::server::Handle;

/// Reads everything when it is asked to.
#[derive(Debug)]
pub(super) struct Collector {
    server: Handle,
}

/// A limit at one moment.
struct Snapshot<'a> {
    limiter: &'a Limiter,
    name: &'a str,
    counts: Counts,
}

impl Collector {
    pub(super) fn new(server: Handle) -> Self {
        Collector { server }
    }
}

impl collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let proxy = self.server.proxy();
        let limiters = proxy.limiters().iter();
        let limits: Vec<_> =
            limiters.map(|limiter| Snapshot { limiter, name: limiter.name(), counts: limiter.counts() }).collect();
        let encoder = &mut encoder;
        encode_gauges(encoder, &limits)?;
        encode_counters(encoder, &limits)?;
        encode_waits(encoder, &limits)?;
        encode_adaptive(encoder, &proxy)?;
        self.encode_routes(encoder)?;
        encode_endpoints(encoder, &proxy)?;
        encode_upstreams(encoder, &proxy)?;
        let mut connections = family(encoder, "connections", "Open client connections.", MetricType::Gauge)?;
        connections.encode_gauge(&(self.server.connections() as u64))?;
        let counts = self.server.reloads();
        let help = "How often a configuration was loaded again, and what became of it.";
        let mut reloads = family(encoder, "config_reloads", help, MetricType::Counter)?;
        for (result, count) in [("in_force", counts.in_force), ("refused", counts.refused)] {
            counter(&mut reloads, &[("result", result)], &count)?;
        }
        let help = "Connections that were closed because their PROXY header was missing or broken.";
        let mut failed = family(encoder, "proxy_protocol_errors", help, MetricType::Counter)?;
        failed.encode_counter::<NoLabelSet, _, u64>(&self.server.failed_introductions(), None)?;
        let mut errors =
            family(encoder, "file_reload_errors", "Changed files that could not be used.", MetricType::Counter)?;
        errors.encode_counter::<NoLabelSet, _, u64>(&reload_errors(), None)?;
        self.encode_certificates(encoder)?;
        encode_log(encoder, &proxy)?;
        encode_traffic(encoder, &proxy)?;
        let mut build = family(encoder, "build", "What is running.", MetricType::Info)?;
        build.encode_info(&[
            ("version", env!("CARGO_PKG_VERSION")),
            ("commit", option_env!("BUILT_FROM_COMMIT").unwrap_or_default()),
            ("rustc", env!("BUILT_BY_RUSTC")),
        ])
    }
}

impl Collector {
    fn encode_certificates(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "When the certificate of a file is over, in seconds since 1970.";
        let mut over = family(encoder, "tls_not_after_seconds", help, MetricType::Gauge)?;
        for (file, not_after) in self.server.certificates() {
            let seconds = not_after.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            over.encode_family(&[("cert", file.display().to_string())])?.encode_gauge(&seconds)?;
        }
        Ok(())
    }

    fn encode_routes(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Requests that limits and queues turned away.";
        let mut rejected = family(encoder, "rejected", help, MetricType::Counter)?;
        for (route, reasons) in self.server.proxy().routes() {
            for (reason, count) in reasons {
                counter(&mut rejected, &[("route", route.name.as_str()), ("reason", reason.as_str())], &count)?;
            }
        }
        Ok(())
    }
}

fn encode_log(encoder: &mut DescriptorEncoder<'_>, proxy: &Shared) -> Result<(), Error> {
    let (dropped, suppressed) = proxy.unlogged();
    for (name, help, count) in [
        ("log_dropped", "Lines of the access log that its reader was too slow for.", dropped),
        ("log_suppressed", "Rejections and refusals beyond reject_burst, which left no line.", suppressed),
    ] {
        let mut lines = family(encoder, name, help, MetricType::Counter)?;
        lines.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    let Some(counts) = proxy.trace_counts() else { return Ok(()) };
    for (name, help, count) in [
        ("traces_exported", "Traced requests whose spans the collector has taken.", &counts.exported),
        (
            "traces_dropped",
            "Traced requests whose spans were lost: the collector was too slow, or gone.",
            &counts.dropped,
        ),
    ] {
        let mut traces = family(encoder, name, help, MetricType::Counter)?;
        traces.encode_counter::<NoLabelSet, _, u64>(&count.load(Relaxed), None)?;
    }
    Ok(())
}

fn encode_gauges(encoder: &mut DescriptorEncoder<'_>, limits: &[Snapshot<'_>]) -> Result<(), Error> {
    type Read = fn(&Limiter) -> u32;
    let gauges: [(&str, &str, Read); 7] = [
        ("inflight", "Requests that hold a permit.", Limiter::in_flight),
        ("inflight_peak", "The most permits that were held at once within the last 60 seconds.", Limiter::peak),
        ("limit", "How many requests may be in flight, overrides included.", Limiter::limit),
        ("limit_configured", "How many requests may be in flight by the configuration.", |limiter| {
            limiter.settings().limit.get()
        }),
        ("queue_length", "Requests that wait.", Limiter::queue_len),
        ("queue_capacity", "How many requests may wait.", Limiter::queue),
        ("keys_tracked", "Keys with requests that wait, or are counted in flight.", |limiter| {
            u32::try_from(limiter.keys_tracked()).unwrap_or(u32::MAX)
        }),
    ];
    for (name, help, read) in gauges {
        let mut gauges = family(encoder, name, help, MetricType::Gauge)?;
        for limit in limits {
            gauge(&mut gauges, &[("limit", limit.name)], &u64::from(read(limit.limiter)))?;
        }
    }
    let help = "How long the one has waited who has waited longest.";
    let mut oldest = family(encoder, "queue_oldest_seconds", help, MetricType::Gauge)?;
    for limit in limits {
        let seconds = limit.limiter.oldest_wait().as_ref().map_or(0.0, Duration::as_secs_f64);
        gauge(&mut oldest, &[("limit", limit.name)], &seconds)?;
    }
    let help = "Permits in flight that nobody holds, or, negative, held ones that are not counted: zero, or a fault.";
    let mut unaccounted = family(encoder, "permits_unaccounted", help, MetricType::Gauge)?;
    for limit in limits {
        gauge(&mut unaccounted, &[("limit", limit.name)], &limit.limiter.unaccounted())?;
    }
    Ok(())
}

fn encode_counters(encoder: &mut DescriptorEncoder<'_>, limits: &[Snapshot<'_>]) -> Result<(), Error> {
    let mut admitted = family(encoder, "admitted", "Permits given out.", MetricType::Counter)?;
    for limit in limits {
        for (level, count) in limit.counts.admitted_by_level {
            counter(&mut admitted, &[("limit", limit.name), ("priority", level.as_str())], &count)?;
        }
    }
    type Read = fn(&Counts) -> u64;
    let counters: [(&str, &str, Read); 3] = [
        ("queued", "Requests that had to wait.", |counts| counts.queued),
        ("dry_run_queued", "Requests that a dry run would have made wait.", |counts| counts.dry_run_queued),
        ("dry_run_rejected", "Requests that a dry run would have rejected.", |counts| counts.dry_run_rejected),
    ];
    for (name, help, read) in counters {
        let mut counters = family(encoder, name, help, MetricType::Counter)?;
        for limit in limits {
            counter(&mut counters, &[("limit", limit.name)], &read(&limit.counts))?;
        }
    }
    let mut full = family(encoder, "saturated_seconds", "For how long no permit was free.", MetricType::Counter)?;
    for limit in limits {
        counter(&mut full, &[("limit", limit.name)], &limit.limiter.full_for().as_secs_f64())?;
    }
    let help = "Requests that a limit did not admit.";
    let mut rejected = family(encoder, "limit_rejected", help, MetricType::Counter)?;
    for limit in limits {
        for (reason, count) in limit.counts.rejected {
            counter(&mut rejected, &[("limit", limit.name), ("reason", reason.as_str())], &count)?;
        }
    }
    Ok(())
}

fn encode_waits(encoder: &mut DescriptorEncoder<'_>, limits: &[Snapshot<'_>]) -> Result<(), Error> {
    let help = "How long those waited who had to.";
    let mut waits = family(encoder, "queue_wait_seconds", help, MetricType::Histogram)?;
    for limit in limits {
        for (outcome, counts) in
            [("admitted", &limit.counts.admitted_waits), ("rejected", &limit.counts.rejected_waits)]
        {
            histogram(&mut waits, &[("limit", limit.name), ("outcome", outcome)], counts)?;
        }
    }
    Ok(())
}

pub(super) fn family<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'e>, Error> {
    encoder.encode_descriptor(name, help, None, kind)
}

pub(super) fn gauge(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    value: &impl EncodeGaugeValue,
) -> Result<(), Error> {
    family.encode_family(labels)?.encode_gauge(value)
}

pub(super) fn counter(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    value: &impl EncodeCounterValue,
) -> Result<(), Error> {
    family.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(value, None)
}

pub(super) fn histogram(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    waits: &Buckets,
) -> Result<(), Error> {
    let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(waits.buckets).collect();
    let count = waits.buckets.iter().sum();
    family.encode_family(labels)?.encode_histogram::<NoLabelSet>(waits.sum.as_secs_f64(), count, &buckets, None)
}
