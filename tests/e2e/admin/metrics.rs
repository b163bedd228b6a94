//! The metrics agree with what has happened.

use crate::support::admin::{ask, samples};
use crate::support::tools::{has, output_of};
use crate::support::{Client, Sluicegate, Upstream, soon, until};

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
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.9";
    let preferred = ask(address, "GET /metrics", &[&host, accept], "").await.head.field("content-type");
    assert_eq!(preferred.as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    let open = ask(address, "GET /metrics", &[&host, accept], "").await;
    assert_eq!(classic.head.field("content-type").as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    let open_type = open.head.field("content-type");
    assert_eq!(open_type.as_deref(), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let (classic, open) = (classic.body.text(), open.body.text());
    assert!(open.ends_with("# EOF\n") && !classic.contains("# EOF"));
    assert!(open.contains("# TYPE sluicegate_admitted counter\n"));
    assert!(classic.contains("# TYPE sluicegate_admitted_total counter\n"));
    // What a process uses changes from one scrape to the next.
    let ours =
        |text: &str| samples(text).into_iter().filter(|(name, _)| name.starts_with("sluicegate_")).collect::<Vec<_>>();
    assert_eq!(ours(&classic), ours(&open));
    let version = concat!("sluicegate_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\",");
    let info = ours(&open).into_iter().find(|(name, _)| name.starts_with(version)).expect("what is running").0;
    assert!(info.contains("rustc=\"1."), "{info}");
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

#[tokio::test]
async fn under_load_with_clients_that_leave_all_permits_are_accounted_for_and_the_peak_is_the_limit() {
    const LIMIT: u32 = 4;
    let upstream = Upstream::that(|call| async move { call.respond(200, "").await }).await;
    let setup = Sluicegate::with_limit(LIMIT as usize).queue(50).admin().route("on_client_gone = \"reset\"");
    let gate = setup.in_front_of(&upstream).await;
    let address = gate.address;
    let clients = (0..12).map(|client| {
        tokio::spawn(async move {
            let mut connection = Client::connect(address).await;
            for request in 0..100 {
                connection.get("/").await;
                if client % 3 == 0 && request % 5 == 0 {
                    connection.leave();
                    connection = Client::connect(address).await;
                } else {
                    assert_eq!(connection.answer().await.status, 200);
                }
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let unaccounted = "sluicegate_permits_unaccounted{limit=\"default\"}";
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        assert_eq!(gate.metrics().await[unaccounted], 0.0);
    }
    for client in clients {
        client.await.unwrap();
    }
    until("the permits to be back", async || gate.limit_status().await["in_flight"] == 0).await;
    let (one, other) = (gate.metrics().await, gate.metrics().await);
    let value = |name: &str| one[&format!("sluicegate_{name}{{limit=\"default\"}}")];
    assert_eq!((one[unaccounted], value("inflight_peak")), (0.0, f64::from(LIMIT)));
    let seconds = "saturated_seconds_total";
    assert!(value(seconds) > 0.0, "the limit was never full");
    assert_eq!(value(seconds), other[&format!("sluicegate_{seconds}{{limit=\"default\"}}")], "nobody holds it full");
}
