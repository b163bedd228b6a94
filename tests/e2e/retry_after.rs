//! Endpoints that ask for a pause by `Retry-After`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Answer, Call, Client, Setup, Sluicegate, Upstream, until};

/// What the next requests are answered with: a status, and `Retry-After` if it is not empty. 200 once there is nothing more.
type Script = Arc<Mutex<VecDeque<(u16, &'static str)>>>;

async fn scripted(lines: &[(u16, &'static str)]) -> (Upstream, Script) {
    let script = Script::new(Mutex::new(lines.iter().copied().collect()));
    let next = script.clone();
    let upstream = Upstream::that(move |call: Call| {
        let (status, after) = next.lock().unwrap().pop_front().unwrap_or((200, ""));
        let told = call.head.field("x-request-timeout").unwrap_or_default();
        async move { respond(call, status, after, &told).await }
    })
    .await;
    (upstream, script)
}

async fn respond(call: Call, status: u16, after: &str, body: &str) {
    let field = [("retry-after", after)];
    call.respond_with(status, if after.is_empty() { &[] } else { &field }, body).await;
}

fn heeding(limit: usize, queue: usize) -> Setup {
    Sluicegate::with_limit(limit).queue(queue).admin().upstream("respect_retry_after = true")
}

async fn get(gate: &Sluicegate) -> Answer {
    gate.get("/").await.answer().await
}

async fn endpoint(gate: &Sluicegate, at: usize) -> serde_json::Value {
    gate.ask_admin("GET /api/v1/upstreams", "").await.json()["upstreams"][0]["endpoints"][at].clone()
}

async fn state(gate: &Sluicegate) -> String {
    endpoint(gate, 0).await["state"].as_str().unwrap().to_owned()
}

async fn until_in_flight(gate: &Sluicegate, n: usize) {
    until(&format!("{n} in flight"), async || gate.limit_status().await["in_flight"] == n).await;
}

async fn with_deadline(gate: &Sluicegate, time: &str) -> Client {
    let mut client = gate.client().await;
    client.request("GET", "/", &[&format!("X-Request-Timeout: {time}")]).await;
    client
}

#[tokio::test]
async fn the_answer_passes_and_those_who_come_wait_until_the_pause_is_over_and_go_one_after_the_other() {
    let (upstream, _) = scripted(&[(503, "2")]).await;
    let gate = heeding(8, 8).in_front_of(&upstream).await;
    let paused = Instant::now();
    let answer = get(&gate).await;
    assert_eq!((answer.status, answer.reason()), (503, None));
    assert_eq!(answer.head.field("retry-after").as_deref(), Some("2"));
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(gate.get("/").await);
    }
    until_in_flight(&gate, 8).await;
    let mut ninth = gate.waiting("/").await;
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    // Eight over a second: the last goes after seven eighths of it.
    assert!(paused.elapsed() > Duration::from_millis(2_800), "{:?}", paused.elapsed());
    assert_eq!(ninth.answer().await.status, 200);
    until_in_flight(&gate, 0).await;
    assert_eq!(endpoint(&gate, 0).await["state"], "up");
    assert!(endpoint(&gate, 0).await["paused_for_seconds"].is_null());
    assert_eq!(gate.log().matches("asks for a pause").count(), 1);
    assert_eq!(gate.log().matches("gets requests again").count(), 1);
}

#[tokio::test]
async fn how_long_a_pause_goes_on_is_shown() {
    let (upstream, _) = scripted(&[(503, "60")]).await;
    let gate = heeding(1, 1).in_front_of(&upstream).await;
    get(&gate).await;
    let seen = endpoint(&gate, 0).await;
    let left = seen["paused_for_seconds"].as_f64().unwrap();
    assert_eq!(seen["state"], "paused");
    assert!(left > 40.0 && left <= 60.0, "{left}");
    let page = async || gate.ask_admin("GET /", "").await.body.text();
    until("the page to say so", async || page().await.contains("<td>paused for ")).await;
}

#[tokio::test]
async fn who_cannot_outlast_the_pause_is_told_so_at_once() {
    let (upstream, _) = scripted(&[(429, "30")]).await;
    let setup = heeding(4, 4).route("queue_timeout = \"20s\"");
    let gate = setup.in_front_of(&upstream).await;
    assert_eq!(get(&gate).await.status, 429);
    for time in ["5s", "60s"] {
        let answer = with_deadline(&gate, time).await.answer().await;
        answer.expect(503, "upstream_paused");
        let after: u64 = answer.head.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&after), "{after}");
    }
    let mut client = gate.client().await;
    client.request("POST", "/", &["Content-Type: application/grpc", "Content-Length: 0"]).await;
    let head = client.answer().await.head;
    let field = |name: &str| head.field(name).unwrap_or_default();
    assert_eq!((field("grpc-status"), field("grpc-message")), ("14".into(), "upstream_paused".into()));
    assert_eq!(gate.limit_status().await["in_flight"], 0);
    assert_eq!(upstream.total(), 1);
}

#[tokio::test]
async fn without_a_queue_nobody_waits_unless_the_upstream_says_so() {
    let (upstream, _) = scripted(&[(503, "1")]).await;
    let gate = heeding(4, 0).in_front_of(&upstream).await;
    get(&gate).await;
    get(&gate).await.expect(503, "upstream_paused");
    for limit in ["limit = 4\nqueue = 0", "limit = \"none\""] {
        let (upstream, _) = scripted(&[(503, "1")]).await;
        let url = upstream.url();
        let gate = Sluicegate::configured(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[upstreams.a]\nurl = \"{url}\"\nrespect_retry_after = true\n\
             wait_for_endpoint = \"1m\"\n[routes.a]\n{limit}\n"
        ))
        .await;
        get(&gate).await;
        assert_eq!(get(&gate).await.status, 200, "{limit}");
    }
}

#[tokio::test]
async fn others_take_the_requests_of_one_that_is_paused() {
    let (one, _) = scripted(&[(503, "60")]).await;
    let (other, _) = scripted(&[]).await;
    let setup = heeding(8, 8).upstream("balance = \"round_robin\"\nslots = 2");
    let gate = setup.in_front_of_all([one.url(), other.url()]).await;
    until("it to be asked", async || get(&gate).await.status == 503).await;
    let slots = async || gate.ask_admin("GET /api/v1/limits/upstreams.default", "").await.json()["limit"].as_u64();
    assert_eq!(slots().await, Some(2));
    let before = one.total();
    for _ in 0..6 {
        assert_eq!(get(&gate).await.status, 200);
    }
    assert_eq!(one.total(), before);
    let metric = format!("sluicegate_endpoint_up{{upstream=\"default\",endpoint=\"{}\"}}", one.address);
    assert_eq!(gate.metrics().await[&metric], 0.0);
}

#[tokio::test]
async fn what_says_nothing_of_the_future_or_is_no_word_of_it_is_no_pause() {
    for (status, after) in [
        (503, "0"),
        (503, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (503, "-5"),
        (503, "soon"),
        (503, "1.5"),
        (503, ""),
        (500, "60"),
        (301, "60"),
        (200, "60"),
    ] {
        let (upstream, _) = scripted(&[(status, after)]).await;
        let gate = heeding(1, 1).in_front_of(&upstream).await;
        assert_eq!(get(&gate).await.status, status);
        assert_eq!((state(&gate).await.as_str(), get(&gate).await.status), ("up", 200), "{status} {after}");
    }
}

#[tokio::test]
async fn a_pause_has_a_longest_time_and_is_none_where_nobody_has_asked_for_it() {
    let never = "Fri, 31 Dec 9999 23:59:59 GMT";
    for (heed, after, left) in [
        ("true", "3600", 60.0),
        ("true", "99999999999999999999999999", 60.0),
        ("true", never, 60.0),
        ("\"20s\"", "3600", 20.0),
        ("\"20s\"", "10", 10.0),
    ] {
        let (upstream, _) = scripted(&[(503, after)]).await;
        let setup = Sluicegate::with_limit(1).admin().upstream(&format!("respect_retry_after = {heed}"));
        let gate = setup.in_front_of(&upstream).await;
        get(&gate).await;
        let seen = endpoint(&gate, 0).await["paused_for_seconds"].as_f64().expect("it is paused");
        assert!(seen > left - 9.0 && seen <= left, "{heed} {after}: {seen}");
    }
    let (upstream, _) = scripted(&[(503, "3600"), (429, "3600")]).await;
    for heed in ["", "respect_retry_after = false"] {
        let gate = Sluicegate::with_limit(1).admin().upstream(heed).in_front_of(&upstream).await;
        get(&gate).await;
        assert_eq!(state(&gate).await, "up");
    }
}

#[tokio::test]
async fn a_short_pause_of_the_configuration_is_over_long_before_the_one_that_was_asked_for() {
    let (upstream, _) = scripted(&[(503, "3600")]).await;
    let setup = Sluicegate::with_limit(1).queue(1).admin().upstream("respect_retry_after = \"100ms\"");
    let gate = setup.in_front_of(&upstream).await;
    get(&gate).await;
    assert_eq!(get(&gate).await.status, 200);
}

#[tokio::test]
async fn who_leaves_or_is_ended_in_a_pause_gives_its_permit_back_and_time_waited_is_not_there_again() {
    let (upstream, _) = scripted(&[(503, "3")]).await;
    let gate = heeding(2, 2).in_front_of(&upstream).await;
    get(&gate).await;
    let client = gate.get("/").await;
    until_in_flight(&gate, 1).await;
    client.leave();
    until_in_flight(&gate, 0).await;
    let mut client = gate.get("/").await;
    until_in_flight(&gate, 1).await;
    let list = gate.ask_admin("GET /api/v1/limits/default/inflight?top=9", "").await.json();
    let id = list["requests"][0]["request_id"].as_str().unwrap_or_else(|| panic!("{list}")).to_owned();
    gate.ask_admin(&format!("POST /api/v1/requests/{id}/cancel"), "").await;
    client.answer().await.expect(503, "flushed");
    until_in_flight(&gate, 0).await;
    let told = with_deadline(&gate, "60s").await.answer().await.body.text();
    let told: u64 = told.trim_end_matches("ms").parse().unwrap_or_else(|_| panic!("no time: {told:?}"));
    assert!((1..60_000).contains(&told), "{told}");
    until_in_flight(&gate, 0).await;
}

#[tokio::test]
async fn who_waits_hears_that_a_pause_has_become_too_long() {
    let mut upstream = Upstream::start().await;
    let setup = heeding(3, 3).route("queue_timeout = \"20s\"");
    let gate = setup.in_front_of(&upstream).await;
    let mut one = gate.get("/").await;
    let first = upstream.next().await;
    let mut other = gate.get("/").await;
    let second = upstream.next().await;
    respond(first, 503, "10", "").await;
    assert_eq!(one.answer().await.status, 503);
    let mut waits = gate.get("/").await;
    until_in_flight(&gate, 2).await;
    respond(second, 429, "40", "").await;
    assert_eq!(other.answer().await.status, 429);
    waits.answer().await.expect(503, "upstream_paused");
    until_in_flight(&gate, 0).await;
}

#[tokio::test]
async fn a_reload_that_heeds_no_pause_ends_it() {
    let (upstream, _) = scripted(&[(503, "60")]).await;
    let mut gate = heeding(2, 2).in_front_of(&upstream).await;
    get(&gate).await;
    assert_eq!(state(&gate).await, "paused");
    gate.reload(&Sluicegate::with_limit(2).queue(2).admin().text(&upstream.url())).await;
    assert_eq!((state(&gate).await.as_str(), get(&gate).await.status), ("up", 200));
}

#[tokio::test]
async fn with_slots_one_waits_for_the_pause_to_end_and_the_others_for_the_slots() {
    let (upstream, _) = scripted(&[(503, "1")]).await;
    let gate = heeding(20, 20).upstream("slots = 2").in_front_of(&upstream).await;
    get(&gate).await;
    let mut clients = Vec::new();
    for n in 1..=6 {
        clients.push(gate.get("/").await);
        until_in_flight(&gate, n).await;
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert!(upstream.peak() <= 2, "{}", upstream.peak());
    until_in_flight(&gate, 0).await;
}
