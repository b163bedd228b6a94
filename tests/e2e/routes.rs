//! Which route takes a request. Each one leads to a path of its own at the upstream, so that the upstream can tell.

use crate::support::client::head_of;
use crate::support::{Client, Sluicegate, Upstream, nothing_comes, soon};

#[tokio::test]
async fn the_most_specific_route_takes_a_request() {
    let mut upstream = Upstream::start().await;
    let gate = routed(
        &upstream,
        &[
            ("any", r#"path = "/*""#),
            ("reports", r#"path = "/reports/*""#),
            ("yearly", r#"path = "/reports/yearly/*""#),
            ("user", r#"path = "/users/{id}""#),
            ("me", r#"path = "/users/me""#),
            ("posting", "path = \"/users/{id}\"\nmethod = \"POST\""),
            ("beta", "path = \"/users/{id}\"\nmethod = \"GET\"\nheader = { x-beta = \"yes\" }"),
            ("host", r#"host = "one.test""#),
            ("wild", r#"host = "*.wild.test""#),
            ("exact", r#"host = "exact.wild.test""#),
        ],
    )
    .await;
    for (method, host, path, field, route) in [
        ("GET", "a.test", "/", "", "any"),
        ("GET", "a.test", "/reportsx", "", "any"),
        ("GET", "a.test", "/reports", "", "reports"),
        ("GET", "a.test", "/reports/", "", "reports"),
        ("GET", "a.test", "/reports?year=1", "", "reports"),
        ("GET", "a.test", "/reports/a/b", "", "reports"),
        ("GET", "a.test", "/reports/yearly/1", "", "yearly"),
        ("GET", "a.test", "/users/7", "", "user"),
        ("GET", "a.test", "/users/7/more", "", "any"),
        ("GET", "a.test", "/users/me", "", "me"),
        ("POST", "a.test", "/users/7", "", "posting"),
        ("GET", "a.test", "/users/7", "X-Beta: yes", "beta"),
        ("GET", "a.test", "/users/7", "X-Beta: no", "user"),
        ("GET", "one.test", "/users/me", "", "host"),
        ("GET", "ONE.test:8080", "/", "", "host"),
        ("GET", "x.wild.test", "/", "", "wild"),
        ("GET", "exact.wild.test", "/", "", "exact"),
        ("GET", "wild.test", "/", "", "any"),
        // No disguise dodges a limit.
        ("GET", "a.test", "/%72eports", "", "reports"),
        ("GET", "a.test", "/%72eports/a", "", "reports"),
        ("GET", "a.test", "//reports//a", "", "reports"),
        ("GET", "a.test", "/x/../reports/a", "", "reports"),
        ("GET", "a.test", "/x/%2e%2E/reports/a", "", "reports"),
        ("GET", "a.test", "/./reports/a", "", "reports"),
        ("GET", "a.test", "/reports/../users/me", "", "me"),
    ] {
        let mut client = gate.client().await;
        let field = if field.is_empty() { String::new() } else { format!("{field}\r\n") };
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{field}Content-Length: 0\r\n\r\n")).await;
        let call = soon(&format!("{method} {host}{path}"), upstream.next()).await;
        assert_eq!(call.path(), format!("/{route}{path}"), "{method} {host}{path} {field}");
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_request_that_no_route_takes_is_a_404() {
    let upstream = Upstream::start().await;
    let gate = routed(&upstream, &[("reports", r#"path = "/reports/*""#), ("host", r#"host = "one.test""#)]).await;
    for path in ["/", "/reportsx", "/report"] {
        let answer = gate.get(path).await.answer().await;
        answer.expect(404, "no_route");
        assert_eq!(answer.json()["status"], 404);
    }
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn each_route_has_its_own_limit() {
    let mut upstream = Upstream::start().await;
    let gate = routed(&upstream, &[("a", r#"path = "/a""#), ("b", r#"path = "/b""#)]).await;
    let mut clients = vec![gate.get("/a").await];
    let mut calls = vec![soon("the request", upstream.next()).await];
    let rejected = gate.get("/%61").await.answer().await;
    rejected.expect(503, "no_permit");
    assert_eq!(rejected.head.field("x-sluicegate-limit").as_deref(), Some("a"));
    assert_eq!((rejected.json()["limit"].as_str(), rejected.json()["route"].as_str()), (Some("a"), Some("a")));
    clients.push(gate.get("/b").await);
    calls.push(soon("the other route's request", upstream.next()).await);
    for call in calls {
        call.respond(200, "").await;
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_route_without_a_limit_never_waits() {
    let mut upstream = Upstream::start().await;
    let url = upstream.url();
    let gate = Sluicegate::configured(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[upstreams.api]\nurl = \"{url}\"\n\
         [routes.limited]\nlimit = 1\nqueue = 0\n[routes.free]\npath = \"/free\"\nlimit = \"none\"\n"
    ))
    .await;
    let mut clients: Vec<Client> = vec![gate.get("/").await];
    let mut calls = vec![soon("the limited request", upstream.next()).await];
    gate.get("/").await.answer().await.expect(503, "no_permit");
    for _ in 0..50 {
        clients.push(gate.get("/free").await);
        calls.push(soon("a free request", upstream.next()).await);
    }
    for call in calls {
        call.respond(200, "").await;
    }
    for client in &mut clients {
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.queue()), (200, None));
    }
}

#[tokio::test]
async fn a_client_of_a_route_without_a_limit_that_leaves_is_gone_upstream_as_well() {
    let mut upstream = Upstream::start().await;
    let url = upstream.url();
    let gate = Sluicegate::configured(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[upstreams.api]\nurl = \"{url}\"\n[routes.free]\nlimit = \"none\"\n"
    ))
    .await;
    let mut client = gate.client().await;
    client.send(head_of("GET", "/", &[])).await;
    let mut call = soon("the request", upstream.next()).await;
    assert!(nothing_comes(call.until_hung_up()).await);
    client.leave();
    soon("the upstream to be told", call.until_hung_up()).await;
}

/// A route per name, each with limit 1, no queue and an upstream that puts the name before the path.
async fn routed(upstream: &Upstream, routes: &[(&str, &str)]) -> Sluicegate {
    let mut text = "[server]\nlisten = [\"127.0.0.1:0\"]\n".to_owned();
    for (name, conditions) in routes {
        text += &format!("[upstreams.{name}]\nurl = \"{}/{name}\"\n", upstream.url());
        text += &format!("[routes.{name}]\n{conditions}\nupstream = \"{name}\"\nlimit = 1\nqueue = 0\n");
    }
    Sluicegate::configured(&text).await
}
