//! `[tracing]`.

use config::{Value, ValueKind};

use super::address;
use super::report::Report;
use super::section::Section;
use super::value::{Taken, as_text, is_outside_files, wrong, wrong_with_help};
use crate::tls;
use crate::traces::Settings;
use crate::upstream::{self, Protocol};

/// Reads which requests are traced, and where their spans go. `None` where that is not asked for, or has been reported.
pub(super) fn read(mut section: Section<'_>, report: &Report) -> Option<Settings> {
    if !section.has_more() {
        return None;
    }
    if cfg!(not(feature = "otel")) {
        let message = "cannot be used: this build has no OTLP export";
        report.error(section.problem_of_all(message).help("build with --features otel, or remove the table"));
        return None;
    }
    let help = "write endpoint = \"http://127.0.0.1:4318\", where the collector takes OTLP over HTTP";
    let collector = section.require("endpoint", collector, help);
    let sample = section.take_or("sample", share, 1.0);
    if collector.as_ref().is_some_and(|collector| collector.endpoints[0].port == GRPC) {
        let message = "has the port of OTLP over gRPC, and spans are sent over HTTP";
        report.warning(section.problem("endpoint", message).help("collectors listen for that on 4318, as a rule"));
    }
    section.finish(&[]);
    Some(Settings { collector: collector?, sample })
}

/// The port that collectors have for gRPC.
const GRPC: u16 = 4317;

/// Where spans are posted to, below a collector's own path.
const PATH: &str = "/v1/traces";

fn collector(value: &Value) -> Taken<upstream::Settings> {
    const EXPECTED: &str = "must be a URL such as \"http://127.0.0.1:4318\"";
    let (protocol, endpoint, base_path) = match as_text(value) {
        Some(text) if text.starts_with("h2c:") || text.starts_with("unix:") => return wrong(EXPECTED),
        _ => address::url(value)?,
    };
    let tls = match protocol {
        Protocol::Tls => match tls::Client::try_new(tls::ClientSettings::default()) {
            Ok(tls) if tls.can_name(&endpoint.host) => Some(tls),
            Ok(_) => return wrong("has a host that no certificate names"),
            Err(error) => return wrong_with_help("cannot be reached by TLS", error.to_string()),
        },
        Protocol::Http1 | Protocol::H2c => None,
    };
    // Some write the whole path.
    let base_path = format!("{}{PATH}", base_path.strip_suffix(PATH).unwrap_or(&base_path));
    Ok(upstream::Settings { protocol, tls, base_path, ..upstream::Settings::new("tracing", endpoint) })
}

fn share(value: &Value) -> Taken<f64> {
    const EXPECTED: &str = "must be a number from 0 to 1, such as 0.1";
    let outside = value.origin().is_some_and(is_outside_files);
    let share = match &value.kind {
        ValueKind::Float(share) => Some(*share),
        ValueKind::I128(share) => Some(*share as f64),
        ValueKind::String(text) if outside => text.trim().parse().ok(),
        _ => None,
    };
    match share.filter(|share| (0.0..=1.0).contains(share)) {
        Some(share) => Ok(share),
        None => match as_text(value).and_then(|text| text.trim().strip_suffix('%')?.trim().parse::<f64>().ok()) {
            Some(percent) => wrong_with_help(EXPECTED, format!("did you mean {}?", percent / 100.0)),
            None => wrong(EXPECTED),
        },
    }
}
