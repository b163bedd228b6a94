//! Routes without an access log.

use crate::support::{Sluicegate, Upstream, soon, until};

#[tokio::test]
async fn a_route_can_leave_no_line_in_the_access_log() {
    let name = format!("route-log-{}.log", std::process::id());
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    let mut upstream = Upstream::start().await;
    let log = format!("[log]\nformat = \"json\"\naccess = \"{}\"", path.display());
    let quiet = "[routes.quiet]\npath = \"/quiet/*\"\nlimit = 1\nqueue = 0\nlog = false";
    let setup = Sluicegate::with_limit(1).route("queue_timeout = \"1s\"").route(quiet).server(&log);
    let gate = setup.in_front_of(&upstream).await;
    let mut answered = gate.get("/quiet/answered").await;
    let call = soon("the request", upstream.next()).await;
    gate.get("/quiet/rejected").await.answer().await.expect(503, "no_permit");
    call.respond(200, "").await;
    assert_eq!(answered.answer().await.status, 200);
    let mut said = gate.get("/said").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(said.answer().await.status, 200);
    let text = async || std::fs::read_to_string(&path).unwrap_or_default();
    until("a line", async || text().await.contains("/said")).await;
    assert!(!text().await.contains("quiet"), "{}", text().await);
    let _ = std::fs::remove_file(&path);
}
