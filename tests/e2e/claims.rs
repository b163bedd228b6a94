//! Who goes next: order, keys, priority, cost, and what a limit holds for.

use crate::support::client::head_of;
use crate::support::{Client, Setup, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon, until};

/// A limit of one with one request inside, and what waits behind it.
struct Full {
    upstream: Upstream,
    gate: Sluicegate,
    waiting: Vec<Client>,
    call: Option<crate::support::Call>,
}

impl Full {
    async fn start(setup: Setup) -> Self {
        let mut upstream = Upstream::start().await;
        let gate = setup.admin().in_front_of(&upstream).await;
        let holder = gate.get("/holder").await;
        let call = soon("the holder", upstream.next()).await;
        Full { upstream, gate, waiting: vec![holder], call: Some(call) }
    }

    /// A client that has sent this and waits.
    async fn waits(&mut self, path: &str, fields: &[&str]) {
        let before = self.queue_length().await;
        let client = self.sent(path, fields).await;
        until("it to wait", async || self.queue_length().await == before + 1).await;
        self.waiting.push(client);
    }

    async fn sent(&self, path: &str, fields: &[&str]) -> Client {
        let mut client = self.gate.client().await;
        client.request("GET", path, fields).await;
        client
    }

    async fn queue_length(&self) -> u64 {
        self.gate.limit_status().await["queue_length"].as_u64().expect("a number")
    }

    /// Ends one after the other, and says in which order they went.
    async fn order(&mut self) -> Vec<String> {
        let mut order = Vec::new();
        self.call.take().expect("it is inside").respond(200, "").await;
        while self.queue_length().await > 0 || order.len() + 1 < self.waiting.len() {
            let call = soon("the next in line", self.upstream.next()).await;
            order.push(call.path().to_owned());
            call.respond(200, "").await;
        }
        order
    }
}

fn limit_of_one() -> Setup {
    Sluicegate::with_limit(1).queue(10)
}

#[tokio::test]
async fn the_newest_goes_first_where_the_order_says_so() {
    let mut full = Full::start(limit_of_one().route("order = \"lifo\"")).await;
    for path in ["/a", "/b", "/c"] {
        full.waits(path, &[]).await;
    }
    assert_eq!(full.order().await, ["/c", "/b", "/a"]);
}

#[tokio::test]
async fn an_adaptive_order_turns_once_the_queue_has_stood_for_a_while() {
    let mut full = Full::start(limit_of_one().route("order = \"adaptive_lifo\"")).await;
    for path in ["/a", "/b", "/c"] {
        full.waits(path, &[]).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    assert_eq!(full.order().await, ["/c", "/b", "/a"]);
}

#[tokio::test]
async fn keys_take_turns() {
    let mut full = Full::start(limit_of_one().route("key = \"header:x-tenant\"")).await;
    for path in ["/a1", "/a2", "/a3"] {
        full.waits(path, &["x-tenant: a"]).await;
    }
    full.waits("/b1", &["x-tenant: b"]).await;
    full.waits("/none", &[]).await;
    let order = full.order().await;
    let place = |path: &str| order.iter().position(|other| other == path).unwrap();
    assert!(place("/b1") < place("/a2") && place("/none") < place("/a2"), "{order:?}");
    assert!(place("/a1") < place("/a2") && place("/a2") < place("/a3"), "{order:?}");
}

#[tokio::test]
async fn a_full_queue_drops_from_the_longest_key() {
    let setup = Sluicegate::with_limit(1).queue(3).route("key = \"header:x-tenant\"");
    let mut full = Full::start(setup).await;
    for path in ["/a1", "/a2", "/a3"] {
        full.waits(path, &["x-tenant: a"]).await;
    }
    let _quiet = full.sent("/b1", &["x-tenant: b"]).await;
    let mut dropped = full.waiting.pop().unwrap();
    dropped.answer().await.expect(429, "key_queue_full");
    // The longest itself gets no more.
    full.sent("/a4", &["x-tenant: a"]).await.answer().await.expect(429, "key_queue_full");
    assert_eq!(full.queue_length().await, 3);
}

#[tokio::test]
async fn a_key_has_no_more_inside_than_it_may_and_blocks_nobody() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(4).queue(10).route("key = \"header:x-tenant\"\nper_key = 2\nper_key_queue = 1");
    let gate = setup.in_front_of(&upstream).await;
    let ask = async |tenant: &str| {
        let mut client = gate.client().await;
        client.request("GET", &format!("/{tenant}"), &[&format!("x-tenant: {tenant}")]).await;
        client
    };
    let mut clients = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..2 {
        clients.push(ask("a").await);
        calls.push(soon("a's", upstream.next()).await);
    }
    let mut third = ask("a").await;
    assert!(nothing_comes(upstream.next()).await, "a key has more than its share");
    ask("a").await.answer().await.expect(429, "key_queue_full");
    clients.push(ask("b").await);
    let b = soon("b's", upstream.next()).await;
    assert_eq!(b.path(), "/b", "a capped key blocks another");
    calls.remove(0).respond(200, "").await;
    let next = soon("a's third", upstream.next()).await;
    assert_eq!(next.path(), "/a");
    next.respond(200, "").await;
    assert_eq!(third.answer().await.status, 200);
    b.respond(200, "").await;
    for call in calls {
        call.respond(200, "").await;
    }
    // They all have the key of nobody, which has its cap as well.
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn without_a_queue_a_key_at_its_cap_is_told_so() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(4).queue(0).route("key = \"query:who\"\nper_key = 1\nreject_status = 529");
    let gate = setup.in_front_of(&upstream).await;
    let holder = gate.get("/?who=a").await;
    let call = soon("the holder", upstream.next()).await;
    gate.get("/?who=a").await.answer().await.expect(429, "key_limit");
    let other = gate.get("/?who=b").await;
    soon("the other", upstream.next()).await.respond(200, "").await;
    call.respond(200, "").await;
    drop((holder, other));
}

#[tokio::test]
async fn overrides_and_unknown_keys_are_what_the_file_says() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(9).queue(0).route(
        "key = \"bearer\"\nper_key = 1\nunknown_key = \"reject\"\nmissing_key = \"reject\"\n\
         keys = { \"sha256:e3b98a4d\" = { per_key = 2 } }",
    );
    let gate = setup.in_front_of(&upstream).await;
    let ask = async |fields: &[&str]| {
        let mut client = gate.client().await;
        client.request("GET", "/", fields).await;
        client
    };
    let mut inside = Vec::new();
    for _ in 0..2 {
        let client = ask(&["authorization: Bearer t"]).await;
        inside.push((client, soon("one of a known key", upstream.next()).await));
    }
    ask(&["authorization: Bearer t"]).await.answer().await.expect(429, "key_limit");
    ask(&["authorization: Bearer other"]).await.answer().await.expect(429, "key_limit");
    ask(&[]).await.answer().await.expect(429, "key_limit");
}

#[tokio::test]
async fn a_request_without_the_key_that_it_needs_is_refused_though_a_permit_is_free() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(9).route("key = \"header:x-tenant\"\nmissing_key = \"reject\"");
    let gate = setup.in_front_of(&upstream).await;
    let answer = gate.get("/").await.answer().await;
    answer.expect(429, "key_limit");
    assert_eq!(answer.head.field("x-sluicegate-limit").as_deref(), Some("default"));
    let mut known = gate.client().await;
    known.request("GET", "/", &["x-tenant: a"]).await;
    soon("one with a key", upstream.next()).await.respond(200, "").await;
    assert_eq!(known.answer().await.status, 200);
}

#[tokio::test]
async fn the_more_urgent_goes_first_if_it_is_believed() {
    for (rules, expected) in [
        ("trust_headers = \"all\"", ["/critical", "/rfc", "/normal", "/background"]),
        ("", ["/background", "/normal", "/rfc", "/critical"]),
    ] {
        let setup = limit_of_one().route(&format!("priority = \"header\"\n{rules}"));
        let mut full = Full::start(setup).await;
        full.waits("/background", &["x-request-priority: background"]).await;
        full.waits("/normal", &[]).await;
        full.waits("/rfc", &["priority: u=1, i"]).await;
        full.waits("/critical", &["x-request-priority: critical"]).await;
        assert_eq!(full.order().await, expected, "{rules}");
    }
}

#[tokio::test]
async fn the_more_urgent_pushes_out_the_less_urgent() {
    let setup = Sluicegate::with_limit(1).queue(1).route("priority = \"header\"\ntrust_headers = \"all\"");
    let mut full = Full::start(setup).await;
    full.waits("/low", &["x-request-priority: low"]).await;
    let _high = full.sent("/high", &["x-request-priority: high"]).await;
    let mut low = full.waiting.pop().unwrap();
    let answer = low.answer().await;
    answer.expect(503, "evicted");
    assert!(answer.head.has("retry-after"));
    full.sent("/low", &["x-request-priority: low"]).await.answer().await.expect(503, "queue_full");
}

#[tokio::test]
async fn a_route_has_a_priority_for_its_requests() {
    let mut upstream = Upstream::start().await;
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[upstreams.a]\nurl = \"{}\"\n[limits.all]\nlimit = 1\n\
         [routes.rest]\nlimits = \"all\"\n[routes.vip]\npath = \"/vip\"\nlimits = \"all\"\npriority = \"high\"\n",
        upstream.url()
    );
    let gate = Sluicegate::configured(&text).await;
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let rest = gate.waiting("/rest").await;
    let vip = gate.waiting("/vip").await;
    call.respond(200, "").await;
    for path in ["/vip", "/rest"] {
        let call = soon("the next in line", upstream.next()).await;
        assert_eq!(call.path(), path);
        call.respond(200, "").await;
    }
    holder.answer().await;
    drop((rest, vip));
}

#[tokio::test]
async fn a_request_takes_as_many_permits_as_it_costs() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(3).queue(5).route("cost = \"header:x-cost\"\ntrust_headers = \"all\"");
    let gate = setup.in_front_of(&upstream).await;
    let ask = async |cost: &str| {
        let mut client = gate.client().await;
        client.send(head_of("GET", &format!("/{cost}"), &[&format!("x-cost: {cost}")])).await;
        client
    };
    let first = ask("2").await;
    let two = soon("the first", upstream.next()).await;
    let second = ask("2").await;
    assert!(nothing_comes(upstream.next()).await, "4 of 3 permits are out");
    two.respond(200, "").await;
    soon("the second", upstream.next()).await.respond(200, "").await;
    let three = ask("3").await;
    soon("one that takes all", upstream.next()).await.respond(200, "").await;
    ask("4").await.answer().await.expect(400, "cost");
    ask("none").await.answer().await.expect(400, "cost");
    drop((first, second, three));
    permits_are_all_back(&gate, &mut upstream, 3).await;
}

#[tokio::test]
async fn a_dry_run_turns_nobody_away_and_counts_whom_it_would_have() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(1).route("dry_run = true").admin();
    let gate = setup.in_front_of(&upstream).await;
    let mut inside = Vec::new();
    for n in 0..4 {
        let client = gate.get(&format!("/{n}")).await;
        inside.push((client, soon("one of many", upstream.next()).await));
    }
    let metrics = gate.metrics().await;
    assert_eq!(metrics["sluicegate_inflight{limit=\"default\"}"], 4.0);
    let counted = |name: &str| metrics.iter().filter(|(n, _)| n.starts_with(name)).map(|(_, v)| v).sum::<f64>();
    let would = counted("sluicegate_dry_run_queued_total") + counted("sluicegate_dry_run_rejected_total");
    assert!(would >= 3.0, "{metrics:#?}");
    for (mut client, call) in inside {
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
    until("all of them to be out", async || gate.limit_status().await["in_flight"] == 0).await;
}

#[tokio::test]
async fn a_limit_that_holds_to_the_head_lets_the_next_in_behind_it() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).route("hold = \"head\"").in_front_of(&upstream).await;
    let mut streaming = gate.get("/streaming").await;
    let mut call = soon("the first", upstream.next()).await;
    let mut next = gate.waiting("/next").await;
    call.start_streaming(&[]).await;
    call.chunk("begun").await.unwrap();
    streaming.head().await;
    soon("the next in line", upstream.next()).await.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    call.finish().await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
}
