//! Spans of requests, at a collector of OpenTelemetry.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::collector::{self, Collector, attribute, hex};
use crate::support::message::Head;
use crate::support::{AccessLog, Sluicegate, Upstream, soon, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SAMPLED: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// What a request says of its trace.
fn told(head: &Head) -> Vec<String> {
    let of = |name: &'static str| head.all(name).into_iter().map(move |value| format!("{name}: {value}"));
    ["traceparent", "tracestate"].into_iter().flat_map(of).collect()
}

fn assert_says(span: &Span, expected: serde_json::Value) {
    for (name, value) in expected.as_object().expect("names and values") {
        assert_eq!(attribute(span, name), *value, "{name} of {span:#?}");
    }
}

#[tokio::test]
async fn a_traced_request_goes_on_in_its_trace_and_leaves_spans_of_itself_and_its_exchange() {
    let (mut collector, log) = (Collector::start().await, AccessLog::new("traces"));
    let mut upstream = Upstream::start().await;
    let tables = format!("{}\n{}", log.table(), collector.table("sample = 0"));
    let gate = Sluicegate::with_limit(3).server(&tables).in_front_of(&upstream).await;
    let mut client = gate.client().await;
    let fields = [SAMPLED, "tracestate: a=1,b=2", "User-Agent: me", "X-Request-Id: one", "Content-Length: 5"];
    client.request("POST", "/asked?secret=1", &fields).await;
    client.send("hello").await;
    let mut call = soon("the request", upstream.next()).await;
    call.body().await.unwrap();
    let heard = told(&call.head);
    call.respond(404, "abc").await;
    assert_eq!(client.answer().await.status, 404);

    let trace = collector.trace_of("/asked").await;
    let (server, exchange) = (trace.server(), trace.client());
    assert_eq!((trace.0.len(), hex(&server.trace_id)), (2, TRACE.to_owned()));
    assert_eq!((hex(&server.parent_span_id), &server.trace_state), ("00f067aa0ba902b7".into(), &"a=1,b=2".into()));
    assert_eq!(exchange.parent_span_id, server.span_id);
    let parent = format!("traceparent: 00-{TRACE}-{}-01", hex(&exchange.span_id));
    assert_eq!(heard, [parent.as_str(), "tracestate: a=1,b=2"]);

    assert_eq!((server.name.as_str(), exchange.name.as_str()), ("default", "POST"));
    let common = json!({ "http.request.method": "POST", "http.response.status_code": 404 });
    assert_says(server, common.clone());
    assert_says(exchange, common);
    assert_says(
        server,
        json!({
            "url.path": "/asked", "url.scheme": "http", "client.address": "127.0.0.1", "user_agent.original": "me",
            "network.protocol.version": "1.1", "http.request.body.size": 5, "http.response.body.size": 3,
            "sluicegate.request_id": "one", "sluicegate.route": "default", "sluicegate.limit": "default",
            "sluicegate.outcome": "completed", "sluicegate.queue_ms": 0.0, "sluicegate.inflight": 1,
            "error.type": null, "sluicegate.reason": null,
        }),
    );
    let port = upstream.address.port();
    assert_says(
        exchange,
        json!({
            "url.full": format!("http://127.0.0.1:{port}/asked"), "server.address": "127.0.0.1", "server.port": port,
            "error.type": "404", "sluicegate.upstream": "default", "sluicegate.connection_reused": false,
        }),
    );
    // The server has done what it should; whoever asked for what is not there has failed.
    assert_eq!((server.status.is_none(), exchange.status.as_ref().map(|status| status.code)), (true, Some(2)));
    assert!(!format!("{trace:?}").contains("secret"), "{trace:#?}");
    let times = [server, exchange].map(|span| (span.start_time_unix_nano, span.end_time_unix_nano));
    assert!(times[0].0 <= times[1].0 && times[1].0 < times[1].1 && times[1].1 <= times[0].1, "{times:?}");
    assert_eq!(log.about("/asked", 1).await[0]["trace_id"], TRACE);
}

#[tokio::test]
async fn a_wait_is_a_span_of_its_own_and_so_is_one_that_was_in_vain() {
    let mut collector = Collector::start().await;
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).route("queue = 2").server(&collector.table("")).in_front_of(&upstream).await;
    let mut first = gate.get("/first").await;
    let call = soon("the first", upstream.next()).await;
    let mut second = gate.waiting("/second").await;
    let left = gate.waiting("/left").await;
    gate.get("/rejected").await.answer().await.expect(503, "queue_full");
    left.leave();
    assert_eq!(collector.trace_of("/left").await.of_kind(3), None);
    call.respond(200, "").await;
    soon("the second", upstream.next()).await.respond(500, "").await;
    assert_eq!((first.answer().await.status, second.answer().await.status), (200, 500));

    let trace = collector.trace_of("/second").await;
    let (server, queue) = (trace.server(), trace.queue());
    assert_eq!((queue.parent_span_id == server.span_id, queue.name.as_str()), (true, "queue"));
    assert_says(
        queue,
        json!({ "sluicegate.limit": "default", "sluicegate.queue_position": 0, "sluicegate.reason": null }),
    );
    assert_says(server, json!({ "error.type": "500", "sluicegate.queue_position": 0 }));
    assert_eq!(server.status.as_ref().map(|status| status.code), Some(2));
    let waited = (queue.end_time_unix_nano - queue.start_time_unix_nano) as f64 / 1e6;
    let said = attribute(server, "sluicegate.queue_ms").as_f64().unwrap();
    assert!(said > 0.0 && (waited - said).abs() < 0.01, "{waited} {said}");
    assert!(queue.end_time_unix_nano <= trace.client().start_time_unix_nano, "{trace:#?}");

    let trace = collector.trace_of("/rejected").await;
    assert_eq!(trace.of_kind(3), None);
    let expected = json!({
        "http.response.status_code": 503, "error.type": "queue_full", "sluicegate.reason": "queue_full",
        "sluicegate.outcome": "rejected", "sluicegate.limit": "default",
    });
    assert_says(trace.server(), expected);

    let trace = collector.trace_of("/left").await;
    assert!(attribute(trace.server(), "sluicegate.queue_ms").as_f64().unwrap() > 0.0);
    let expected = json!({
        "http.response.status_code": null, "error.type": "client_closed", "sluicegate.outcome": "client_gone",
        "sluicegate.client_gone": "queued",
    });
    assert_says(trace.server(), expected);
    assert_eq!(trace.queue().parent_span_id, trace.server().span_id);
}

#[tokio::test]
async fn what_is_not_traced_goes_on_as_it_came() {
    let mut collector = Collector::start().await;
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).server(&collector.table("sample = 0")).in_front_of(&upstream).await;
    let malformed = "traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
    for (path, fields) in
        [("/none", vec![]), ("/unsampled", vec![UNSAMPLED, "tracestate: a=1"]), ("/malformed", vec![malformed])]
    {
        let mut client = gate.client().await;
        client.request("GET", path, &fields).await;
        let call = soon("the request", upstream.next()).await;
        let heard = told(&call.head);
        assert_eq!(heard, fields, "{path}");
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
    let mut client = gate.client().await;
    client.request("GET", "/sampled", &[SAMPLED]).await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    collector.trace_of("/sampled").await;
    assert_eq!(collector.paths(), ["/sampled"]);
}

#[tokio::test]
async fn a_traceparent_that_says_nothing_gives_way_to_ours_and_one_that_says_no_stands() {
    let (mut collector, log) = (Collector::start().await, AccessLog::new("traces-ours"));
    let mut upstream = Upstream::start().await;
    let tables = format!("{}\n{}", log.table(), collector.table("sample = 1"));
    let gate = Sluicegate::with_limit(3).server(&tables).in_front_of(&upstream).await;
    for (path, fields) in [
        ("/none", vec![]),
        ("/malformed", vec!["traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "tracestate: a=1"]),
        ("/two", vec![SAMPLED, SAMPLED]),
    ] {
        let mut client = gate.client().await;
        client.request("GET", path, &fields).await;
        let call = soon("the request", upstream.next()).await;
        let heard = told(&call.head);
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
        let trace = collector.trace_of(path).await;
        let id = hex(&trace.server().trace_id);
        assert_ne!(id, TRACE, "{path}");
        assert_eq!(heard, [format!("traceparent: 00-{id}-{}-01", hex(&trace.client().span_id))], "{path}");
        assert!(trace.server().parent_span_id.is_empty() && trace.server().trace_state.is_empty(), "{path}");
        assert_eq!(log.about(path, 1).await[0]["trace_id"], json!(id), "{path}");
    }
    let mut client = gate.client().await;
    client.request("GET", "/unsampled", &[UNSAMPLED]).await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.head.all("traceparent"), [UNSAMPLED.split_once(": ").unwrap().1]);
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(log.about("/unsampled", 1).await[0]["trace_id"], TRACE);
    let mut last = gate.get("/last").await;
    soon("the last", upstream.next()).await.respond(200, "").await;
    assert_eq!(last.answer().await.status, 200);
    collector.trace_of("/last").await;
    assert!(!collector.paths().iter().any(|path| path == "/unsampled"), "{:?}", collector.paths());
}

#[tokio::test]
async fn a_collector_that_is_gone_or_silent_delays_nothing_and_keeps_nobody_from_ending() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for place in [silent.local_addr().unwrap(), gone] {
        let upstream = Upstream::that(|call| call.respond(200, "")).await;
        let table = collector::table(&format!("http://{place}"), "");
        let gate = Sluicegate::with_limit(3).server(&table).in_front_of(&upstream).await;
        for _ in 0..50 {
            assert_eq!(gate.get("/").await.answer().await.status, 200);
        }
        gate.terminate();
        assert_eq!(gate.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn what_a_collector_refuses_for_now_is_sent_again_and_what_it_refuses_for_good_is_counted() {
    let mut collector = Collector::that_answers(&[503, 200, 400]).await;
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let mut gate = Sluicegate::with_limit(3).server(&collector.table("")).admin().in_front_of(&upstream).await;
    let counted = async |gate: &Sluicegate| {
        let metrics = gate.metrics().await;
        (metrics["sluicegate_traces_exported_total"], metrics["sluicegate_traces_dropped_total"])
    };
    assert_eq!(gate.get("/again").await.answer().await.status, 200);
    until("the first batch to be taken", async || counted(&gate).await == (1.0, 0.0)).await;
    assert_eq!(collector.batches(), 2);
    gate.said("its answer is 503").await;
    assert_eq!(gate.get("/refused").await.answer().await.status, 200);
    until("the second batch to be lost", async || counted(&gate).await == (1.0, 1.0)).await;
    assert_eq!(gate.get("/taken").await.answer().await.status, 200);
    collector.trace_of("/taken").await;
    gate.said("spans arrive again").await;
    assert_eq!((collector.paths(), collector.batches()), (vec!["/taken".to_owned()], 4));
}

#[tokio::test]
async fn where_spans_go_takes_a_restart_and_a_reload_leaves_it_as_it_was() {
    let (mut collector, log) = (Collector::start().await, AccessLog::new("traces-reload"));
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let gate = Sluicegate::with_limit(3).server(&collector.table("")).admin().in_front_of(&upstream).await;
    let elsewhere = format!("{}\n{}", log.table(), collector::table("http://127.0.0.1:1", "sample = 0"));
    gate.rewrite(&Sluicegate::with_limit(4).server(&elsewhere).text(&upstream.url()));
    let reloaded = gate.command(&["reload"]).await;
    assert_eq!((reloaded.code, gate.limit_status().await["limit"].clone()), (Some(0), json!(4)), "{reloaded:?}");
    for key in ["endpoint", "sample"] {
        let said = format!("warning: tracing.{key} has changed: that takes a restart");
        assert!(reloaded.stderr.contains(&said), "{reloaded:?}");
    }
    assert_eq!(gate.get("/after").await.answer().await.status, 200);
    let traced = collector.trace_of("/after").await;
    // The log is the new one.
    assert_eq!(log.about("/after", 1).await[0]["trace_id"], json!(hex(&traced.server().trace_id)));
}

#[tokio::test]
async fn the_last_spans_are_sent_before_the_end() {
    let mut collector = Collector::start().await;
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let gate = Sluicegate::with_limit(3).server(&collector.table("")).in_front_of(&upstream).await;
    assert_eq!(gate.get("/last").await.answer().await.status, 200);
    gate.terminate();
    assert_eq!(gate.exit_code().await, Some(0));
    collector.trace_of("/last").await;
}
