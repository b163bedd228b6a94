//! Each metric that there is to be is there, with its labels and described, in both formats; and `docs/metrics.md` says so.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::admin::ask;
use crate::support::certificates::Ca;
use crate::support::{Sluicegate, Upstream, soon, until};

/// Names, kinds and labels, as dashboards and alerts out there know them.
const NAMES: &[(&str, &str, &str)] = &[
    ("requests", "counter", "route,code,outcome"),
    ("request_duration_seconds", "histogram", "route"),
    ("upstream_ttfb_seconds", "histogram", "route"),
    ("permit_hold_seconds", "histogram", "route"),
    ("inflight", "gauge", "limit"),
    ("inflight_peak", "gauge", "limit"),
    ("inflight_abandoned", "gauge", "limit"),
    ("inflight_upgrades", "gauge", "limit"),
    ("permits_unaccounted", "gauge", "limit"),
    ("limit", "gauge", "limit"),
    ("limit_configured", "gauge", "limit"),
    ("queue_length", "gauge", "limit"),
    ("queue_capacity", "gauge", "limit"),
    ("queue_wait_seconds", "histogram", "limit,outcome"),
    ("queue_oldest_seconds", "gauge", "limit"),
    ("admitted", "counter", "limit,priority"),
    ("queued", "counter", "limit"),
    ("rejected", "counter", "route,reason"),
    ("limit_rejected", "counter", "limit,reason"),
    ("dry_run_queued", "counter", "limit"),
    ("dry_run_rejected", "counter", "limit"),
    ("saturated_seconds", "counter", "limit"),
    ("keys_tracked", "gauge", "limit"),
    ("abandoned", "counter", "upstream"),
    ("upstream_connections", "gauge", "upstream,state"),
    ("upstream_errors", "counter", "upstream,kind"),
    ("endpoint_up", "gauge", "upstream,endpoint"),
    ("endpoint_inflight", "gauge", "upstream,endpoint"),
    ("retries", "counter", "upstream"),
    ("client_aborts", "counter", "route,phase"),
    ("config_reloads", "counter", "result"),
    ("file_reload_errors", "counter", ""),
    ("tls_not_after_seconds", "gauge", "cert"),
    ("log_dropped", "counter", ""),
    ("connections", "gauge", ""),
    ("build", "info", "version,commit,rustc"),
];

/// Those of a process, without our prefix.
const OF_PROCESS: &[(&str, &str)] = &[
    ("process_cpu_seconds", "counter"),
    ("process_resident_memory_bytes", "gauge"),
    ("process_virtual_memory_bytes", "gauge"),
    ("process_open_fds", "gauge"),
    ("process_max_fds", "gauge"),
    ("process_threads", "gauge"),
    ("process_start_time_seconds", "gauge"),
];

/// Labels of those that have no sample here: of limits that find themselves, once they have found something.
const SELDOM: &[(&str, &[&str])] = &[
    ("sluicegate_limit_shadow", &["limit"]),
    ("sluicegate_limit_baseline_seconds", &["limit"]),
    ("sluicegate_limit_changes", &["limit", "reason"]),
];

/// A family of samples, as OpenMetrics describes it.
#[derive(Debug, Default)]
struct Family {
    name: String,
    help: String,
    kind: String,
    labels: BTreeSet<String>,
    samples: usize,
}

impl Family {
    /// What its samples are called.
    fn suffixes(&self) -> &'static [&'static str] {
        match self.kind.as_str() {
            "counter" => &["_total"],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => &[""],
        }
    }
}

/// Everything in order; each sample must belong to the family that was described last.
fn families(open_metrics: &str) -> Vec<Family> {
    let text = open_metrics.strip_suffix("# EOF\n").expect("the end is marked");
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            assert!(families.iter().all(|family| family.name != name), "{name} is described twice");
            families.push(Family { name: name.to_owned(), help: help.to_owned(), ..Family::default() });
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let family = families.last_mut().filter(|family| family.name == name).expect("the help comes first");
            family.kind = kind.to_owned();
        } else {
            let family = families.last_mut().expect("a description comes first");
            let (name, labels) = line.split_once('{').unwrap_or_else(|| line.split_once(' ').expect("a sample"));
            let of_family = family.suffixes().iter().any(|suffix| name == format!("{}{suffix}", family.name));
            assert!(of_family, "{line} is none of {}, a {}", family.name, family.kind);
            family.samples += 1;
            let labels = labels.split("\",").filter_map(|label| label.split_once("=\""));
            family.labels.extend(labels.map(|(label, _)| label.to_owned()).filter(|label| label != "le"));
        }
    }
    families
}

/// One with a certificate, which must be there for as long as it runs.
pub(super) async fn certified(upstream: &Upstream) -> (Sluicegate, Ca) {
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    let tls = format!("tls = {{ cert = \"{}\", key = \"{}\" }}", ca.path("a.crt"), ca.path("a.key"));
    let setup = Sluicegate::with_limit(1).queue(0).admin().listen("tls:127.0.0.1:0").server(&tls);
    (setup.in_front_of(upstream).await, ca)
}

/// What one says that has had requests, and has a certificate.
async fn exposed() -> (String, String) {
    let mut upstream = Upstream::start().await;
    let (gate, _ca) = certified(&upstream).await;
    let mut client = gate.get("/answered").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    until("it to be counted", async || gate.metrics().await.keys().any(|name| name.contains("requests_total"))).await;
    let address = gate.admin_address();
    let host = format!("Host: {address}");
    let accept = "Accept: application/openmetrics-text";
    let open = ask(address, "GET /metrics", &[&host, accept], "").await.body.text();
    (open, ask(address, "GET /metrics", &[&host], "").await.body.text())
}

#[tokio::test]
async fn each_metric_is_there_with_its_labels_and_described_and_the_page_says_so() {
    let (open, classic) = exposed().await;
    let mut families = families(&open);
    for family in families.iter_mut().filter(|family| family.samples == 0) {
        let seldom = SELDOM.iter().find(|(name, _)| *name == family.name);
        family.labels.extend(seldom.into_iter().flat_map(|(_, labels)| *labels).map(|label| (*label).to_owned()));
    }
    let by_name: BTreeMap<&str, &Family> = families.iter().map(|family| (family.name.as_str(), family)).collect();
    let ours = NAMES.iter().map(|(name, kind, labels)| (format!("sluicegate_{name}"), *kind, *labels));
    let others = OF_PROCESS.iter().map(|(name, kind)| ((*name).to_owned(), *kind, ""));
    for (name, kind, labels) in ours.chain(others) {
        let family = by_name.get(name.as_str()).unwrap_or_else(|| panic!("there is no {name}"));
        let labels: BTreeSet<String> = labels.split(',').filter(|l| !l.is_empty()).map(str::to_owned).collect();
        assert_eq!((family.kind.as_str(), &family.labels), (kind, &labels), "{name}");
        assert!(family.samples > 0 && family.help.ends_with('.'), "{family:?}");
        // The older format describes a family by the name of its samples.
        let described = format!("{name}{}", if matches!(kind, "counter" | "info") { family.suffixes()[0] } else { "" });
        let kind = if kind == "info" { "gauge" } else { kind };
        let lines = format!("# HELP {described} {}\n# TYPE {described} {kind}\n", family.help);
        assert!(classic.contains(&lines), "{lines}");
    }
    for family in &families {
        let documented = family.name.starts_with("sluicegate_") || family.name.starts_with("process_");
        assert!(documented, "{family:?}");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let page = std::fs::read_to_string(file).expect("docs/metrics.md");
    let written = with_table(&page, &families);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(file, &written).expect("docs/metrics.md can be written");
    } else {
        assert!(written == page, "docs/metrics.md is not up to date: UPDATE_EXPECTED=1 cargo test --test e2e names");
    }
}

/// The page with this table in the place of its own.
fn with_table(page: &str, families: &[Family]) -> String {
    const BEGIN: &str = "<!-- metrics: written by tests/e2e/admin/names.rs -->\n";
    const END: &str = "<!-- end of the metrics -->\n";
    let (before, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where the table ends");
    let mut table = "| metric | labels | kind | |\n| --- | --- | --- | --- |\n".to_owned();
    for family in families {
        let suffix = if matches!(family.kind.as_str(), "counter" | "info") { family.suffixes()[0] } else { "" };
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = labels.join(", ");
        table += &format!("| `{}{suffix}` | {labels} | {} | {} |\n", family.name, family.kind, family.help);
    }
    format!("{before}{BEGIN}{table}{END}{after}")
}

/// The source says which fields there are, and in what order.
#[test]
fn the_page_has_each_field_of_the_access_log_in_its_order() {
    let source = include_str!("../../../src/access_log/line.rs");
    let (_, json) = source.split_once("fn write_json(").expect("where a line is written");
    let (json, _) = json.split_once("\n}\n").expect("its end");
    let named = json.split("name!(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
    let fields: Vec<_> = std::iter::once("kind").chain(named).collect();
    let page = include_str!("../../../docs/metrics.md");
    let (_, table) = page.split_once("## The access log").expect("a part about the access log");
    let told = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let told: Vec<_> = told.map(|(field, _)| field).collect();
    assert!(fields.len() > 20);
    assert_eq!(told, fields);
}
