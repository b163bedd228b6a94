//! The admin listener and the logs follow a reload.

use std::net::{IpAddr, SocketAddr};

use crate::support::admin::ask;
use crate::support::sluicegate::free_address;
use crate::support::{AccessLog, Client, Sluicegate, Upstream, soon, until};

/// A configuration with these keys of its admin listener, which no flag or variable names.
fn text(upstream: &Upstream, admin: &str) -> String {
    Sluicegate::with_limit(3).text(&upstream.url()) + "\n[admin]\n" + admin
}

fn at(address: SocketAddr) -> String {
    format!("listen = \"{address}\"\n")
}

async fn status(address: SocketAddr, start: &str) -> u16 {
    ask(address, start, &[&format!("Host: {address}")], "").await.status
}

async fn refuses(address: SocketAddr) -> bool {
    tokio::net::TcpStream::connect(address).await.is_err()
}

#[tokio::test]
async fn the_admin_listener_moves_and_what_it_knows_goes_with_it() {
    let upstream = Upstream::start().await;
    let (one, two) = (free_address(), free_address());
    let mut gate = Sluicegate::configured(&text(&upstream, &at(one))).await;
    let host = format!("Host: {one}");
    assert_eq!(ask(one, "PATCH /api/v1/limits/default", &[&host], r#"{"limit":8}"#).await.status, 200);
    let mut kept_alive = Client::connect(one).await;
    kept_alive.send(format!("GET /livez HTTP/1.1\r\n{host}\r\n\r\n")).await;
    assert_eq!(kept_alive.answer().await.status, 200);

    // The answer to whoever asks for it comes from the place that is left.
    gate.rewrite(&text(&upstream, &at(two)));
    let asked = ask(one, "POST /api/v1/reload", &[&host], "").await;
    let listeners = asked.json()["changes"]["listeners"].clone();
    assert_eq!((asked.status, &listeners["added"][0]), (200, &format!("admin {two}").into()), "{listeners}");
    assert_eq!(listeners["removed"][0], format!("admin {one}"));
    until("nobody listens where it was", async || refuses(one).await).await;
    kept_alive.expect_closed().await;
    let limit = ask(two, "GET /api/v1/limits/default", &[&format!("Host: {two}")], "").await.json();
    assert_eq!((&limit["limit"], &limit["configured"]["limit"]), (&8.into(), &3.into()), "{limit}");

    // The same port, which is ours, on all addresses.
    let everywhere = SocketAddr::new(IpAddr::from([0, 0, 0, 0]), two.port());
    gate.reload(&text(&upstream, &at(everywhere))).await;
    assert_eq!(status(two, "GET /livez").await, 200);

    gate.reload(&text(&upstream, "listen = \"off\"\n")).await;
    until("nobody listens where it was", async || refuses(two).await).await;
    gate.reload(&text(&upstream, &at(one))).await;
    let limit = ask(one, "GET /api/v1/limits/default", &[&host], "").await.json();
    assert_eq!(limit["limit"], 8, "an override outlives the listener");
}

#[tokio::test]
async fn an_admin_port_that_is_taken_leaves_everything_as_it_was_and_says_why() {
    let upstream = Upstream::start().await;
    let one = free_address();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = taken.local_addr().unwrap();
    let mut gate = Sluicegate::configured(&text(&upstream, &at(one))).await;
    let next = text(&upstream, &at(other)).replace("limit = 3", "limit = 4");
    gate.rewrite(&next);
    let host = format!("Host: {one}");
    for start in ["POST /api/v1/reload?dry_run", "POST /api/v1/reload"] {
        let answer = ask(one, start, &[&host], "").await;
        let problem = answer.json()["problems"][0].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, 422, "{start}");
        assert!(problem.contains("admin listener") && problem.contains(&other.to_string()), "{problem}");
    }
    gate.reload(&next).await;
    assert!(gate.stderr().contains("Address already in use"), "{}", gate.stderr());
    let limit = ask(one, "GET /api/v1/limits/default", &[&host], "").await.json();
    assert_eq!(limit["limit"], 3, "nothing of it is in force");
}

#[tokio::test]
async fn the_token_and_the_dashboard_follow_and_only_the_names_of_their_keys_are_shown() {
    let upstream = Upstream::start().await;
    let one = free_address();
    let gate = Sluicegate::configured(&text(&upstream, &at(one))).await;
    assert_eq!(status(one, "GET /").await, 200);
    gate.rewrite(&text(&upstream, &(at(one) + "token = \"first-secret\"\ndashboard = false\n")));
    let host = format!("Host: {one}");
    let answer = ask(one, "POST /api/v1/reload", &[&host], "").await;
    let changed = answer.json()["changes"]["settings"]["changed"].clone();
    assert_eq!(changed, serde_json::json!(["admin.token", "admin.dashboard"]));
    assert!(!answer.body.text().contains("first-secret"));
    assert_eq!((status(one, "GET /").await, status(one, "GET /api/v1/status").await), (404, 200));
}

#[tokio::test]
async fn the_logs_follow_a_reload() {
    let mut upstream = Upstream::start().await;
    let (before, after) = (AccessLog::new("log-before"), AccessLog::new("log-after"));
    let with = |log: &AccessLog, more: &str| {
        format!("{}\n{}\n{more}\n", Sluicegate::with_limit(3).text(&upstream.url()), log.table())
    };
    let (first, second) = (with(&before, ""), with(&after, "headers = [\"x-tenant\"]\nlevel = \"debug\""));
    let off = first.replace(&before.table(), "[log]\naccess = false");
    let mut gate = Sluicegate::configured(&first).await;
    let mut get = async |gate: &Sluicegate, path: &str| {
        let mut client = gate.client().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Tenant: acme\r\n\r\n")).await;
        soon("the request", upstream.next()).await.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    };
    get(&gate, "/one").await;
    assert_eq!(before.about("/one", 1).await[0].get("headers"), None);
    gate.reload(&second).await;
    get(&gate, "/two").await;
    assert_eq!(after.about("/two", 1).await[0]["headers"]["x-tenant"], "acme");
    assert_eq!(before.lines().len(), 1);
    assert!(!gate.stderr().contains("restart"), "{}", gate.stderr());

    gate.reload(&off).await;
    get(&gate, "/three").await;
    gate.reload(&second).await;
    get(&gate, "/four").await;
    after.about("/four", 1).await;
    assert!(after.lines().iter().all(|line| line["path"] != "/three"));

    // A file that cannot be had leaves everything as it was.
    gate.reload(&second.replace("access = \"", "access = \"/nowhere").replace("limit = 3", "limit = 4")).await;
    assert!(gate.stderr().contains("cannot open the access log"), "{}", gate.stderr());
    get(&gate, "/five").await;
    after.about("/five", 1).await;
}
