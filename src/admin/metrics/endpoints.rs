//! What there is to say of the endpoints.

use std::fmt::Error;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::collector::{family, gauge};
use crate::proxy::{EndpointStatus, Shared};

pub(super) fn encode_endpoints(encoder: &mut DescriptorEncoder<'_>, proxy: &Shared) -> Result<(), Error> {
    type Read = fn(&EndpointStatus) -> u32;
    let gauges: [(&str, &str, Read); 2] = [
        ("endpoint_up", "Whether an endpoint gets new requests.", |endpoint| u32::from(endpoint.is_up())),
        ("endpoint_inflight", "Exchanges under way at an endpoint.", |endpoint| endpoint.in_flight),
    ];
    let upstreams: Vec<_> = proxy.upstreams().collect();
    for (name, help, read) in gauges {
        let mut gauges = family(encoder, name, help, MetricType::Gauge)?;
        for (upstream, endpoints) in &upstreams {
            for endpoint in endpoints {
                let labels = [("upstream", *upstream), ("endpoint", &*endpoint.name)];
                gauge(&mut gauges, &labels, &u64::from(read(endpoint)))?;
            }
        }
    }
    Ok(())
}
