//! What the lines of the access log say, and which of them there are.

use std::io::{BufRead, BufReader};

use serde_json::json;

use crate::support::stdout::{Screen, Stdout};
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
    for _ in 0..2 {
        gate.get("/rejected").await.answer().await.expect(503, "no_permit");
    }
    // What anybody can cause at no cost is a storm, too.
    let mut refused = gate.client().await;
    refused.send("GET /rejected HTTP/1.1\r\n\r\n").await;
    refused.answer().await.expect(400, "bad_request");
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    log.about("/holder", 1).await;
    assert!(!log.lines().iter().any(|line| line["path"] == "/rejected"), "{:#?}", log.lines());
    let metrics = gate.metrics().await;
    assert_eq!((metrics["sluicegate_log_suppressed_total"], metrics["sluicegate_log_dropped_total"]), (3.0, 0.0));
    let missing = || log.lines().into_iter().find(|line| line["kind"] == "missing");
    until("the log to say what it lacks", async || missing().is_some()).await;
    assert_eq!((&missing().unwrap()["suppressed"], &missing().unwrap()["dropped"]), (&json!(3), &json!(0)));
}

#[tokio::test]
async fn lines_have_the_fields_that_are_promised() {
    let log = AccessLog::new("fields");
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).server(&log.table()).in_front_of(&upstream).await;
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let mut waiter = gate.client().await;
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    waiter.request("GET", "/waiter?secret=1", &[trace, "Authorization: Basic secret", "Cookie: secret"]).await;
    waiter.settled().await;
    gate.get("/rejected").await.answer().await.expect(503, "queue_full");
    call.respond_then_close(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    soon("the waiter", upstream.next()).await.respond(200, "").await;
    assert_eq!(waiter.answer().await.status, 200);
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let leaver = gate.waiting("/leaver").await;
    leaver.leave();
    let names = |line: &serde_json::Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let sorted = |names: &str| {
        let mut names: Vec<_> = names.split_whitespace().map(str::to_owned).collect();
        names.sort();
        names
    };
    let line = &log.about("/waiter", 1).await[0];
    let all = "kind ts request_id trace_id client_ip method host path proto status outcome route limit priority cost queue_ms \
               queue_pos inflight connect_ms ttfb_ms total_ms permit_ms upstream endpoint conn_reused retries req_bytes resp_bytes";
    assert_eq!(names(line), sorted(all));
    assert_eq!((&line["queue_pos"], &line["inflight"], &line["outcome"]), (&json!(0), &json!(1), &json!("completed")));
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(line["queue_ms"].as_f64().unwrap() > 0.0 && !line.to_string().contains("secret"), "{line}");
    let line = &log.about("/rejected", 1).await[0];
    let rejected = "kind ts request_id client_ip method host path proto status outcome reason route limit priority cost queue_ms \
                    queue_pos total_ms upstream retries req_bytes resp_bytes";
    assert_eq!(names(line), sorted(rejected));
    let line = &log.about("/leaver", 1).await[0];
    let expected = (&json!(499), &json!("client_gone"), &json!("client_closed"), &json!("queued"));
    assert_eq!((&line["status"], &line["outcome"], &line["reason"], &line["client_gone"]), expected, "{line}");
    assert!(line["queue_ms"].as_f64().unwrap() > 0.0, "{line}");
    assert_eq!((&line["limit"], &line["queue_pos"]), (&json!("default"), &json!(0)), "{line}");
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
}

#[tokio::test]
async fn people_at_a_terminal_get_lines_for_people() {
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let stdout = Stdout::Terminal(Screen::new("terminal"));
    let Stdout::Terminal(screen) = &stdout else { unreachable!() };
    let gate = Sluicegate::with_limit(1).writing_to(&stdout, &upstream).await;
    let mut client = gate.client().await;
    client.request("GET", "/people?secret=1", &["X-Request-Id: 0123456789abcdef"]).await;
    assert_eq!(client.answer().await.status, 200);
    let line = || screen.lines().into_iter().find(|line| line.contains("/people"));
    until("the line", async || line().is_some()).await;
    let line = line().unwrap();
    assert!(line.contains(" 200 GET /people ") && line.contains("ms queued 0.0ms default - 127.0.0.1"), "{line}");
    assert!(line.ends_with(" 127.0.0.1 01234567") && line.len() <= 100, "{line}");
}

#[tokio::test]
async fn a_log_that_nobody_reads_delays_no_request_and_no_end() {
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let gate = Sluicegate::with_limit(1).writing_to(&Stdout::Unread, &upstream).await;
    let dropped = async || gate.metrics().await["sluicegate_log_dropped_total"];
    let mut client = gate.client().await;
    // More than the pipe and the queue hold; these get no further than to us.
    let mut asked = 0;
    while dropped().await == 0.0 {
        assert!(asked < 100_000, "nothing is ever dropped");
        for _ in 0..1000 {
            client.request("OPTIONS", "/", &["Max-Forwards: 0"]).await;
            client.answer().await;
        }
        asked += 1000;
    }
    client.get("/after").await;
    assert_eq!(client.answer().await.status, 200);
    gate.terminate();
    assert_eq!(gate.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_reload_onto_a_pipe_that_nobody_reads_is_refused_and_holds_nobody_up() {
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let pipe = AccessLog::pipe("pipe");
    let text = |server: &str| Sluicegate::with_limit(1).server(server).text(&upstream.url());
    let mut gate = Sluicegate::configured(&text("")).await;
    gate.reload(&text(&pipe.table())).await;
    assert!(gate.stderr().contains("pipe that nobody reads"), "{}", gate.stderr());
    assert!(gate.stderr().contains("stays in force"), "{}", gate.stderr());
    let reader = pipe.reader();
    gate.reload(&text(&pipe.table())).await;
    assert_eq!(gate.get("/piped").await.answer().await.status, 200);
    let line = tokio::task::spawn_blocking(|| BufReader::new(reader).lines().next().unwrap().unwrap());
    assert!(soon("the line", line).await.unwrap().contains("\"path\":\"/piped\""));
    gate.terminate();
    assert_eq!(gate.exit_code().await, Some(0));
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
