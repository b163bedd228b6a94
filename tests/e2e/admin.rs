//! Watching and steering it through the admin listener.

mod commands;
mod configuration;
mod crowds;
mod dashboard;
mod endpoints;
mod fleets;
mod metrics;
mod moving;
mod names;
mod openapi;
mod overrides;
mod protection;
mod queues;
mod reload;
mod requests;
mod series;
mod traffic;
mod watching;

use crate::support::sluicegate::Sluicegate;
use crate::support::{Client, Upstream, soon, until};

#[tokio::test]
async fn the_start_line_says_where_it_is() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let address = gate.admin_address();
    assert!(gate.start_line.ends_with(&format!(", admin http://{address}")), "{}", gate.start_line);
    assert_ne!(address.port(), 0);
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    assert!(gate.start_line.ends_with(", admin off"), "{}", gate.start_line);
}

#[tokio::test]
async fn a_port_that_is_taken_is_exit_1_with_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let flags = ["--upstream", "http://127.0.0.1:1", "--limit", "1", "--listen", "127.0.0.1:0", "--admin", &address];
    let ended = Sluicegate::run_to_end(&flags).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&address) && !ended.stderr.contains("listening on"), "{}", ended.stderr);
}

#[tokio::test]
async fn what_is_no_address_is_exit_2() {
    let flags = ["--upstream", "http://127.0.0.1:1", "--limit", "1", "--listen", "127.0.0.1:0", "--admin", "on"];
    let ended = Sluicegate::run_to_end(&flags).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
}

#[tokio::test]
async fn probes_answer() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    for path in ["/livez", "/readyz", "/healthz", "/metrics"] {
        let answer = gate.ask_admin(&format!("GET {path}"), "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.head.field("cache-control").as_deref(), Some("no-store"));
        assert!(answer.head.has("x-request-id"));
    }
}

#[tokio::test]
async fn the_status_shows_who_runs_and_who_waits() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).admin().in_front_of(&upstream).await;
    let mut running = gate.get("/runs").await;
    let call = soon("the request", upstream.next()).await;
    let mut waiting = gate.waiting("/waits").await;
    gate.get("/too-many").await.answer().await.expect(503, "queue_full");

    let status = gate.ask_admin("GET /api/v1/status", "").await.json();
    assert_eq!((&status["draining"], &status["version"]), (&false.into(), &env!("CARGO_PKG_VERSION").into()));
    assert!(status["connections"].as_u64() >= Some(2), "{status}");
    let limit = &status["limits"][0];
    for (member, value) in [("in_flight", 1), ("limit", 1), ("queue_length", 1), ("queue", 1), ("admitted", 1)] {
        assert_eq!(limit[member], value, "{member} in {limit}");
    }
    assert_eq!((&limit["name"], &limit["queue_timeout"]), (&"default".into(), &"1m".into()));
    assert_eq!((&limit["rejected"]["queue_full"], &limit["override"]), (&1.into(), &serde_json::Value::Null));
    assert!(limit["oldest_seconds"].as_f64() > Some(0.0), "{limit}");
    let list = gate.ask_admin("GET /api/v1/limits", "").await.json();
    assert_eq!(list["limits"][0]["name"], "default");

    call.respond(200, "").await;
    soon("the waiter", upstream.next()).await.respond(200, "").await;
    assert_eq!((running.answer().await.status, waiting.answer().await.status), (200, 200));
    until("the permits to be back", async || gate.limit_status().await["in_flight"] == 0).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_a_problem() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    for (start, status, part) in [
        ("GET /nothing", 404, "nothing at this path"),
        ("GET /api/v1/limits/defalt", 404, "Did you mean `default`?"),
        ("GET /api/v1/limits/nothing_like_it", 404, "There are: default."),
        ("PATCH /api/v1/limits/defalt", 404, "Did you mean `default`?"),
        ("POST /api/v1/status", 405, "Allow"),
        ("PUT /api/v1/limits/default", 405, "Allow"),
        ("GET /api/v1/drain", 405, "Allow"),
        ("DELETE /metrics", 405, "Allow"),
    ] {
        let answer = gate.ask_admin(start, "").await;
        assert_eq!(answer.status, status, "{start}");
        assert_eq!(answer.head.field("content-type").as_deref(), Some("application/problem+json"), "{start}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{start}");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{part} in {problem}");
        assert_eq!(answer.head.has("allow"), status == 405, "{start}");
    }
    let too_large = gate.ask_admin("PATCH /api/v1/limits/default", &" ".repeat(100_000)).await;
    assert_eq!((too_large.status, too_large.json()["status"].as_u64()), (413, Some(413)));
}

#[tokio::test]
async fn while_draining_it_lives_and_is_not_ready() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let answer = gate.ask_admin("POST /api/v1/drain", "").await;
    assert_eq!((answer.status, &answer.json()["draining"]), (202, &true.into()));
    until("it to be unready", async || gate.ask_admin("GET /readyz", "").await.status == 503).await;
    let health = gate.ask_admin("GET /healthz", "").await;
    assert!(health.status == 503 && health.body.text().contains("draining"), "{health:?}");
    assert_eq!(gate.ask_admin("GET /livez", "").await.status, 200);
    assert_eq!(gate.ask_admin("GET /api/v1/status", "").await.json()["draining"], true);
    let log = gate.log();
    assert!(log.contains("a drain has been asked for by=127.0.0.1") && !log.contains("ERROR"), "{log}");
    // An idle connection to the admin listener holds nothing up.
    let _idle = Client::connect(gate.admin_address()).await;
    call.respond(200, "served").await;
    assert_eq!(client.answer().await.body.text(), "served");
    assert_eq!(gate.exit_code().await, Some(0));
}
