//! Routes without an access log.

use crate::support::{AccessLog, Sluicegate, Upstream, soon};

#[tokio::test]
async fn a_route_can_leave_no_line_in_the_access_log() {
    let log = AccessLog::new("route-log");
    let mut upstream = Upstream::start().await;
    let quiet = "[routes.quiet]\npath = \"/quiet/*\"\nlimit = 1\nqueue = 0\nlog = false";
    let setup = Sluicegate::with_limit(1).route("queue_timeout = \"1s\"").route(quiet).server(&log.table());
    let gate = setup.in_front_of(&upstream).await;
    let mut answered = gate.get("/quiet/answered").await;
    let call = soon("the request", upstream.next()).await;
    gate.get("/quiet/rejected").await.answer().await.expect(503, "no_permit");
    call.respond(200, "").await;
    assert_eq!(answered.answer().await.status, 200);
    let mut said = gate.get("/said").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(said.answer().await.status, 200);
    log.about("/said", 1).await;
    assert!(!log.lines().iter().any(|line| line.to_string().contains("quiet")), "{:#?}", log.lines());
}
