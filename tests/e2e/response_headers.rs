//! What answers say of the queue and of keys' quotas (`[response_headers]`).

use crate::support::message::Head;
use crate::support::{Client, Sluicegate, Upstream, soon};

const POLICY: &str = "ratelimit-policy";

async fn asking(gate: &Sluicegate, tenant: &str) -> Client {
    let mut client = gate.client().await;
    client.request("GET", &format!("/{tenant}"), &[&format!("x-tenant: {tenant}")]).await;
    client
}

/// The heads of an answer of the upstream's, of one that waited before that, and of a rejection, all of the key `a`.
async fn heads(rules: &str, response_headers: &str) -> [Head; 3] {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(9).queue(9).route(rules);
    let config = setup.text(&upstream.url());
    let gate = Sluicegate::configured(&format!("{config}\n[response_headers]\n{response_headers}\n")).await;
    let mut first = asking(&gate, "a").await;
    let call = soon("the first", upstream.next()).await;
    let mut second = asking(&gate, "a").await;
    second.settled().await;
    assert!(second.hears_nothing().await, "it was to wait");
    let rejected = asking(&gate, "a").await.answer().await;
    rejected.expect(429, "key_queue_full");
    call.respond_with(200, &[("RateLimit-Policy", "\"theirs\";q=7")], "").await;
    let first = first.answer().await;
    soon("the second", upstream.next()).await.respond_with(200, &[("Server-Timing", "db;dur=53")], "").await;
    [first.head, second.answer().await.head, rejected.head]
}

const ONE_EACH: &str = "key = \"header:x-tenant\"\nper_key = 1\nper_key_queue = 1";
const OURS: &str = "\"default\";q=1;qu=\"concurrent-requests\"";

#[tokio::test]
async fn answers_that_waited_and_rejections_say_where_they_stood_and_the_quota_of_their_key() {
    let [first, second, rejected] = heads(ONE_EACH, "").await;
    assert_eq!(first.all(POLICY), ["\"theirs\";q=7", OURS], "the upstream's policy stays");
    assert_eq!((second.all(POLICY), rejected.all(POLICY)), (vec![OURS.to_owned()], vec![OURS.to_owned()]));
    assert!(!first.has("x-sluicegate-queue"), "it did not wait");
    let stood = second.field("x-sluicegate-queue").expect("it waited");
    assert!(stood.starts_with("position=1;wait=0."), "{stood}");
    assert_eq!(rejected.field("x-sluicegate-queue").as_deref(), Some("position=2;wait=0.000"));
    let waited: u64 = stood.rsplit_once('=').expect("the seconds").1.replace('.', "").parse().expect("milliseconds");
    assert_eq!(second.all("server-timing"), ["db;dur=53".to_owned(), format!("queue;dur={waited}")]);
    assert!(!first.has("server-timing") && !rejected.has("server-timing"), "they did not wait");
}

#[tokio::test]
async fn either_is_left_out_where_the_configuration_says_so() {
    let [first, second, rejected] = heads(ONE_EACH, "queue_position = false\nratelimit = \"rejected\"").await;
    assert_eq!((first.all(POLICY), second.has(POLICY)), (vec!["\"theirs\";q=7".to_owned()], false));
    assert_eq!(rejected.all(POLICY), [OURS]);
    assert!(!second.has("x-sluicegate-queue") && !rejected.has("x-sluicegate-queue"));
    assert_eq!(second.all("server-timing"), ["db;dur=53"]);
    let [first, second, rejected] = heads(ONE_EACH, "ratelimit = \"off\"").await;
    assert_eq!(first.all(POLICY), ["\"theirs\";q=7"]);
    assert!(!second.has(POLICY) && !rejected.has(POLICY));
}

#[tokio::test]
async fn the_quota_is_that_of_the_key_and_of_nobody_else() {
    let mut upstream = Upstream::start().await;
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[upstreams.a]\nurl = \"{}\"\n\
         [limits.tenants]\nlimit = 9\nkey = \"header:x-tenant\"\nper_key = 2\n\
         keys = {{ big = {{ per_key = 5 }}, _ = {{ per_key = 3 }} }}\n\
         [limits.turns]\nlimit = 9\nkey = \"header:x-tenant\"\n\
         [limits.dry]\nlimit = 9\nkey = \"header:x-tenant\"\nper_key = 1\ndry_run = true\n\
         [routes.keyed]\nlimits = [\"tenants\", \"turns\", \"dry\"]\n\
         [routes.plain]\npath = \"/plain\"\nlimit = 3\n\
         [routes.own]\npath = \"/own\"\nlimit = 9\nkey = \"header:x-tenant\"\nper_key = 4\nlimits = \"tenants\"\n",
        upstream.url()
    );
    let gate = Sluicegate::configured(&text).await;
    for (target, fields, policies) in [
        ("/", &["x-tenant: small"][..], &["\"tenants\";q=2"][..]),
        ("/", &["x-tenant: big"], &["\"tenants\";q=5"]),
        ("/", &[], &["\"tenants\";q=3"]),
        ("/plain", &["x-tenant: small"], &[]),
        ("/own", &["x-tenant: small"], &["\"own\";q=4", "\"tenants\";q=2"]),
    ] {
        let mut client = gate.client().await;
        client.request("GET", target, fields).await;
        soon("the request", upstream.next()).await.respond(200, "").await;
        let expected: Vec<_> = policies.iter().map(|policy| format!("{policy};qu=\"concurrent-requests\"")).collect();
        assert_eq!(client.answer().await.head.all(POLICY), expected, "{target} {fields:?}");
    }
}

#[tokio::test]
async fn an_answer_of_our_own_names_its_limit_or_says_that_there_is_none() {
    let text = "[server]\nlisten = [\"127.0.0.1:0\"]\n[upstreams.a]\nurl = \"http://127.0.0.1:9\"\n\
                [routes.free]\npath = \"/free\"\nlimit = \"none\"\n[routes.api]\npath = \"/api\"\nlimit = 3\n";
    let gate = Sluicegate::configured(text).await;
    for (target, reason, limit) in
        [("/api", "connect_failed", "api"), ("/free", "connect_failed", "none"), ("/nowhere", "no_route", "none")]
    {
        let answer = gate.get(target).await.answer().await;
        assert_eq!(answer.reason().as_deref(), Some(reason));
        assert_eq!(answer.head.all("x-sluicegate-limit"), [limit], "{target}");
    }
}
