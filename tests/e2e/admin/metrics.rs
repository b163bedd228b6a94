//! The metrics agree with what has happened.

use crate::support::admin::{ask, samples};
use crate::support::tools::{has, output_of};
use crate::support::{Sluicegate, Upstream, soon, until};

#[tokio::test]
async fn metrics_count_what_happens() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).admin().in_front_of(&upstream).await;
    let mut running = gate.get("/runs").await;
    let call = soon("the request", upstream.next()).await;
    let mut waiting = gate.waiting("/waits").await;
    gate.get("/too-many").await.answer().await.expect(503, "queue_full");
    let expect = async |expected: &[(&str, f64)]| {
        let samples = gate.metrics().await;
        for (name, value) in expected {
            let name = format!("sluicegate_{name}");
            assert_eq!(samples.get(&name), Some(value), "{name} in {samples:#?}");
        }
    };
    expect(&[
        ("inflight{limit=\"default\"}", 1.0),
        ("limit{limit=\"default\"}", 1.0),
        ("limit_configured{limit=\"default\"}", 1.0),
        ("queue_length{limit=\"default\"}", 1.0),
        ("queue_capacity{limit=\"default\"}", 1.0),
        ("admitted_total{limit=\"default\",priority=\"normal\"}", 1.0),
        ("queued_total{limit=\"default\"}", 1.0),
        ("limit_rejected_total{limit=\"default\",reason=\"queue_full\"}", 1.0),
        ("limit_rejected_total{limit=\"default\",reason=\"queue_timeout\"}", 0.0),
        ("rejected_total{route=\"default\",reason=\"queue_full\"}", 1.0),
        ("queue_wait_seconds_count{limit=\"default\",outcome=\"admitted\"}", 0.0),
        (concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ])
    .await;
    let now = gate.metrics().await;
    assert!(now["sluicegate_queue_oldest_seconds{limit=\"default\"}"] > 0.0);
    assert!(now["sluicegate_connections"] >= 2.0);

    gate.ask_admin("PATCH /api/v1/limits/default", r#"{"limit":2,"queue":7}"#).await;
    soon("the waiter", upstream.next()).await.respond(200, "").await;
    call.respond(200, "").await;
    assert_eq!((running.answer().await.status, waiting.answer().await.status), (200, 200));
    until("the permits to be back", async || gate.limit_status().await["in_flight"] == 0).await;
    expect(&[
        ("inflight{limit=\"default\"}", 0.0),
        ("limit{limit=\"default\"}", 2.0),
        ("limit_configured{limit=\"default\"}", 1.0),
        ("queue_length{limit=\"default\"}", 0.0),
        ("queue_capacity{limit=\"default\"}", 7.0),
        ("queue_oldest_seconds{limit=\"default\"}", 0.0),
        ("admitted_total{limit=\"default\",priority=\"normal\"}", 2.0),
        ("queue_wait_seconds_count{limit=\"default\",outcome=\"admitted\"}", 1.0),
        ("queue_wait_seconds_bucket{le=\"+Inf\",limit=\"default\",outcome=\"admitted\"}", 1.0),
        ("queue_wait_seconds_count{limit=\"default\",outcome=\"rejected\"}", 0.0),
    ])
    .await;
}

#[tokio::test]
async fn both_text_formats_are_spoken_and_hold_the_same_samples() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let address = gate.admin_address();
    let host = format!("Host: {address}");
    let classic = ask(address, "GET /metrics", &[&host], "").await;
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    let open = ask(address, "GET /metrics", &[&host, accept], "").await;
    assert_eq!(classic.head.field("content-type").as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    let open_type = open.head.field("content-type");
    assert_eq!(open_type.as_deref(), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let (classic, open) = (classic.body.text(), open.body.text());
    assert!(open.ends_with("# EOF\n") && !classic.contains("# EOF"));
    assert!(open.contains("# TYPE sluicegate_admitted counter\n"));
    assert!(classic.contains("# TYPE sluicegate_admitted_total counter\n"));
    assert_eq!(samples(&classic), samples(&open));
    for (bucket, count) in samples(&open).iter().filter(|(name, _)| name.contains("_bucket{")) {
        assert!(bucket.contains("le=\"") && *count == 0.0, "{bucket}");
    }
}

#[tokio::test]
async fn promtool_takes_the_metrics() {
    if !has("promtool") || !has("curl") {
        return;
    }
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let command = format!("curl -s http://{}/metrics | promtool check metrics && echo taken", gate.admin_address());
    assert_eq!(output_of("sh", &["-c", &command]).await.trim(), "taken");
}
