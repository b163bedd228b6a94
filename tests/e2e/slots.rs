//! Endpoints that take so many requests at once and no more.

use std::time::Duration;

use crate::support::{Call, Sluicegate, Upstream, nothing_comes, soon, until};

const SLOTS: &str = "slots = 1";

/// Upstreams that answer when told.
async fn some(n: usize) -> Vec<Upstream> {
    let mut upstreams = Vec::new();
    for _ in 0..n {
        upstreams.push(Upstream::start().await);
    }
    upstreams
}

fn urls(upstreams: &[Upstream]) -> Vec<String> {
    upstreams.iter().map(Upstream::url).collect()
}

#[tokio::test]
async fn endpoints_with_one_slot_each_never_see_two_requests_at_once() {
    let mut upstreams = Vec::new();
    for _ in 0..3 {
        upstreams.push(Upstream::that_works_for(Duration::from_millis(1)).await);
    }
    let setup = Sluicegate::with_limit(12).queue(1000).admin().upstream(SLOTS);
    let gate = setup.in_front_of_all(urls(&upstreams)).await;
    let mut clients = Vec::new();
    for id in 0..24 {
        let mut client = gate.client().await;
        let address = gate.address;
        clients.push(tokio::spawn(async move {
            for i in 0..50 {
                // Some leave in the middle of it, and the upstream works on.
                if (id + i) % 7 == 0 {
                    client.get("/left").await;
                    tokio::time::sleep(Duration::from_micros(500)).await;
                    client.leave();
                    client = crate::support::Client::connect(address).await;
                } else {
                    client.get("/").await;
                    assert_eq!(client.answer().await.status, 200);
                }
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    for upstream in &upstreams {
        assert_eq!(upstream.peak(), 1);
        assert!(upstream.total() > 100, "{} of 1200", upstream.total());
    }
    let path = "GET /api/v1/limits/upstreams.default";
    until("all to have ended", async || gate.ask_admin(path, "").await.json()["in_flight"] == 0).await;
    let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
    for endpoint in list["upstreams"][0]["endpoints"].as_array().unwrap() {
        assert_eq!((&endpoint["in_flight"], &endpoint["slots"]), (&0.into(), &1.into()));
    }
}

#[tokio::test]
async fn who_finds_no_slot_waits_in_the_line_of_the_upstream() {
    let mut upstreams = some(2).await;
    let route = "[routes.free]\npath = \"/free\"\nlimit = \"none\"\n";
    let setup = Sluicegate::with_limit(8).admin().upstream(SLOTS).route("queue_timeout = \"1s\"").route(route);
    let gate = setup.in_front_of_all(urls(&upstreams)).await;
    let mut clients = vec![gate.get("/1").await, gate.get("/2").await];
    let mut calls: Vec<Call> = Vec::new();
    for upstream in &mut upstreams {
        calls.push(soon("one each", upstream.next()).await);
    }
    let late = gate.get("/late").await.answer().await;
    late.expect(503, "queue_timeout");
    assert_eq!(late.head.field("x-sluicegate-limit").as_deref(), Some("upstreams.default"));
    // What takes no permit takes no slot.
    let mut free = gate.get("/free").await;
    let [one, other] = &mut upstreams[..] else { panic!("two") };
    let call = soon("one without a slot", async {
        tokio::select! { call = one.next() => call, call = other.next() => call }
    })
    .await;
    assert_eq!(call.path(), "/free");
    call.respond(200, "").await;
    assert_eq!(free.answer().await.status, 200);
    let mut next = gate.waiting("/next").await;
    let first = calls.remove(0);
    // Which of the two went where is a matter of chance.
    let mut other = clients.remove(usize::from(first.path() == "/1"));
    first.respond(200, "").await;
    let call = soon("the next", upstreams[0].next()).await;
    assert_eq!(call.path(), "/next");
    call.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    assert!(other.hears_nothing().await);
}

#[tokio::test]
async fn a_limit_can_be_as_large_as_the_slots_and_costs_count_there_only() {
    let mut upstreams = some(2).await;
    let setup = Sluicegate::with_slots().admin().upstream("slots = 2").route("cost = 2\nqueue = 5");
    let gate = setup.in_front_of_all(urls(&upstreams)).await;
    assert_eq!((&gate.limit_status().await["limit"], &gate.limit_status().await["queue"]), (&4.into(), &5.into()));
    let mut clients = Vec::new();
    let mut calls = Vec::new();
    let [one, other] = &mut upstreams[..] else { panic!("two") };
    for _ in 0..2 {
        clients.push(gate.get("/wide").await);
        let next = async {
            tokio::select! { call = one.next() => call, call = other.next() => call }
        };
        calls.push(soon("two at once", next).await);
    }
    let _third = gate.waiting("/third").await;
    assert_eq!(gate.limit_status().await["in_flight"], 4);
    let last = gate.ask_admin("GET /api/v1/limits/upstreams.default", "").await.json();
    assert_eq!((&last["in_flight"], &last["limit"], &last["queue"]), (&2.into(), &4.into(), &16.into()));
    // A number in place of the slots' sum stays while it is in force.
    gate.ask_admin("PATCH /api/v1/limits/default", r#"{"limit":2}"#).await;
    assert_eq!(gate.limit_status().await["limit"], 2);
    gate.ask_admin("DELETE /api/v1/limits/default", "").await;
    assert_eq!(gate.limit_status().await["limit"], 4);
}

#[tokio::test]
async fn what_still_runs_at_an_endpoint_that_was_removed_takes_nobodys_slot() {
    let mut upstreams = some(3).await;
    let setup = Sluicegate::with_limit(20).admin().upstream(SLOTS);
    let mut gate = setup.in_front_of_all(urls(&upstreams[..2])).await;
    let limit = async |gate: &Sluicegate| {
        let status = gate.ask_admin("GET /api/v1/limits/upstreams.default", "").await.json();
        (status["limit"].as_u64().unwrap(), status["in_flight"].as_u64().unwrap())
    };
    let mut first = gate.get("/first").await;
    let mut second = gate.get("/second").await;
    let running = soon("the first", upstreams[0].next()).await;
    let stays = soon("the second", upstreams[1].next()).await;
    let mut waiting = gate.waiting("/waiting").await;
    assert_eq!(limit(&gate).await, (2, 2));
    // The first endpoint goes, and another one comes: its slot is for who waits.
    gate.reload(&setup.text_of_all(urls(&upstreams[1..]))).await;
    let call = soon("the one that waited", upstreams[2].next()).await;
    assert_eq!(limit(&gate).await, (3, 3));
    let _next = gate.waiting("/next").await;
    running.respond(200, "").await;
    until("the limit to go down", async || limit(&gate).await == (2, 2)).await;
    let [_, one, other] = &mut upstreams[..] else { panic!("three") };
    assert!(nothing_comes(one.next()).await && nothing_comes(other.next()).await);
    stays.respond(200, "").await;
    let next = soon("the next", one.next()).await;
    assert_eq!(next.path(), "/next");
    call.respond(200, "").await;
    for client in [&mut first, &mut second, &mut waiting] {
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_retry_needs_no_second_slot() {
    let mut upstreams = some(2).await;
    let gate = Sluicegate::with_limit(9).upstream(SLOTS).in_front_of_all(urls(&upstreams)).await;
    let [one, other] = &mut upstreams[..] else { panic!("two") };
    let mut client = gate.get("/").await;
    let mut second = gate.get("/").await;
    // Both before either is answered, or one endpoint may get both.
    let calls = [soon("one each", one.next()).await, soon("one each", other.next()).await];
    for call in calls {
        call.respond(200, "").await;
    }
    assert_eq!((client.answer().await.status, second.answer().await.status), (200, 200));
    // One is taken for good, so that the other has to be tried again.
    second.get("/stays").await;
    let next = async {
        tokio::select! { call = one.next() => (call, true), call = other.next() => (call, false) }
    };
    let (stays, is_one) = soon("the one that stays", next).await;
    let free = if is_one { other } else { one };
    client.get("/again").await;
    soon("the first attempt", free.next()).await.close();
    soon("the second attempt", free.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    stays.respond(200, "").await;
    assert_eq!(second.answer().await.status, 200);
}
