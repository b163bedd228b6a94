//! A new configuration on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::bridge::Directory;
use crate::support::quiet::alone;
use crate::support::{AccessLog, Client, Sluicegate, Upstream, one_of_three, permits_are_all_back, soon, until};

#[tokio::test]
async fn a_reload_that_was_asked_for_is_in_force_when_it_is_answered() {
    let mut upstream = Upstream::start().await;
    let limit = |limit| Sluicegate::with_limit(limit).queue(16);
    let gate = limit(1).admin().in_front_of(&upstream).await;
    let mut first = gate.get("/first").await;
    let call = soon("the first", upstream.next()).await;
    let mut second = gate.waiting("/second").await;

    gate.rewrite(&limit(2).text(&upstream.url()));
    let tried = gate.command(&["reload", "--dry-run"]).await;
    assert_eq!(
        (tried.code, tried.stdout.as_str()),
        (Some(0), "ok, and not in force: 1 route, 1 limit\nlimits: changed default\n")
    );
    assert_eq!(gate.limit_status().await["limit"], 1);

    let answer = gate.ask_admin("POST /api/v1/reload", "").await;
    assert_eq!((answer.status, &answer.json()["reloaded"]), (200, &true.into()));
    assert_eq!(gate.limit_status().await["limit"], 2);
    let second_call = soon("the waiter, now that two may be in", upstream.next()).await;
    for call in [call, second_call] {
        call.respond(200, "").await;
    }
    assert_eq!((first.answer().await.status, second.answer().await.status), (200, 200));
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn a_reload_that_is_refused_says_all_that_is_wrong_and_changes_nothing() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).admin().in_front_of(&upstream).await;
    let text = Sluicegate::with_limit(3).text(&upstream.url());
    gate.rewrite(&text.replace("limit = 3", "limit = \"many\"\nqueu = 1"));
    for dry_run in ["", "?dry_run", "?dry_run=true"] {
        let answer = gate.ask_admin(&format!("POST /api/v1/reload{dry_run}"), "").await;
        let problem = answer.json();
        assert_eq!((answer.status, &problem["status"]), (422, &422.into()), "{problem}");
        assert_eq!(problem["problems"].as_array().map(Vec::len), Some(2), "{problem}");
    }
    let failed = gate.command(&["reload"]).await;
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""));
    for part in ["stays in force", "routes.default.limit must be", "did you mean `queue`?", "^^^^^^"] {
        assert!(failed.stderr.contains(part), "{part} in {}", failed.stderr);
    }
    assert_eq!(gate.limit_status().await["limit"], 3);
    // One over the socket and one by the command; a dry run is none.
    let counted = gate.metrics().await;
    assert_eq!(counted["sluicegate_config_reloads_total{result=\"refused\"}"], 2.0);
    assert_eq!(counted["sluicegate_config_reloads_total{result=\"in_force\"}"], 0.0);
    let wrong = gate.ask_admin("POST /api/v1/reload?dry_run=maybe", "").await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_dry_run_names_all_that_would_be_different_and_a_second_reload_finds_nothing() {
    let upstream = Upstream::start().await;
    let url = upstream.url();
    let base = format!("[server]\nlisten = [\"127.0.0.1:0\"]\n[upstreams.app]\nurl = \"{url}\"\n");
    let before = format!(
        "{base}[limits.db]\nlimit = 2\n[routes.a]\npath = \"/a\"\nlimit = 1\n[routes.b]\npath = \"/b\"\nlimits = [\"db\"]\n"
    );
    // Another route comes first, so that every limit has another index.
    let after = format!(
        "{base}[upstreams.new]\nurl = \"{url}\"\n[limits.db]\nlimit = 3\n[routes.a0]\npath = \"/a0\"\nlimit = 1\n\
         upstream = \"new\"\n[routes.b]\npath = \"/b\"\nupstream = \"app\"\nlimits = [\"db\"]\n"
    );
    let mut gate = Sluicegate::configured_with(&before, &["--admin", "127.0.0.1:0"], &[]).await;
    gate.rewrite(&after);
    let tried = gate.ask_admin("POST /api/v1/reload?dry_run", "").await.json();
    let names = |added: &[&str], changed: &[&str], removed: &[&str]| serde_json::json!({"added": added, "changed": changed, "removed": removed});
    let changes = &tried["changes"];
    assert_eq!(changes["limits"], names(&["a0"], &["db"], &["a"]));
    assert_eq!(changes["routes"], names(&["a0"], &[], &["a"]));
    assert_eq!(changes["upstreams"], names(&["new"], &[], &[]));
    assert_eq!(changes["listeners"], names(&[], &[], &[]));
    let in_force = gate.ask_admin("GET /api/v1/limits", "").await.json();
    assert_eq!(in_force["limits"].as_array().map(Vec::len), Some(2), "{in_force}");
    assert_eq!(gate.command(&["reload", "--dry-run"]).await.stdout, {
        "ok, and not in force: 2 routes, 2 limits\n\
         limits: new a0; changed db; gone a\nroutes: new a0; gone a\nupstreams: new new\n"
    });
    gate.reload(&after).await;
    let again = gate.command(&["reload"]).await;
    assert_eq!(again.stdout, "in force: 2 routes, 2 limits\nnothing is different\n");
}

#[tokio::test]
async fn what_takes_a_restart_is_said() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).admin().in_front_of(&upstream).await;
    gate.rewrite(&Sluicegate::with_limit(4).text(&upstream.url()).replace("threads = 2", "threads = 1"));
    let reloaded = gate.command(&["reload"]).await;
    assert_eq!(
        (reloaded.code, reloaded.stdout.as_str()),
        (Some(0), "in force: 1 route, 1 limit\nlimits: changed default\n")
    );
    assert!(
        reloaded.stderr.contains("warning: server.threads has changed: that takes a restart"),
        "{}",
        reloaded.stderr
    );
    assert_eq!(gate.limit_status().await["limit"], 4);
}

#[tokio::test]
async fn while_draining_nothing_is_loaded() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    gate.terminate();
    until("it to drain", async || gate.ask_admin("GET /readyz", "").await.status == 503).await;
    assert_eq!(gate.ask_admin("POST /api/v1/reload", "").await.status, 409);
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

/// Prints how long it took: `cargo test --release --test e2e a_thousand_routes -- --nocapture`.
#[tokio::test]
async fn a_thousand_routes_are_reloaded_in_a_moment_and_no_request_fails() {
    let _alone = alone();
    let upstream = Upstream::that_works_for(Duration::from_millis(2)).await;
    let base = Sluicegate::with_limit(8).queue(1000);
    let gate = base.clone().admin().in_front_of(&upstream).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (stop, address) = (stop.clone(), gate.address);
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let mut answers = 0;
                while !stop.load(Ordering::Relaxed) {
                    client.get("/").await;
                    assert_eq!(client.answer().await.status, 200);
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    // Where nothing was optimized, ten times what that takes.
    let most = Duration::from_millis(if cfg!(debug_assertions) { 2500 } else { 50 });
    let mut round = 0;
    one_of_three(async || {
        round += 1;
        let mut text = base.text(&upstream.url());
        for n in 0..1000 {
            text += &format!("[routes.r{n}]\npath = \"/r{round}/{n}/{{id}}\"\nlimit = {}\n", n % 40 + round);
        }
        gate.rewrite(&text);
        let start = Instant::now();
        let answer = gate.ask_admin("POST /api/v1/reload", "").await;
        let took = start.elapsed();
        assert_eq!((answer.status, &answer.json()["routes"]), (200, &1001.into()));
        println!("a reload of a thousand routes took {took:?}");
        if took <= most { Ok(()) } else { Err(format!("{took:?}")) }
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut answers = 0;
    for client in clients {
        answers += soon("the last answers", client).await.expect("no request failed");
    }
    assert!(answers > 0);
}

#[tokio::test]
async fn a_reload_that_is_refused_leaves_the_access_log_where_it_was() {
    let (first, second) = (AccessLog::new("reload-first"), AccessLog::new("reload-second"));
    let mut upstream = Upstream::start().await;
    let url = upstream.url();
    let setup = |more: &str| Sluicegate::with_limit(1).server(more).text(&url);
    let mut gate = Sluicegate::configured(&setup(&first.table())).await;
    let mut client = gate.get("/begun").await;
    let call = soon("the request", upstream.next()).await;
    gate.reload(&setup("[log]\naccess = false")).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("an address");
    let listen = format!("listen = [\"127.0.0.1:0\", \"{}\"]", taken.local_addr().expect("its address"));
    let there = setup(&second.table()).replace("listen = [\"127.0.0.1:0\"]", &listen);
    assert!(there.contains(&listen), "{there}");
    gate.reload(&there).await;
    assert!(gate.stderr().contains("stays in force"), "{}", gate.stderr());
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    // Its line goes where it was to go when it began.
    first.about("/begun", 1).await;
    assert!(second.lines().is_empty(), "{:?}", second.lines());
}

#[tokio::test]
async fn a_dry_run_says_that_the_access_log_cannot_be_opened_and_makes_none() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).admin().in_front_of(&upstream).await;
    let dir = Directory::new();
    let text = |file: &str| {
        let table = format!("[log]\naccess = \"{}\"", dir.path(file));
        Sluicegate::with_limit(3).server(&table).text(&upstream.url())
    };
    gate.rewrite(&text("gone/access.log"));
    for command in [&["reload", "--dry-run"][..], &["reload"]] {
        let refused = gate.command(command).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let said = format!("cannot open the access log {}: No such file", dir.path("gone/access.log"));
        assert!(refused.stderr.contains(&said), "{refused:?}");
    }
    gate.rewrite(&text("access.log"));
    let tried = gate.command(&["reload", "--dry-run"]).await;
    assert_eq!(tried.code, Some(0), "{tried:?}");
    assert!(!dir.file("access.log").exists(), "it is only tried");
    assert_eq!(gate.command(&["reload"]).await.code, Some(0));
    assert!(dir.file("access.log").exists());
}
