//! The files of `config init`, as they come, in front of an upstream that checks what they promise.

use crate::support::{Client, Sluicegate, Upstream, nothing_comes, soon};

/// Runs a template with nothing changed but where it listens and where its upstream is.
async fn run(template: &str, upstream: &str, to: &Upstream) -> Sluicegate {
    let file = format!("{}/config/{template}.toml", env!("CARGO_MANIFEST_DIR"));
    let url = to.url();
    let url_variable = format!("SLUICEGATE__UPSTREAMS__{}__URL", upstream.to_ascii_uppercase());
    let variables = [("SLUICEGATE__SERVER__LISTEN", "127.0.0.1:0"), (url_variable.as_str(), url.as_str())];
    Sluicegate::run_with(&["-c", &file], &variables).await
}

async fn ask(gate: &Sluicegate, target: &str, fields: &[&str]) -> Client {
    let mut client = gate.client().await;
    client.request("GET", target, fields).await;
    client
}

/// The same, and whoever asks waits in the queue when this returns.
async fn ask_and_wait(gate: &Sluicegate, target: &str, fields: &[&str]) -> Client {
    let mut client = ask(gate, target, fields).await;
    client.settled().await;
    assert!(client.hears_nothing().await, "{target} was to wait, but: {:?}", client.try_answer().await);
    client
}

#[tokio::test]
async fn sidecar_keeps_an_app_server_at_its_twenty_threads() {
    let mut upstream = Upstream::start().await;
    let gate = run("sidecar", "default", &upstream).await;
    let (mut clients, mut calls) = (Vec::new(), Vec::new());
    for n in 0..20 {
        clients.push(gate.get(&format!("/{n}")).await);
        calls.push(soon("a free thread", upstream.next()).await);
    }
    for n in 20..30 {
        clients.push(gate.waiting(&format!("/{n}")).await);
    }
    assert_eq!(upstream.inside(), 20);
    // One that ends lets the next one in, in the order in which they came.
    for n in 20..30 {
        calls.remove(0).respond(200, "").await;
        let call = soon("the next in line", upstream.next()).await;
        assert_eq!(call.path(), format!("/{n}"));
        calls.push(call);
    }
    for call in calls {
        call.respond(200, "").await;
    }
    for mut client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(upstream.peak(), 20);
}

#[tokio::test]
async fn llm_gives_a_slot_away_when_its_stream_has_ended_and_people_come_before_batches() {
    let mut upstream = Upstream::start().await;
    let gate = run("llm", "model", &upstream).await;
    let (mut clients, mut streams) = (Vec::new(), Vec::new());
    for n in 0..8 {
        clients.push(gate.get(&format!("/{n}")).await);
        let mut stream = soon("a free slot", upstream.next()).await;
        stream.start_streaming(&[("content-type", "text/event-stream")]).await;
        stream.chunk("data: token\n\n").await.unwrap();
        streams.push(stream);
    }
    // Heads and tokens have long been sent, but the slots are taken.
    let batch = ask_and_wait(&gate, "/batch", &["X-Request-Priority: background"]).await;
    let person = ask_and_wait(&gate, "/person", &["X-Request-Priority: high"]).await;
    assert!(nothing_comes(upstream.next()).await);
    streams.remove(0).finish().await;
    let call = soon("the person", upstream.next()).await;
    assert_eq!(call.path(), "/person");
    call.respond(200, "").await;
    let call = soon("the batch", upstream.next()).await;
    assert_eq!(call.path(), "/batch");
    call.respond(200, "").await;
    for mut client in [batch, person] {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(upstream.peak(), 8);
    for stream in streams {
        stream.finish().await;
    }
}

#[tokio::test]
async fn db_counts_what_all_routes_do_to_the_database_and_exports_twice() {
    let mut upstream = Upstream::start().await;
    let gate = run("db", "api", &upstream).await;
    let mut calls = Vec::new();
    let mut clients = Vec::new();
    for n in 0..2 {
        clients.push(gate.get(&format!("/exports/{n}")).await);
        calls.push(soon("an export", upstream.next()).await);
    }
    let mut third_export = gate.waiting("/exports/2").await;
    for _ in 0..2 {
        clients.push(gate.get("/search").await);
        calls.push(soon("a search beside the exports", upstream.next()).await);
    }
    let mut third_search = gate.waiting("/search?third").await;
    // What needs no database waits for nobody.
    let mut file = gate.get("/static/logo").await;
    soon("the file", upstream.next()).await.respond(200, "").await;
    assert_eq!(file.answer().await.status, 200);
    // The export that ends makes room for two permits' worth: one of those who wait, or both, one after the other.
    calls.remove(0).respond(200, "").await;
    let next = soon("the next", upstream.next()).await;
    for call in calls {
        call.respond(200, "").await;
    }
    let last = soon("the last", upstream.next()).await;
    let mut paths = [next.path(), last.path()];
    paths.sort_unstable();
    assert_eq!(paths, ["/exports/2", "/search?third"]);
    next.respond(200, "").await;
    last.respond(200, "").await;
    for client in clients.iter_mut().chain([&mut third_export, &mut third_search]) {
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn egress_makes_five_calls_at_a_time_also_when_callers_leave() {
    let mut upstream = Upstream::start().await;
    let gate = run("egress", "partner", &upstream).await;
    let (mut clients, mut calls) = (Vec::new(), Vec::new());
    for n in 0..5 {
        clients.push(gate.get(&format!("/{n}")).await);
        calls.push(soon("a call", upstream.next()).await);
    }
    assert_eq!(calls[0].path(), "/0");
    let mut sixth = gate.waiting("/sixth").await;
    // The partner goes on with a call that nobody waits for, so it counts.
    clients.remove(0).leave();
    assert!(nothing_comes(upstream.next()).await);
    calls.remove(0).respond(200, "for nobody").await;
    soon("the sixth", upstream.next()).await.respond(200, "").await;
    assert_eq!(sixth.answer().await.status, 200);
    assert_eq!(upstream.peak(), 5);
    for call in calls {
        call.respond(200, "").await;
    }
}

#[tokio::test]
async fn tenants_have_a_share_each_and_nobody_starves() {
    let mut upstream = Upstream::start().await;
    let gate = run("tenants", "api", &upstream).await;
    let (mut clients, mut calls) = (Vec::new(), Vec::new());
    for (fields, cap) in [(&["X-Tenant: loud"][..], 20), (&[][..], 5)] {
        for _ in 0..cap {
            clients.push(ask(&gate, "/", fields).await);
            calls.push(soon("a permit of its share", upstream.next()).await);
        }
        // The share is used up, though there are permits left.
        clients.push(ask_and_wait(&gate, "/", fields).await);
    }
    for _ in 0..15 {
        clients.push(ask(&gate, "/", &["X-Tenant: quiet"]).await);
        calls.push(soon("what the others can't take", upstream.next()).await);
    }
    assert_eq!(upstream.inside(), 40);
    for call in calls {
        call.respond(200, "").await;
    }
    for _ in 0..2 {
        soon("those who waited", upstream.next()).await.respond(200, "").await;
    }
    for mut client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
}
