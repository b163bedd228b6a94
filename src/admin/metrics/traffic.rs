//! What has become of the requests of each route.

use std::fmt::Error;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::collector::{counter, family, gauge, histogram};
use crate::histogram::Buckets;
use crate::proxy::{Phase, Shared, TrafficCounts};

pub(super) fn encode_traffic(encoder: &mut DescriptorEncoder<'_>, proxy: &Shared) -> Result<(), Error> {
    let traffic: Vec<(&str, TrafficCounts)> = proxy.traffic().collect();
    let help = "Requests that have ended, by the class of their status and by what became of them.";
    let mut requests = family(encoder, "requests", help, MetricType::Counter)?;
    for (route, counts) in &traffic {
        for (class, outcome, count) in &counts.requests {
            let labels = [("route", *route), ("code", *class), ("outcome", outcome.as_str())];
            counter(&mut requests, &labels, count)?;
        }
    }
    let help = "Clients that left before they had their answers.";
    let mut aborts = family(encoder, "client_aborts", help, MetricType::Counter)?;
    for (route, counts) in &traffic {
        for (phase, count) in counts.aborts {
            counter(&mut aborts, &[("route", *route), ("phase", phase)], &count)?;
        }
    }
    type Read = fn(&TrafficCounts) -> &Buckets;
    let times: [(&str, &str, Read); 3] = [
        ("request_duration_seconds", "From arrival until the client had its answer, or left.", |counts| {
            &counts.durations
        }),
        ("upstream_ttfb_seconds", "From admission to the head of the upstream's answer.", |counts| &counts.heads),
        ("permit_hold_seconds", "From admission until the permits came back.", |counts| &counts.holds),
    ];
    for (name, help, read) in times {
        let mut times = family(encoder, name, help, MetricType::Histogram)?;
        // What no route took goes nowhere and holds nothing.
        let all = name == "request_duration_seconds";
        for (route, counts) in traffic.iter().filter(|(route, _)| all || !route.is_empty()) {
            histogram(&mut times, &[("route", *route)], read(counts))?;
        }
    }
    let in_phases = proxy.in_phases([Phase::Upgraded, Phase::Abandoned]);
    for (at, (name, help)) in [
        ("inflight_upgrades", "Upgraded connections that hold a permit."),
        ("inflight_abandoned", "Requests whose clients are gone, and whose exchanges hold a permit."),
    ]
    .into_iter()
    .enumerate()
    {
        let mut gauges = family(encoder, name, help, MetricType::Gauge)?;
        for (limit, counts) in &in_phases {
            gauge(&mut gauges, &[("limit", *limit)], &counts[at])?;
        }
    }
    Ok(())
}
