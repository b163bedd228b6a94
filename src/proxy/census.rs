//! Which fields a request has, of those that are looked for: taken once, since most have few of them, and to look for one
//! that is not there costs as much as for one that is.

use http::header::{ACCEPT, CONNECTION, EXPECT, FORWARDED, TE, TRANSFER_ENCODING, UPGRADE, VIA};
use http::{HeaderMap, HeaderName};

use super::claim::{ENVOY_TIMEOUT, GRPC_TIMEOUT, REQUEST_DEADLINE, REQUEST_TIMEOUT};
use super::headers::X_REQUEST_ID;
use crate::telemetry::TRACEPARENT;

/// The fields that were there when the request arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Census(u16);

/// Fields that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    Accept,
    Expect,
    Forwarded,
    RequestId,
    /// Any that says until when the client waits.
    Deadline,
    Te,
    TraceParent,
    Upgrade,
    Via,
    /// Any that concerns the connection only, `TE` and `Upgrade` among them.
    HopByHop,
}

impl Census {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let all = headers.keys().fold(0, |all, name| all | fields(name));
        Census(all)
    }

    #[inline]
    pub(super) fn has(self, field: Field) -> bool {
        self.0 & 1 << field as u8 != 0
    }
}

/// What a name stands for. Most names are told by their length.
#[inline]
fn fields(name: &HeaderName) -> u16 {
    use Field::{Accept, Deadline, Expect, Forwarded, HopByHop, RequestId, Te, TraceParent, Upgrade, Via};
    let found: &[Field] = match name.as_str().len() {
        2 if *name == TE => &[Te, HopByHop],
        3 if *name == VIA => &[Via],
        6 if *name == ACCEPT => &[Accept],
        6 if *name == EXPECT => &[Expect],
        7 if *name == UPGRADE => &[Upgrade, HopByHop],
        9 if *name == FORWARDED => &[Forwarded],
        10 if *name == CONNECTION || name == "keep-alive" => &[HopByHop],
        11 if *name == TRACEPARENT => &[TraceParent],
        12 if *name == X_REQUEST_ID => &[RequestId],
        12 if *name == GRPC_TIMEOUT => &[Deadline],
        14 if name == "http2-settings" => &[HopByHop],
        16 if name == "proxy-connection" => &[HopByHop],
        17 if *name == TRANSFER_ENCODING => &[HopByHop],
        17 if *name == REQUEST_TIMEOUT => &[Deadline],
        18 if *name == REQUEST_DEADLINE => &[Deadline],
        30 if *name == ENVOY_TIMEOUT => &[Deadline],
        _ => &[],
    };
    found.iter().fold(0, |all, field| all | 1 << *field as u8)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::upstream::headers::is_hop_by_hop;

    const NAMES: [&str; 20] = [
        "accept",
        "connection",
        "expect",
        "forwarded",
        "grpc-timeout",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "traceparent",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-envoy-expected-rq-timeout-ms",
        "x-request-deadline",
        "x-request-id",
        "x-request-timeout",
        "host",
        "accept-encoding",
        "x-request-xy",
    ];

    fn census(name: &'static str) -> Census {
        Census::of(&HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("a"))]))
    }

    #[test]
    fn each_field_is_found_and_no_other() {
        for (field, names) in [
            (Field::Accept, &["accept"][..]),
            (Field::Expect, &["expect"]),
            (Field::Forwarded, &["forwarded"]),
            (Field::RequestId, &["x-request-id"]),
            (
                Field::Deadline,
                &["grpc-timeout", "x-envoy-expected-rq-timeout-ms", "x-request-deadline", "x-request-timeout"],
            ),
            (Field::Te, &["te"]),
            (Field::TraceParent, &["traceparent"]),
            (Field::Upgrade, &["upgrade"]),
            (Field::Via, &["via"]),
        ] {
            let found: Vec<_> = NAMES.into_iter().filter(|name| census(name).has(field)).collect();
            assert_eq!(found, names, "{field:?}");
        }
    }

    #[test]
    fn all_that_concerns_the_connection_is_found() {
        for name in NAMES {
            assert_eq!(census(name).has(Field::HopByHop), is_hop_by_hop(&HeaderName::from_static(name)), "{name}");
        }
        let all: HeaderMap =
            NAMES.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("a"))).into_iter().collect();
        assert_eq!(Census::of(&all), Census(0x3ff));
        assert_eq!(Census::of(&HeaderMap::new()), Census(0));
    }
}
