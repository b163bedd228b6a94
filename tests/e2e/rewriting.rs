//! What the operator has changed about requests and answers.

use std::path::PathBuf;

use crate::support::http2::Http2;
use crate::support::message::Head;
use crate::support::sluicegate::write_config;
use crate::support::{Http2Upstream, Setup, Sluicegate, Upstream, soon};

#[tokio::test]
async fn a_prefix_is_taken_off_the_path_and_the_rest_arrives_byte_for_byte() {
    let mut upstream = Upstream::start().await;
    for (base, table) in [
        (
            "",
            &[
                ("/v1", "/"),
                ("/v1/", "/"),
                ("/v1?q=/v1", "/?q=/v1"),
                ("/v1/a%2fB//x/../y;p?q=%20&&", "/a%2fB//x/../y;p?q=%20&&"),
                ("/%761/a", "/a"),
                ("/v1x", "/v1x"),
                ("/other", "/other"),
            ][..],
        ),
        ("/base", &[("/v1", "/base/"), ("/v1/a?b", "/base/a?b"), ("/v1?b", "/base/?b"), ("/other", "/base/other")][..]),
    ] {
        let gate = open().route("strip_prefix = \"/v1\"").in_front_of_url(&(upstream.url() + base)).await;
        let mut client = gate.client().await;
        for (sent, arrives) in table {
            client.get(sent).await;
            let call = soon("the request", upstream.next()).await;
            assert_eq!(call.path(), *arrives, "{sent} at {base:?}");
            call.respond(200, "").await;
            client.answer().await;
        }
        // There is nothing to take off.
        client.request("OPTIONS", "*", &[]).await;
        let call = soon("the request", upstream.next()).await;
        assert_eq!(call.path(), "*");
        call.respond(200, "").await;
        client.answer().await;
    }
}

#[tokio::test]
async fn set_fields_replace_the_clients_and_the_routes_come_after_the_upstreams() {
    let setup = open()
        .upstream("set_headers = { x-a = \"upstream\", X-B = \"upstream\" }")
        .route("set_headers = { x-b = \"route\", x-forwarded-proto = \"https\", x-empty = \"\" }");
    let sent = ["X-A: client", "X-A: client", "X-B: client", "X-C: client"];
    let head = seen_by_upstream(&setup, &sent).await;
    for (name, value) in
        [("x-a", "upstream"), ("x-b", "route"), ("x-c", "client"), ("x-forwarded-proto", "https"), ("x-empty", "")]
    {
        assert_eq!(head.all(name), [value], "{name}");
    }
}

#[tokio::test]
async fn the_upstream_hears_of_clients_what_it_may() {
    let sent = ["X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.7", "Via: 1.1 before"];
    let trusted = "trusted_proxies = [\"127.0.0.0/8\"]";
    for (line, forwarded_for, forwarded, via) in [
        ("", &["203.0.113.7, 127.0.0.1"][..], true, "1.1 before, 1.1 sluicegate"),
        ("forwarded = \"replace\"", &["127.0.0.1"][..], false, "1.1 before, 1.1 sluicegate"),
        ("forwarded = \"off\"\nvia = false", &[][..], false, "1.1 before"),
    ] {
        let head = seen_by_upstream(&open().server(trusted).upstream(line), &sent).await;
        assert_eq!(head.all("x-forwarded-for"), forwarded_for, "{line}");
        assert_eq!(head.has("forwarded"), forwarded, "{line}");
        assert_eq!(head.has("x-forwarded-host"), !forwarded_for.is_empty(), "{line}");
        assert_eq!(head.all("via"), [via], "{line}");
    }
}

#[tokio::test]
async fn a_secret_replaces_what_the_client_sent_and_no_log_shows_it() {
    let secret = File::new("Bearer s3cret\n");
    let setup = open().upstream(&secret.line());
    let mut upstream = Upstream::start().await;
    let gate = setup.server("").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.request("GET", "/", &["Authorization: Bearer mine", "Authorization: Bearer mine too"]).await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.head.all("authorization"), ["Bearer s3cret"]);
    call.respond(200, "").await;
    client.answer().await;
    assert!(!gate.stderr().contains("s3cret"));
}

#[tokio::test]
async fn a_secret_reaches_an_upstream_of_http_2() {
    let secret = File::new("Bearer s3cret");
    let mut upstream = Http2Upstream::start().await;
    let gate = open().upstream(&secret.line()).in_front_of_url(&upstream.url()).await;
    let client = Http2::connect(gate.address).await;
    let asked = client.ask(client.request("GET", "/", &[("authorization", "mine")]), true).await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.all("authorization"), ["Bearer s3cret"]);
    call.respond(200, Vec::new()).await;
    asked.answer().await;
}

#[tokio::test]
async fn a_secret_is_picked_up_on_reload_and_its_connections_stay() {
    let secret = File::new("first");
    let mut upstream = Upstream::start().await;
    let setup = open().upstream(&secret.line());
    let mut gate = setup.in_front_of(&upstream).await;
    // The last one is no value: the reload is refused, and what was there stays.
    for (written, arrives) in [("first", "first"), ("second\n", "second"), ("", "second")] {
        secret.write(written);
        gate.reload(&setup.text(&upstream.url())).await;
        let mut client = gate.get("/").await;
        let call = soon("the request", upstream.next()).await;
        assert_eq!(call.head.all("authorization"), [arrives]);
        call.respond(200, "").await;
        client.answer().await;
    }
    assert!(upstream.connections() <= 2, "one for each worker at most: {}", upstream.connections());
}

#[tokio::test]
async fn a_secret_is_picked_up_by_itself() {
    let secret = File::new("first");
    let mut upstream = Upstream::start().await;
    let mut gate = open().upstream(&secret.line()).in_front_of(&upstream).await;
    secret.write("second");
    soon("word of it", gate.said("files have changed")).await;
    let mut client = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.head.all("authorization"), ["second"]);
    call.respond(200, "").await;
    client.answer().await;
    assert!(!gate.stderr().contains("second"));
}

#[tokio::test]
async fn fields_of_answers_are_set_on_the_upstreams_and_on_our_own() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1)
        .queue(0)
        .route("set_response_headers = { X-Frame = \"none\", server = \"x\", cache-control = \"public\" }");
    let gate = setup.in_front_of(&upstream).await;
    let mut first = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let rejected = gate.get("/").await.answer().await;
    assert_eq!(rejected.reason().as_deref(), Some("no_permit"));
    assert_eq!((rejected.head.all("x-frame"), rejected.head.all("server")), (strings(&["none"]), strings(&["x"])));
    assert_eq!(rejected.head.all("cache-control"), ["no-store"], "what we say of our answer stays");
    call.respond_with(200, &[("Server", "a"), ("Server", "b"), ("Cache-Control", "private")], "").await;
    let answer = first.answer().await;
    for (name, value) in [("x-frame", "none"), ("server", "x"), ("cache-control", "public")] {
        assert_eq!(answer.head.all(name), [value], "{name}");
    }
}

#[tokio::test]
async fn scripts_of_allowed_origins_can_read_a_rejection() {
    let mut upstream = Upstream::start().await;
    let config = Sluicegate::with_limit(1).queue(0).text(&upstream.url());
    for (cors, origin, echoed) in [
        ("\"off\"", "https://a.example", None),
        ("\"*\"", "https://a.example", Some("https://a.example")),
        ("[\"https://a.example\"]", "https://a.example", Some("https://a.example")),
        ("[\"https://a.example\"]", "https://b.example", None),
    ] {
        let gate = Sluicegate::configured(&format!("{config}\n[response_headers]\ncors = {cors}\n")).await;
        let mut first = gate.client().await;
        first.request("GET", "/", &[&format!("Origin: {origin}")]).await;
        let call = soon("the request", upstream.next()).await;
        let mut second = gate.client().await;
        second.request("GET", "/", &[&format!("Origin: {origin}")]).await;
        let rejected = second.answer().await;
        let field = |name: &str| rejected.head.field(name);
        assert_eq!(rejected.reason().as_deref(), Some("no_permit"));
        assert_eq!(field("access-control-allow-origin").as_deref(), echoed, "{cors} {origin}");
        let exposed = echoed.map(|_| "Retry-After, x-sluicegate-reason".to_owned());
        assert_eq!(field("access-control-expose-headers"), exposed, "{cors} {origin}");
        assert_eq!(field("vary"), echoed.map(|_| "origin".to_owned()), "{cors} {origin}");
        // For its own answers, the upstream says it.
        call.respond(200, "").await;
        assert!(!first.answer().await.head.has("access-control-allow-origin"));
    }
}

fn open() -> Setup {
    Sluicegate::with_limit(100)
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The head that the upstream gets for a GET with these fields.
async fn seen_by_upstream(setup: &Setup, fields: &[&str]) -> Head {
    let mut upstream = Upstream::start().await;
    let gate = setup.in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.request("GET", "/", fields).await;
    let call = soon("the request", upstream.next()).await;
    let head = call.head.clone();
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    head
}

/// A file with a secret, removed with it.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        File(write_config(text))
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).expect("cargo's directory for tests can be written");
    }

    /// The line of an upstream that sends it.
    fn line(&self) -> String {
        format!("secret_headers = {{ Authorization = \"{}\" }}", self.0.display())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
