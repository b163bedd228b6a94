//! Taking endpoints out and back, and what there is to see of them.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::support::sluicegate::free_address;
use crate::support::{Sluicegate, Upstream, soon, until};

async fn endpoint(gate: &Sluicegate, address: SocketAddr) -> Value {
    let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
    let endpoints = list["upstreams"][0]["endpoints"].as_array().unwrap().clone();
    let address = address.to_string();
    endpoints.into_iter().find(|endpoint| endpoint["endpoint"] == address.as_str()).expect("it is listed")
}

#[tokio::test]
async fn a_single_endpoint_that_refuses_stays_up_and_its_errors_are_to_be_seen() {
    let nobody = free_address();
    let mut gate = Sluicegate::with_limit(1).admin().in_front_of_url(&format!("http://{nobody}")).await;
    for _ in 0..7 {
        gate.get("/").await.answer().await.expect(502, "connect_failed");
    }
    let shown = gate.command(&["status"]).await.stdout;
    let row = shown.lines().find(|line| line.contains(&nobody.to_string())).expect("it is listed");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["default", &nobody.to_string(), "0", "7", "up"], "{shown}");
    // Which one it is, where there are several, only this says.
    soon("the warning", gate.said(&format!("endpoint=\"{nobody}\""))).await;
    assert_eq!(gate.stderr().matches("can't be reached").count(), 1, "it is said once a minute");
}

#[tokio::test]
async fn who_is_drained_gets_nothing_new_until_it_is_enabled_also_after_a_reload() {
    let (mut one, other) = (Upstream::start().await, Upstream::that(|call| call.respond(200, "other")).await);
    let setup = Sluicegate::with_limit(4).admin();
    let mut gate = setup.in_front_of_all([one.url(), other.url()]).await;
    // Whatever is sent first, one of the next is for the first endpoint.
    let mut first = gate.get("/").await;
    let running = loop {
        tokio::select! {
            call = one.next() => break call,
            answer = first.answer() => {
                assert_eq!(answer.body.text(), "other");
                first.get("/").await;
            }
        }
    };
    let name = one.address.to_string();
    let done = gate.command(&["endpoint", "drain", "default", &name]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let said =
        format!("default: {name} drained by 127.0.0.1, 1 in flight\ndefault: {} up, 0 in flight\n", other.address);
    assert_eq!(done.stdout, said);
    let drained = endpoint(&gate, one.address).await;
    assert_eq!((&drained["state"], &drained["drained_by"]), (&"drained".into(), &"127.0.0.1".into()));
    let up = format!("sluicegate_endpoint_up{{upstream=\"default\",endpoint=\"{name}\"}}");
    assert_eq!(gate.metrics().await[&up], 0.0);
    let mut client = gate.client().await;
    let others = async |client: &mut crate::support::Client| {
        for _ in 0..10 {
            client.get("/").await;
            assert_eq!(client.answer().await.body.text(), "other");
        }
    };
    others(&mut client).await;
    gate.reload(&setup.clone().upstream("retries = 0").text_of_all([one.url(), other.url()])).await;
    others(&mut client).await;
    assert_eq!(endpoint(&gate, one.address).await["state"], "drained");
    // What was under way has gone on.
    running.respond(200, "one").await;
    assert_eq!(first.answer().await.body.text(), "one");
    let done = gate.command(&["endpoint", "enable", "default", &name]).await;
    assert_eq!((done.code, done.stdout.contains(&format!("{name} up, 0 in flight"))), (Some(0), true), "{done:?}");
    let enabled = endpoint(&gate, one.address).await;
    assert_eq!((&enabled["state"], &enabled["drained_by"]), (&"up".into(), &Value::Null));
    let call = soon("a request again", async {
        loop {
            client.get("/").await;
            tokio::select! {
                call = one.next() => break call,
                _ = client.answer() => {}
            }
        }
    });
    call.await.respond(200, "").await;
}

#[tokio::test]
async fn the_last_endpoint_can_be_drained_and_then_there_is_none() {
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let path = |word: &str| format!("POST /api/v1/upstreams/default/endpoints/{}/{word}", upstream.address);
    assert_eq!(gate.ask_admin(&path("drain"), "").await.status, 200);
    let answer = gate.get("/").await.answer().await;
    answer.expect(503, "no_endpoint");
    // What there is behind it is the operator's business.
    assert!(!answer.body.text().contains("drained"), "{}", answer.body.text());
    let id = answer.head.field("x-request-id").expect("each has an id");
    // The beginning of an id will do, as lines for people have it.
    for id in [&id, &id[..8]] {
        let why = gate.command(&["why", id]).await;
        assert!(why.stdout.contains(" Endpoints: 1 drained by hand."), "{why:?}");
    }
    assert_eq!(gate.command(&["why", &id[..7]]).await.code, Some(1));
    assert_eq!(gate.ask_admin(&path("enable"), "").await.status, 200);
    assert_eq!(gate.get("/").await.answer().await.status, 200);
    assert!(gate.log().contains("an endpoint gets no requests any more"), "{}", gate.log());
}

#[tokio::test]
async fn nobody_waits_for_a_slot_behind_the_last_work_of_an_endpoint_that_gets_no_more() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(9).queue(9).admin().upstream("slots = 1");
    let gate = setup.in_front_of(&upstream).await;
    let mut runs = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let path = format!("POST /api/v1/upstreams/default/endpoints/{}/drain", upstream.address);
    assert_eq!(gate.ask_admin(&path, "").await.status, 200);
    gate.get("/").await.answer().await.expect(503, "no_endpoint");
    call.respond(200, "").await;
    assert_eq!(runs.answer().await.status, 200);
    until("all permits to be back", async || gate.limit_status().await["in_flight"] == 0).await;
}

#[tokio::test]
async fn whoever_does_not_exist_cannot_be_drained_and_it_is_said_who_can() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let done = gate.command(&["endpoint", "drain", "default", "10.9.9.9:1"]).await;
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains(&format!("It has {}", upstream.address)), "{done:?}");
    let done = gate.command(&["endpoint", "drain", "nobody", "10.9.9.9:1"]).await;
    assert!(done.code == Some(1) && done.stderr.contains("There is no upstream nobody"), "{done:?}");
}

#[tokio::test]
async fn a_name_stands_for_all_of_its_addresses() {
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let name = format!("localhost:{}", upstream.address.port());
    let gate = Sluicegate::with_limit(1).admin().in_front_of_url(&format!("http://{name}")).await;
    until("it to be looked up", async || {
        let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
        list["upstreams"][0]["endpoints"][0]["endpoint"] != name.as_str()
    })
    .await;
    assert_eq!(gate.command(&["endpoint", "drain", "default", &name]).await.code, Some(0));
    gate.get("/").await.answer().await.expect(503, "no_endpoint");
}

#[tokio::test]
async fn how_an_endpoint_answers_is_shown() {
    let upstream = Upstream::that(|call| async move {
        match call.path() {
            "/reset" => call.reset(),
            _ => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                call.respond(500, "").await;
            }
        }
    })
    .await;
    let gate = Sluicegate::with_limit(1).admin().upstream("retries = 0").in_front_of(&upstream).await;
    let new = endpoint(&gate, upstream.address).await;
    assert_eq!((&new["answers"], &new["errors"], &new["latency_ms"]), (&0.into(), &0.into(), &Value::Null));
    for _ in 0..3 {
        assert_eq!(gate.get("/").await.answer().await.status, 500);
    }
    gate.get("/reset").await.answer().await.expect(502, "upstream_reset");
    let now = endpoint(&gate, upstream.address).await;
    // What it answers is its own affair.
    assert_eq!((&now["answers"], &now["errors"]), (&3.into(), &1.into()), "{now}");
    let latency = now["latency_ms"].as_f64().unwrap();
    assert!((20.0..20_000.0).contains(&latency), "{latency}");
}
