//! Looking on: the events, the last five minutes, who was turned away and why, and which way requests go.

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::{Sluicegate, Upstream, soon, until};

#[tokio::test]
async fn events_begin_with_five_minutes_and_go_on_second_by_second() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).admin().in_front_of(&upstream).await;
    let _running = gate.get("/runs").await;
    let _call = soon("the request", upstream.next()).await;
    let _waiting = gate.waiting("/waits").await;
    let mut follower = Follower::start(&gate).await;
    assert!(follower.head.contains("content-type: text/event-stream"), "{}", follower.head);
    let history = follower.next("history").await;
    let columns = &history["limits"]["default"];
    let length = |name: &str| columns[name].as_array().map(Vec::len);
    assert!(length("limit").is_some(), "{history}");
    let first = follower.next("snapshot").await;
    let second = follower.next("changes").await;
    assert!(second["tick"].as_u64() > first["tick"].as_u64(), "{first} {second}");
    let limit = &first["limits"][0];
    for (name, value) in [("in_flight", 1), ("limit", 1), ("queue_length", 1), ("queue", 1)] {
        assert_eq!(limit[name], value, "{name} in {limit}");
    }
    // The waiter grows older, and that is all.
    let limit = &second["limits"][0];
    assert!(limit["oldest_seconds"].as_f64() > first["limits"][0]["oldest_seconds"].as_f64(), "{first} {second}");
    assert_eq!((&limit["name"], limit.get("limit"), second.get("upstreams")), (&"default".into(), None, None));
    assert_eq!(first["upstreams"][0]["endpoints"][0]["endpoint"], upstream.address.to_string());
    let answer = gate.ask_admin("GET /api/v1/limits/default/history", "").await.json();
    assert_eq!(answer["samples"]["in_flight"].as_array().unwrap().last(), Some(&1.into()), "{answer}");
}

#[tokio::test]
async fn all_who_look_get_the_same_snapshot() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let mut followers = Vec::new();
    for _ in 0..50 {
        followers.push(Follower::start(&gate).await);
    }
    // Seconds that all of them have seen whole hold the same bytes: uptime is told in nanoseconds.
    let mut seen: Vec<Vec<Value>> = Vec::new();
    for follower in &mut followers {
        let mut snapshots = Vec::new();
        for _ in 0..3 {
            snapshots.push(follower.next("changes").await);
        }
        seen.push(snapshots);
    }
    let tick = seen.iter().map(|snapshots| snapshots[0]["tick"].as_u64()).max().unwrap();
    let of_tick = |snapshots: &Vec<Value>| snapshots.iter().find(|snapshot| snapshot["tick"].as_u64() == tick).cloned();
    let snapshots: Vec<Value> = seen.iter().filter_map(of_tick).collect();
    assert_eq!(snapshots.len(), followers.len(), "they are not three seconds apart");
    assert!(snapshots.iter().all(|snapshot| *snapshot == snapshots[0]), "{snapshots:#?}");
}

#[tokio::test]
async fn who_follows_and_reads_nothing_holds_nobody_up() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).admin().in_front_of(&upstream).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(Follower::start(&gate).await);
    }
    assert_eq!(gate.ask_admin("GET /readyz", "").await.status, 200);
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "served").await;
    assert_eq!(client.answer().await.body.text(), "served");
    let mut last = Follower::start(&gate).await;
    last.next("snapshot").await;
    last.next("changes").await;
    drop(silent);
    // The end of the process waits for none of them.
    gate.terminate();
    assert_eq!(gate.exit_code().await, Some(0));
    while last.read().await > 0 {}
}

#[tokio::test]
async fn a_rejection_says_why_with_the_numbers_of_its_moment() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).admin().in_front_of(&upstream).await;
    let rejections = async |query: &str| {
        let answer = gate.ask_admin(&format!("GET /api/v1/rejections{query}"), "").await.json();
        answer["rejections"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    };
    assert_eq!(rejections("").await, Vec::<Value>::new());
    let _running = gate.get("/runs").await;
    let _call = soon("the request", upstream.next()).await;
    let _waiting = gate.waiting("/waits").await;
    for id in ["first", "second"] {
        let mut client = gate.client().await;
        client.request("GET", "/too-many?secret=1", &[&format!("x-request-id: {id}")]).await;
        client.answer().await.expect(503, "queue_full");
    }
    let all = rejections("").await;
    let ids: Vec<_> = all.iter().map(|rejection| rejection["request_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["second", "first"]);
    let first = &rejections("?request_id=first").await[0];
    for (name, value) in
        [("reason", "queue_full"), ("route", "default"), ("limit", "default"), ("method", "GET"), ("path", "/too-many")]
    {
        assert_eq!(first[name], value, "{first}");
    }
    assert_eq!((&first["status"], &first["client_ip"]), (&503.into(), &"127.0.0.1".into()));
    assert!(first["why"].as_str().unwrap().contains("1 of 1 in flight, 1 of 1 waiting"), "{first}");
    assert!(!first.to_string().contains("secret"), "{first}");
    // A snapshot shows a few of a kind.
    for _ in 0..4 {
        gate.get("/too-many").await.answer().await.expect(503, "queue_full");
    }
    let shown = Follower::start(&gate).await.next("snapshot").await;
    assert_eq!(shown["rejections"].as_array().map(Vec::len), Some(4), "{shown}");
    assert_eq!((rejections("").await.len(), rejections("?last=1").await.len()), (6, 1));
    assert_eq!(rejections("?limit=other").await.len(), 0);
    assert_eq!(gate.ask_admin("GET /api/v1/rejections?last=some", "").await.status, 400);
    assert_eq!(gate.ask_admin("GET /api/v1/rejections?lats=1", "").await.status, 400);
}

#[tokio::test]
async fn what_the_upstream_failed_at_is_among_the_rejections() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).upstream("retries = 0").admin().in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.close();
    client.answer().await.expect(502, "upstream_reset");
    let answer = gate.ask_admin("GET /api/v1/rejections", "").await.json();
    assert_eq!(answer["rejections"][0]["reason"], "upstream_reset", "{answer}");
}

#[tokio::test]
async fn rejections_outlive_a_reload() {
    let upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).route("missing_key = \"reject\"\nkey = \"header:x-tenant\"").admin();
    let mut gate = setup.in_front_of(&upstream).await;
    gate.get("/").await.answer().await.expect(429, "key_limit");
    gate.reload(&setup.text(&upstream.url()).replace("limit = 1", "limit = 2")).await;
    until("the limit to change", async || gate.limit_status().await["limit"] == 2).await;
    let answer = gate.ask_admin("GET /api/v1/rejections", "").await.json();
    assert_eq!(answer["rejections"][0]["reason"], "key_limit", "{answer}");
}

#[tokio::test]
async fn routes_and_upstreams_are_shown_as_they_were_written() {
    let upstream = Upstream::start().await;
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[upstreams.backend]\nurl = \"{}\"\n\
         [limits.all]\nlimit = 9\n\
         [routes.users]\nhost = \"*.api.test\"\npath = \"/users/{{id}}/*\"\nmethod = [\"GET\", \"HEAD\"]\n\
         header = {{ x-token = \"s3cret\" }}\nlimit = 3\nlimits = [\"all\"]\n\
         [routes.rest]\nlimits = [\"all\"]\n",
        upstream.url()
    );
    let file = crate::support::sluicegate::write_config(&text);
    let gate = Sluicegate::run(&["-c", file.to_str().unwrap(), "--admin", "127.0.0.1:0"]).await;
    let routes = gate.ask_admin("GET /api/v1/routes", "").await.json();
    let users = routes["routes"].as_array().unwrap().iter().find(|route| route["name"] == "users").unwrap().clone();
    for (name, value) in [
        ("host", serde_json::json!("*.api.test")),
        ("path", serde_json::json!("/users/{id}/*")),
        ("method", serde_json::json!(["GET", "HEAD"])),
        ("header", serde_json::json!(["x-token"])),
        ("upstream", serde_json::json!("backend")),
        ("limits", serde_json::json!(["users", "all"])),
    ] {
        assert_eq!(users[name], value, "{users}");
    }
    assert!(!routes.to_string().contains("s3cret"), "{routes}");
    let upstreams = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
    assert_eq!(upstreams["upstreams"][0]["routes"], serde_json::json!(["rest", "users"]), "{upstreams}");
    let _ = std::fs::remove_file(file);
}

/// Somebody who follows the events.
struct Follower {
    stream: TcpStream,
    head: String,
    text: String,
}

impl Follower {
    async fn start(gate: &Sluicegate) -> Self {
        use tokio::io::AsyncWriteExt;
        let address = gate.admin_address();
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut follower = Follower { stream, head: String::new(), text: String::new() };
        while !follower.text.contains("\r\n\r\n") {
            assert!(follower.read().await > 0, "{}", follower.text);
        }
        let (head, rest) = follower.text.split_once("\r\n\r\n").expect("just seen");
        (follower.head, follower.text) = (head.to_owned(), rest.to_owned());
        assert!(follower.head.starts_with("HTTP/1.1 200 "), "{}", follower.head);
        follower
    }

    async fn read(&mut self) -> usize {
        let mut bytes = vec![0; 64 << 10];
        let read = soon("an event", self.stream.read(&mut bytes)).await.unwrap_or(0);
        self.text += std::str::from_utf8(&bytes[..read]).expect("what is sent here is ASCII");
        read
    }

    /// The data of the next event of this name. The ends of chunks are between events, or this would not be JSON.
    async fn next(&mut self, name: &str) -> Value {
        let start = format!("event: {name}\ndata: ");
        loop {
            if let Some((_, rest)) = self.text.split_once(&start)
                && let Some((data, rest)) = rest.split_once("\n\n")
            {
                let value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"));
                self.text = rest.to_owned();
                return value;
            }
            assert!(self.read().await > 0, "it ended before the next {name}");
        }
    }
}
