//! Names that stand for addresses, or for none.

use std::net::ToSocketAddrs;

use crate::support::{Sluicegate, Upstream, until};

async fn endpoints(gate: &Sluicegate) -> Vec<(String, String)> {
    let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
    let endpoints = list["upstreams"][0]["endpoints"].as_array().unwrap().clone();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    endpoints.iter().map(|endpoint| (word(&endpoint["endpoint"]), word(&endpoint["state"]))).collect()
}

#[tokio::test]
async fn each_address_of_a_name_is_an_endpoint_and_one_that_nobody_serves_costs_no_request() {
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let port = upstream.address.port();
    // IPv4 alone, or both.
    let mut addresses: Vec<_> = ("localhost", port).to_socket_addrs().expect("it is known").collect();
    addresses.sort();
    addresses.dedup();
    let expected: Vec<_> = addresses.iter().map(|address| (address.to_string(), "up".to_owned())).collect();
    let setup = Sluicegate::with_limit(2).admin().upstream("eject = \"off\"");
    let url = format!("http://localhost:{port}");
    let mut gate = setup.in_front_of_url(&url).await;
    let mut client = gate.client().await;
    for i in 0..20 {
        client.get("/").await;
        assert_eq!(client.answer().await.status, 200);
        if i == 10 {
            until("the name to be looked up", async || endpoints(&gate).await == expected).await;
        }
    }
    // Nothing is asked anew by a reload, and nothing that has not changed is connected to anew.
    let connections = upstream.connections();
    gate.reload(&setup.upstream("retries = 2").text(&url)).await;
    assert_eq!(endpoints(&gate).await, expected);
    for _ in 0..5 {
        client.get("/").await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(upstream.connections(), connections);
}

#[tokio::test]
async fn a_name_that_is_not_known_costs_the_others_nothing_and_alone_it_is_no_endpoint() {
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let setup = Sluicegate::with_limit(1).admin();
    let mut gate = setup.in_front_of_all(["http://name.invalid:80".to_owned(), upstream.url()]).await;
    let unresolved = ("name.invalid:80".to_owned(), "unresolved".to_owned());
    until("the look-up to fail", async || endpoints(&gate).await[0] == unresolved).await;
    for _ in 0..10 {
        assert_eq!(gate.get("/").await.answer().await.status, 200);
    }
    assert_eq!(gate.metrics().await["sluicegate_endpoint_up{upstream=\"default\",endpoint=\"name.invalid:80\"}"], 0.0);
    gate.reload(&setup.text("http://name.invalid:80")).await;
    gate.get("/").await.answer().await.expect(503, "no_endpoint");
    assert_eq!(gate.log().matches("a name cannot be resolved").count(), 1);
    assert_eq!(gate.limit_status().await["in_flight"], 0);
    gate.reload(&setup.text(&upstream.url())).await;
    assert_eq!(gate.get("/").await.answer().await.status, 200);
}
