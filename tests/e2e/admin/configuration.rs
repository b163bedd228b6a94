//! What is configured, and what becomes of a request by it.

use serde_json::json;

use crate::support::{Sluicegate, Upstream};

#[tokio::test]
async fn the_configuration_in_force_is_shown_with_its_origins_and_follows_a_reload() {
    let upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(3).open_admin(Some("s3cret-token"));
    let mut gate = setup.in_front_of(&upstream).await;
    let shown = async |gate: &Sluicegate| {
        let answer = gate.ask_admin("GET /api/v1/config", "").await.json();
        answer["toml"].as_str().expect("text").to_owned()
    };
    let before = shown(&gate).await;
    assert!(before.contains("\nlimit = 3  # /") && before.contains(".toml:"), "{before}");
    assert!(before.contains("SLUICEGATE__ADMIN__TOKEN") && !before.contains("s3cret-token"), "{before}");
    gate.reload(&Sluicegate::with_limit(5).text(&upstream.url())).await;
    assert!(shown(&gate).await.contains("\nlimit = 5  # /"));
    gate.reload("[routes.default]\nlimit = 0").await;
    assert!(shown(&gate).await.contains("\nlimit = 5  # /"), "what was refused is not in force");
}

#[tokio::test]
async fn a_request_is_explained_as_the_command_does() {
    let upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(3).route("path = \"/v1/*\"\nkey = \"header:x-tenant\"").admin();
    let gate = setup.in_front_of(&upstream).await;
    let explain = async |body: &str| gate.ask_admin("POST /api/v1/explain", body).await;
    let taken = explain(r#"{"method":"GET","url":"/v1/x","headers":["x-tenant: acme"]}"#).await.json();
    assert_eq!(taken["route"], "default");
    assert!(taken["text"].as_str().unwrap().contains("key acme"), "{taken}");
    let none = explain(r#"{"method":"GET","url":"/other"}"#).await.json();
    assert_eq!(none["route"], json!(null));
    for wrong in ["", "{}", r#"{"method":"GET","url":"x"}"#, r#"{"method":"GET","url":"/","more":1}"#] {
        let answer = explain(wrong).await;
        assert_eq!((answer.status, answer.json()["status"].clone()), (400, json!(400)), "{wrong}");
    }
}

#[tokio::test]
async fn a_near_miss_is_explained_as_the_command_does() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).route("path = \"/v1\"").admin().in_front_of(&upstream).await;
    let near = gate.ask_admin("POST /api/v1/explain", r#"{"method":"GET","url":"/v1/x"}"#).await.json();
    assert!(near["text"].as_str().unwrap().contains("what is below it would be /v1/*"), "{near}");
}
