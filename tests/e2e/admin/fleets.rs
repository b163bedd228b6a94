//! `deploy/`: the Grafana dashboard and the alerts ask for nothing that the binary does not expose.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::names::certified;
use crate::support::tools::{has, output_of};
use crate::support::{Upstream, soon, until};

const DASHBOARD: &str = include_str!("../../../deploy/grafana/sluicegate.json");
const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yml");

/// What Prometheus puts on what it scrapes.
const OF_PROMETHEUS: [&str; 2] = ["job", "instance"];

#[tokio::test]
async fn every_metric_and_label_that_is_asked_for_is_exposed() {
    let mut upstream = Upstream::start().await;
    let exposed = exposed(&mut upstream).await;
    let asked: Vec<String> = expressions().into_iter().chain([code_of(ALERTS)]).collect();
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for expression in &asked {
        for (at, _) in expression.match_indices("sluicegate_") {
            let (name, rest) = word(&expression[at..]);
            names.insert(name.to_owned());
            let Some(labels) = exposed.get(name) else {
                wrong.push(format!("{name} is not exposed: {expression}"));
                continue;
            };
            let selectors = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
            for selector in selectors.split(',').filter(|selector| !selector.is_empty()) {
                let (label, condition) = word(selector);
                let value = condition.trim_start_matches(['=', '~', '!']).trim_matches('"');
                let known = labels.get(label);
                if known.is_none() && !OF_PROMETHEUS.contains(&label) {
                    wrong.push(format!("{name} has no label {label}: {expression}"));
                }
                // The words are closed sets; names of limits are not, and come from variables.
                for value in value.split('|').filter(|value| !value.starts_with('$')) {
                    if known.is_some_and(|known| !known.contains(value)) {
                        wrong.push(format!("{name} is never {label}={value:?}: {expression}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Else this test has read nothing.
    assert!(asked.len() > 20 && names.len() > 10, "{asked:#?} {names:#?}");
}

#[tokio::test]
async fn what_is_grouped_by_is_a_label_of_what_is_asked_for() {
    let mut upstream = Upstream::start().await;
    let exposed = exposed(&mut upstream).await;
    for expression in expressions() {
        let metrics = expression.match_indices("sluicegate_").map(|(at, _)| word(&expression[at..]).0);
        let labels: BTreeSet<&str> =
            metrics.filter_map(|name| exposed.get(name)).flat_map(|labels| labels.keys().map(String::as_str)).collect();
        for by in expression.split(" by (").skip(1).filter_map(|rest| rest.split(')').next()) {
            for label in by.split(", ").filter(|label| !OF_PROMETHEUS.contains(label)) {
                assert!(labels.contains(label), "{label} in {expression}");
            }
        }
    }
}

#[tokio::test]
async fn promtool_takes_every_expression_and_the_alerts_go_off_when_they_should() {
    if !has("promtool") {
        return;
    }
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");
    let checked = output_of("promtool", &["check", "rules", &format!("{deploy}/alerts.yml")]).await;
    let alerts = ALERTS.matches("- alert: ").count();
    assert!(checked.contains(&format!("SUCCESS: {alerts} rules found")), "{checked}");
    let tested = output_of("promtool", &["test", "rules", &format!("{deploy}/alerts_test.yml")]).await;
    assert!(tested.contains("SUCCESS") && !tested.contains("FAILED"), "{tested}");

    // Each of the dashboard's as a rule of its own, with what Grafana would put into it.
    let rules = expressions().into_iter().enumerate().map(|(number, expression)| {
        let expression = expression.replace("$__rate_interval", "1m");
        serde_json::json!({ "record": format!("dashboard:{number}"), "expr": expression })
    });
    let rules: Vec<Value> = rules.collect();
    let file = format!("{}/dashboard-rules-{}.yml", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    // JSON is YAML.
    let text = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string();
    std::fs::write(&file, text).expect("cargo's directory for tests can be written");
    let checked = output_of("promtool", &["check", "rules", &file]).await;
    assert!(checked.contains(&format!("SUCCESS: {} rules found", rules.len())), "{checked}");
    let _ = std::fs::remove_file(file);
}

/// All expressions of the dashboard, those of its variables without Grafana's function around them.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    let mut found = Vec::new();
    let panels = dashboard["panels"].as_array().expect("panels");
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets")) {
        found.push(target["expr"].as_str().expect("an expression").to_owned());
    }
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    for query in variables.iter().filter_map(|variable| variable["query"]["query"].as_str()) {
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(", "));
        found.push(inner.expect("a query for the values of a label").0.to_owned());
    }
    found
}

/// A file without its comments.
fn code_of(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// The exposed metrics, with their labels and what values those have.
async fn exposed(upstream: &mut Upstream) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let (gate, _ca) = certified(upstream).await;
    // What has become of requests is there once there was one.
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    until("it to be counted", async || gate.metrics().await.keys().any(|name| name.contains("requests_total"))).await;
    let mut exposed: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for sample in gate.metrics().await.keys() {
        let (name, labels) = word(sample);
        let known = exposed.entry(name.to_owned()).or_default();
        let labels = labels.trim_start_matches('{').trim_end_matches('}');
        for (label, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
            known.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
        }
    }
    exposed
}

/// A name, and what follows it.
fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len()))
}
