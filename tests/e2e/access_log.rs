//! What the lines of the access log say, and which of them there are.

use serde_json::json;

use crate::support::{AccessLog, Sluicegate, Upstream, soon, until};

#[tokio::test]
async fn a_line_says_what_was_asked_for_and_what_it_took() {
    let log = AccessLog::new("access-log");
    let mut upstream = Upstream::start().await;
    let rules = "priority = \"high\"\ncost = 2";
    let headers = "headers = [\"User-Agent\", \"x-tenant\", \"x-none\"]";
    let setup = Sluicegate::with_limit(3).queue(5).route(rules).server(&format!("{}\n{headers}", log.table()));
    let gate = setup.in_front_of(&upstream).await;
    let mut client = gate.client().await;
    for path in ["/new", "/reused"] {
        let fields =
            ["User-Agent: a \"b\"", "X-Tenant: c", "X-Tenant: d", "Authorization: Bearer secret", "Content-Length: 5"];
        client.request("POST", path, &fields).await;
        client.send("hello").await;
        let mut call = soon("the request", upstream.next()).await;
        assert_eq!(call.body().await.unwrap().text(), "hello");
        call.respond(200, "abc").await;
        assert_eq!(client.answer().await.status, 200);
    }
    let (first, second) = (&log.about("/new", 1).await[0], &log.about("/reused", 1).await[0]);
    for (line, reused) in [(first, false), (second, true)] {
        assert_eq!((&line["priority"], &line["cost"]), (&json!("high"), &json!(2)), "{line}");
        assert_eq!((&line["req_bytes"], &line["resp_bytes"]), (&json!(5), &json!(3)), "{line}");
        assert_eq!(line["headers"], json!({"user-agent": "a \"b\"", "x-tenant": "c, d"}));
        assert_eq!((line["conn_reused"] == true, line.get("connect_ms").is_some()), (reused, !reused), "{line}");
        let [permit, ttfb, total] = ["permit_ms", "ttfb_ms", "total_ms"].map(|name| line[name].as_f64().expect(name));
        assert!(ttfb <= permit && permit <= total, "{line}");
        assert!(!line.to_string().contains("secret"), "{line}");
    }
}

#[tokio::test]
async fn a_storm_of_rejections_leaves_so_many_lines_a_second_and_the_rest_is_counted() {
    let log = AccessLog::new("reject-burst");
    let mut upstream = Upstream::start().await;
    let table = format!("{}\nreject_burst = 0", log.table());
    let gate = Sluicegate::with_limit(1).queue(0).server(&table).admin().in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    for _ in 0..3 {
        gate.get("/rejected").await.answer().await.expect(503, "no_permit");
    }
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    log.about("/holder", 1).await;
    assert!(!log.lines().iter().any(|line| line["path"] == "/rejected"), "{:#?}", log.lines());
    let metrics = gate.metrics().await;
    assert_eq!((metrics["sluicegate_log_suppressed_total"], metrics["sluicegate_log_dropped_total"]), (3.0, 0.0));
}

#[tokio::test]
async fn clients_that_leave_are_counted_by_where_their_requests_were() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(2).queue(5).admin().in_front_of(&upstream).await;
    let aborts = async |phase: &str| {
        gate.metrics().await[&format!("sluicegate_client_aborts_total{{route=\"default\",phase=\"{phase}\"}}")]
    };
    let count = async |phase: &str| until(phase, async || aborts(phase).await == 1.0).await;
    let answered = gate.get("/answered").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    let unanswered = gate.get("/unanswered").await;
    let other = soon("the other request", upstream.next()).await;
    gate.waiting("/waits").await.leave();
    count("queued").await;
    unanswered.leave();
    count("upstream").await;
    let mut answered = answered;
    answered.head().await;
    answered.abort();
    count("response").await;
    call.close();
    other.close();
    let mut served = gate.get("/served").await;
    soon("one that stays", upstream.next()).await.respond(200, "").await;
    assert_eq!(served.answer().await.status, 200);
    for phase in ["queued", "upstream", "response"] {
        assert_eq!(aborts(phase).await, 1.0, "{phase}");
    }
}
