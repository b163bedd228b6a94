//! The OpenAPI document says what there is: no path more or less, no method more or less, and the members of answers.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::support::{Sluicegate, Upstream, soon};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[tokio::test]
async fn the_document_has_the_paths_of_the_router() {
    let document = document(&gate().await).await;
    let paths: BTreeSet<String> = document["paths"].as_object().expect("paths").keys().cloned().collect();
    let source = include_str!("../../../src/admin/router.rs");
    let routes = source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let routes: BTreeSet<String> = routes.map(str::to_owned).collect();
    assert!(routes.len() > 10, "the router is no longer written as this test reads it: {routes:?}");
    assert_eq!(paths, routes);
}

#[tokio::test]
async fn each_path_has_the_methods_of_the_document_and_no_other() {
    let gate = gate().await;
    let document = document(&gate).await;
    for (path, item) in document["paths"].as_object().expect("paths") {
        let described: BTreeSet<&str> = METHODS.into_iter().filter(|method| item.get(method).is_some()).collect();
        let path_of_one = path.replace("{name}", "default").replace("{endpoint}", "ENDPOINT").replace("{id}", "one");
        let unknown = gate.ask_admin(&format!("TRACE {path_of_one}"), "").await;
        assert_eq!(unknown.status, 405, "{path}");
        let allowed = unknown.head.field("allow").unwrap_or_default().to_ascii_lowercase();
        // HEAD comes with GET.
        let allowed: BTreeSet<&str> = allowed.split(',').filter(|method| *method != "head").collect();
        assert_eq!(described, allowed, "{path}");
    }
}

#[tokio::test]
async fn answers_have_the_members_of_the_document() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(1).route("key = \"header:x-tenant\"").admin();
    let gate = setup.in_front_of(&upstream).await;
    let mut running = gate.client().await;
    running.request("GET", "/runs", &["X-Request-Id: the-one"]).await;
    let _call = soon("the request", upstream.next()).await;
    let _waiting = gate.waiting("/waits").await;
    gate.get("/too-many").await.answer().await;
    let document = document(&gate).await;
    let mut checked = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in
            item.as_object().expect("operations").iter().filter(|(method, _)| *method != "parameters")
        {
            let schema =
                |status: &str| operation.pointer(&format!("/responses/{status}/content/application~1json/schema"));
            // A drain would be the end.
            let Some(schema) = schema("200") else { continue };
            let body = match (method.as_str(), path.as_str()) {
                ("patch", _) => r#"{"limit":1,"queue":1,"queue_timeout":"9s"}"#,
                (_, "/api/v1/explain") => r#"{"method":"GET","url":"/"}"#,
                _ => "",
            };
            let endpoint = upstream.address.to_string();
            let path = path.replace("{name}", "default").replace("{endpoint}", &endpoint).replace("{id}", "the-one");
            let start = format!("{} {path}", method.to_ascii_uppercase());
            let answer = gate.ask_admin(&start, body).await;
            assert_eq!(answer.status, 200, "{start}");
            let mut wrong = Vec::new();
            check(&document, schema, &answer.json(), &path, &mut wrong);
            assert!(wrong.is_empty(), "{start}: {wrong:#?}");
            checked += 1;
        }
    }
    assert!(checked >= 12, "only {checked} were checked");
}

async fn gate() -> Sluicegate {
    let upstream = Upstream::start().await;
    Sluicegate::with_limit(1).admin().in_front_of(&upstream).await
}

async fn document(gate: &Sluicegate) -> Value {
    let answer = gate.ask_admin("GET /api/v1/openapi.json", "").await;
    assert_eq!(answer.status, 200);
    answer.json()
}

/// As much of JSON Schema as the document uses. Members that it does not know are wrong here, or it would fall behind.
fn check(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let schema = resolve(document, schema);
    if let Some(branches) = schema.get("oneOf").and_then(Value::as_array) {
        let fits = |branch: &Value| {
            let mut wrong = Vec::new();
            check(document, branch, value, at, &mut wrong);
            wrong.is_empty()
        };
        if !branches.iter().any(fits) {
            wrong.push(format!("{at}: {value} is none of {schema}"));
        }
        return;
    }
    if !types(&schema).is_empty() && !types(&schema).iter().any(|kind| is(kind, value)) {
        wrong.push(format!("{at}: {value} is no {:?}", types(&schema)));
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        values.iter().for_each(|value| check(document, items, value, &format!("{at}[]"), wrong));
    }
    let (Some(properties), Some(members)) = (schema.get("properties").and_then(Value::as_object), value.as_object())
    else {
        return;
    };
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(required) {
            wrong.push(format!("{at}.{required} is missing"));
        }
    }
    for (name, value) in members {
        match properties.get(name) {
            Some(schema) => check(document, schema, value, &format!("{at}.{name}"), wrong),
            None => wrong.push(format!("{at}.{name} is not described")),
        }
    }
}

/// The schema behind a reference, and one for all of `allOf`.
fn resolve(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("no {reference}"));
        return resolve(document, target);
    }
    let Some(all) = schema.get("allOf").and_then(Value::as_array) else { return schema.clone() };
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in all.iter().map(|part| resolve(document, part)) {
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    serde_json::json!({ "type": "object", "properties": properties, "required": required })
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
