//! What has become of requests, by their routes.

use std::collections::BTreeMap;

use crate::support::{AccessLog, Sluicegate, Upstream, soon, until};

/// The samples of `requests_total`, by what stands between its braces.
async fn requests(gate: &Sluicegate) -> BTreeMap<String, f64> {
    let samples = gate.metrics().await.into_iter();
    let requests = samples.filter_map(|(name, count)| {
        let labels = name.strip_prefix("sluicegate_requests_total{")?.strip_suffix('}')?.to_owned();
        Some((labels, count))
    });
    requests.collect()
}

#[tokio::test]
async fn each_request_is_counted_once_by_status_and_outcome() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1)
        .queue(0)
        .admin()
        .route("path = \"/api/*\"\nupgrade = \"deny\"")
        .in_front_of(&upstream)
        .await;
    for status in [200, 204, 404] {
        let mut client = gate.get("/api/answered").await;
        soon("the request", upstream.next()).await.respond(status, "").await;
        assert_eq!(client.answer().await.status, status);
    }
    let mut running = gate.get("/api/running").await;
    let call = soon("the request", upstream.next()).await;
    gate.get("/api/rejected").await.answer().await.expect(503, "no_permit");
    gate.get("/elsewhere").await.answer().await.expect(404, "no_route");
    let mut malformed = gate.client().await;
    malformed.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    malformed.answer().await.expect(400, "bad_request");
    let mut upgrade = gate.client().await;
    upgrade.request("GET", "/api/denied", &["Connection: upgrade", "Upgrade: a", "x-request-id: denied"]).await;
    upgrade.answer().await.expect(403, "upgrade_denied");
    let why = gate.command(&["why", "denied"]).await;
    assert!(why.stdout.contains(" 403 upgrade_denied (route default"), "{why:?}");
    // It went on a connection that was there before, and is sent again.
    call.close();
    soon("the request again", upstream.next()).await.close();
    running.answer().await.expect(502, "upstream_reset");
    let leaver = gate.get("/api/leaver").await;
    let call = soon("the request", upstream.next()).await;
    leaver.leave();
    let expected = [
        ("route=\"\",code=\"4xx\",outcome=\"refused\"", 2.0),
        ("route=\"default\",code=\"2xx\",outcome=\"completed\"", 2.0),
        ("route=\"default\",code=\"4xx\",outcome=\"client_gone\"", 1.0),
        ("route=\"default\",code=\"4xx\",outcome=\"completed\"", 1.0),
        ("route=\"default\",code=\"4xx\",outcome=\"refused\"", 1.0),
        ("route=\"default\",code=\"5xx\",outcome=\"failed\"", 1.0),
        ("route=\"default\",code=\"5xx\",outcome=\"rejected\"", 1.0),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(labels, count)| (labels.to_owned(), count)).into();
    until("all of them to be counted", async || requests(&gate).await == expected).await;

    let count = async |name: &str| gate.metrics().await[&format!("sluicegate_{name}_count{{route=\"default\"}}")];
    assert_eq!(count("request_duration_seconds").await, 7.0);
    assert_eq!(count("upstream_ttfb_seconds").await, 3.0);
    assert_eq!(count("permit_hold_seconds").await, 4.0, "one is still held for an exchange that goes on");
    call.close();
    until("the last permit to be back", async || count("permit_hold_seconds").await == 5.0).await;
}

#[tokio::test]
async fn what_is_held_until_the_head_is_counted_and_logged_up_to_there() {
    let (mut upstream, log) = (Upstream::start().await, AccessLog::new("hold-head"));
    let setup = Sluicegate::with_limit(1).route("hold = \"head\"").server(&log.table()).admin();
    let gate = setup.in_front_of(&upstream).await;
    let held =
        async |what: &str| gate.metrics().await[&format!("sluicegate_permit_hold_seconds_{what}{{route=\"default\"}}")];
    let mut client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    client.head().await;
    assert_eq!(held("count").await, 1.0, "its answer is under way, and its permit is back");
    let until_here = held("sum").await;
    // So long is the rest of the answer on its way.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    call.finish().await;
    let line = &log.about("/", 1).await[0];
    let [permit, ttfb, total] = ["permit_ms", "ttfb_ms", "total_ms"].map(|name| line[name].as_f64().expect(name));
    assert!(ttfb <= permit && permit + 50.0 <= total, "{line}");
    assert_eq!((held("count").await, held("sum").await), (1.0, until_here));
}

#[tokio::test]
async fn times_are_those_of_the_request_and_of_its_permit() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).admin().in_front_of(&upstream).await;
    let mut first = gate.get("/first").await;
    let call = soon("the request", upstream.next()).await;
    let mut second = gate.waiting("/second").await;
    // So long takes the first upstream, and the second in line.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    call.respond(200, "").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!((first.answer().await.status, second.answer().await.status), (200, 200));
    let sum = async |name: &str| gate.metrics().await[&format!("sluicegate_{name}_sum{{route=\"default\"}}")];
    until("both to be counted", async || sum("request_duration_seconds").await >= 0.4).await;
    for name in ["upstream_ttfb_seconds", "permit_hold_seconds"] {
        let held = sum(name).await;
        assert!((0.2..sum("request_duration_seconds").await - 0.19).contains(&held), "{name}: {held}");
    }
}

#[tokio::test]
async fn what_goes_wrong_with_an_upstream_is_counted_by_kind() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).admin().route("abort_grace = \"500ms\"");
    let gate = gate.in_front_of(&upstream).await;
    let sample = async |name: &str| gate.metrics().await[&format!("sluicegate_{name}")];
    let errors = async |kind: &str| {
        let kind = format!("upstream_errors_total{{upstream=\"default\",kind=\"{kind}\"}}");
        sample(&kind).await
    };
    let mut client = gate.client().await;
    client.post("/reset", "").await;
    soon("the request", upstream.next()).await.close();
    client.answer().await.expect(502, "upstream_reset");
    assert_eq!(errors("reset").await, 1.0);

    let mut client = gate.client().await;
    client.post("/broken", "").await;
    let mut call = soon("the request", upstream.next()).await;
    call.send_raw("NONSENSE\r\n\r\n").await.unwrap();
    client.answer().await.expect(502, "upstream_protocol");
    assert_eq!(errors("protocol").await, 1.0);

    let mut client = gate.get("/cut").await;
    let mut call = soon("the request", upstream.next()).await;
    call.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
    client.head().await;
    call.close();
    until("the cut answer to be counted", async || errors("reset").await == 2.0).await;

    // An upstream that works on, whatever it is told.
    let client = gate.get("/left").await;
    let call = soon("the request", upstream.next()).await;
    client.leave();
    let abandoned = "inflight_abandoned{limit=\"default\"}";
    until("the exchange to be abandoned", async || sample(abandoned).await == 1.0).await;
    until("its reset", async || sample("abandoned_total{upstream=\"default\"}").await == 1.0).await;
    until("the permit to be back", async || sample(abandoned).await == 0.0).await;
    drop(call);
}
