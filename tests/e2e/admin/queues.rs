//! What waits: emptying a queue, and whose requests there are.

use crate::support::{Sluicegate, Upstream, permits_are_all_back, soon, until};

#[tokio::test]
async fn an_emptied_queue_tells_those_who_waited() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).admin().in_front_of(&upstream).await;
    let holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(gate.waiting("/waits").await);
    }
    let told = gate.command(&["limit", "flush", "default"]).await;
    assert_eq!((told.code, told.stdout.as_str()), (Some(0), "default: 3 requests turned away\n"), "{told:?}");
    for mut client in waiting {
        let answer = client.answer().await;
        answer.expect(503, "flushed");
        assert!(answer.head.has("retry-after"));
    }
    // Those who come later wait as ever.
    let next = gate.waiting("/next").await;
    call.respond(200, "").await;
    soon("the next in line", upstream.next()).await.respond(200, "").await;
    drop((holder, next));
    permits_are_all_back(&gate, &mut upstream, 1).await;
    let answer = gate.ask_admin("POST /api/v1/limits/nobody/flush", "").await;
    assert_eq!(answer.status, 404);
    assert_eq!(gate.metrics().await["sluicegate_limit_rejected_total{limit=\"default\",reason=\"flushed\"}"], 3.0);
}

#[tokio::test]
async fn keys_are_shown_with_what_they_have_and_secrets_are_not() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(2).queue(10).route("key = \"bearer\"\nper_key = 1").admin();
    let gate = setup.in_front_of(&upstream).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = gate.client().await;
        client.request("GET", "/", &["authorization: Bearer t"]).await;
        clients.push(client);
    }
    let _call = soon("the first", upstream.next()).await;
    until("two of them to wait", async || gate.limit_status().await["queue_length"] == 2).await;
    let answer = gate.ask_admin("GET /api/v1/limits/default/keys?top=5", "").await;
    let keys = answer.json();
    assert_eq!(keys["keys"][0], serde_json::json!({"key": "sha256:e3b98a4d", "waiting": 2, "in_flight": 1}), "{keys}");
    let bad = gate.ask_admin("GET /api/v1/limits/default/keys?top=many", "").await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn those_who_wait_are_shown_in_the_order_in_which_they_would_go() {
    let mut upstream = Upstream::start().await;
    let rules = "key = \"bearer\"\npriority = \"header\"\ncost = \"header:x-cost\"\ntrust_headers = \"all\"";
    let gate = Sluicegate::with_limit(3).queue(10).route(rules).admin().in_front_of(&upstream).await;
    let asked = [
        ("/holder", &["x-cost: 3"][..]),
        ("/t1", &["authorization: Bearer t", "x-request-priority: low"]),
        ("/t2", &["authorization: Bearer t", "x-cost: 2"]),
        ("/t3", &["authorization: Bearer t"]),
        ("/none", &[]),
    ];
    let mut clients = Vec::new();
    for (n, (path, fields)) in asked.into_iter().enumerate() {
        let mut client = gate.client().await;
        client.request("GET", path, fields).await;
        clients.push(client);
        until("it to have come", async || {
            let status = gate.limit_status().await;
            status["queue_length"] == n && status["in_flight"] == 3
        })
        .await;
    }
    let told = gate.ask_admin("GET /api/v1/limits/default/queue", "").await.json();
    assert_eq!((&told["name"], &told["length"]), (&"default".into(), &4.into()));
    let waiting = told["waiting"].as_array().unwrap();
    let expected = [
        (1, "sha256:e3b98a4d", "normal", 2),
        (2, "_", "normal", 1),
        (3, "sha256:e3b98a4d", "normal", 1),
        (4, "sha256:e3b98a4d", "low", 1),
    ];
    assert_eq!(waiting.len(), expected.len(), "{told}");
    for (waiter, (position, key, priority, cost)) in waiting.iter().zip(expected) {
        assert_eq!((&waiter["position"], &waiter["key"]), (&position.into(), &key.into()), "{told}");
        assert_eq!((&waiter["priority"], &waiter["cost"]), (&priority.into(), &cost.into()), "{told}");
        assert!(waiter["waited_seconds"].as_f64() > Some(0.0) && waiter["estimated_seconds"].is_null(), "{told}");
    }
    let first = gate.ask_admin("GET /api/v1/limits/default/queue?top=1", "").await.json();
    assert_eq!((&first["length"], first["waiting"].as_array().unwrap().len()), (&4.into(), 1));
    assert_eq!(gate.ask_admin("GET /api/v1/limits/default/queue?top=all", "").await.status, 400);
    assert_eq!(gate.ask_admin("GET /api/v1/limits/nobody/queue", "").await.status, 404);
    soon("the holder", upstream.next()).await.respond(200, "").await;
    let mut order = Vec::new();
    for _ in 0..2 {
        order.push(soon("the first two", upstream.next()).await);
    }
    let mut paths: Vec<_> = order.iter().map(|call| call.path().to_owned()).collect();
    paths.sort();
    assert_eq!(paths, ["/none", "/t2"]);
}
