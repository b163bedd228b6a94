//! Single requests: who runs and who waits, ending one, and why one was turned away.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::http2::Http2;
use crate::support::{AccessLog, Client, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon, until};

/// A client that has sent a GET with this id.
async fn asking(gate: &Sluicegate, target: &str, id: &str, fields: &[&str]) -> Client {
    let mut client = gate.client().await;
    let id = format!("X-Request-Id: {id}");
    client.request("GET", target, &[fields, &[id.as_str()]].concat()).await;
    client
}

async fn in_flight(gate: &Sluicegate, limit: &str) -> Vec<Value> {
    let answer = gate.ask_admin(&format!("GET /api/v1/limits/{limit}/inflight?top=100"), "").await.json();
    let requests = answer["requests"].as_array().expect("requests").clone();
    assert_eq!(answer["length"], requests.len(), "{answer}");
    requests
}

/// The ids and phases of those in flight, the oldest first.
async fn phases(gate: &Sluicegate, limit: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    in_flight(gate, limit).await.iter().map(|request| (text(&request["request_id"]), text(&request["phase"]))).collect()
}

async fn is_in(gate: &Sluicegate, id: &str, phase: &str) {
    until(&format!("{id} to be {phase}"), async || phases(gate, "default").await == [(id.into(), phase.into())]).await;
}

#[tokio::test]
async fn who_runs_and_who_waits_is_shown_without_its_secrets() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(5).route("key = \"bearer\"\nper_key = 1").admin();
    let gate = setup.in_front_of(&upstream).await;
    let mut runs = asking(&gate, "/a", "runs", &["Authorization: Bearer t"]).await;
    let mut call = soon("the request", upstream.next()).await;
    let waits = asking(&gate, "/b", "waits", &["Authorization: Bearer t"]).await;
    until("it to wait", async || gate.limit_status().await["queue_length"] == 1).await;
    let running = &in_flight(&gate, "default").await[0];
    let endpoint = upstream.address.to_string();
    for (name, value) in [
        ("request_id", "runs"),
        ("phase", "upstream"),
        ("route", "default"),
        ("key", "sha256:e3b98a4d"),
        ("endpoint", &endpoint),
    ] {
        assert_eq!(running[name], value, "{running}");
    }
    let queue = gate.ask_admin("GET /api/v1/limits/default/queue", "").await.json();
    let waiting = &queue["waiting"][0];
    assert_eq!((&waiting["request_id"], &waiting["route"]), (&json!("waits"), &json!("default")), "{queue}");

    let shown = gate.command(&["ps"]).await;
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    let rows: Vec<Vec<_>> = shown.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["REQUEST", "AGE", "PHASE", "LIMIT", "ROUTE", "KEY", "ENDPOINT"]);
    assert_eq!(
        (rows[1][0], &rows[1][2..]),
        ("runs", &["upstream", "default", "default", "sha256:e3b98a4d", &*endpoint][..])
    );
    assert_eq!((rows[2][0], &rows[2][2..]), ("waits", &["queued", "default", "default", "sha256:e3b98a4d", "-"][..]));
    let shown = gate.command(&["ps", "default", "--waiting", "--json"]).await;
    let requests: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(
        (requests["requests"].as_array().unwrap().len(), &requests["requests"][0]["request_id"]),
        (1, &json!("waits"))
    );

    call.start_streaming(&[]).await;
    runs.head().await;
    is_in(&gate, "runs", "response").await;
    call.finish().await;
    soon("the next", upstream.next()).await.respond(200, "").await;
    drop((runs, waits));
    until("nobody to be left", async || phases(&gate, "default").await.is_empty()).await;
    assert_eq!(gate.command(&["ps"]).await.stdout, "no requests\n");
    assert_eq!(gate.command(&["ps", "nobody"]).await.code, Some(1));
}

#[tokio::test]
async fn who_waits_at_a_wide_limit_is_in_flight_at_the_narrow_one() {
    let mut upstream = Upstream::start().await;
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n[upstreams.a]\nurl = \"{}\"\n\
         [limits.wide]\nlimit = 1\n[routes.narrow]\nlimit = 2\nlimits = \"wide\"\n[routes.free]\npath = \"/free\"\nlimit = \"none\"\n",
        upstream.url()
    );
    let path = crate::support::sluicegate::write_config(&text);
    let path = path.to_str().expect("a path in UTF-8").to_owned();
    let gate = Sluicegate::run_with(&["-c", &path, "--admin", "127.0.0.1:0"], &[]).await;
    let _runs = asking(&gate, "/", "runs", &[]).await;
    let _call = soon("the request", upstream.next()).await;
    let _free = asking(&gate, "/free", "free", &[]).await;
    let _other = soon("the other request", upstream.next()).await;
    let _waits = asking(&gate, "/", "waits", &[]).await;
    let both = [("runs".to_owned(), "upstream".to_owned()), ("waits".to_owned(), "queued".to_owned())];
    until("both to hold a permit", async || phases(&gate, "narrow").await == both).await;
    assert_eq!(phases(&gate, "wide").await, both[..1]);
    let _ = std::fs::remove_file(path);
}

#[tokio::test]
async fn one_that_waits_is_turned_away_when_it_is_cancelled() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).admin().in_front_of(&upstream).await;
    let mut runs = asking(&gate, "/", "runs", &[]).await;
    let call = soon("the request", upstream.next()).await;
    // Ids are what clients send.
    let mut cancelled = asking(&gate, "/", "a/b?c%20", &[]).await;
    until("it to wait", async || gate.limit_status().await["queue_length"] == 1).await;
    let mut stays = gate.waiting("/stays").await;
    let done = gate.command(&["cancel", "a/b?c%20"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "a/b?c%20: cancelled (queued)\n"), "{done:?}");
    cancelled.answer().await.expect(503, "flushed");
    assert!(stays.hears_nothing().await, "somebody else was turned away");
    let why = gate.command(&["why", "a/b?c%20"]).await;
    assert_eq!(why.code, Some(0));
    assert!(why.stdout.contains(" 503 flushed (route default, limit default)\n"), "{}", why.stdout);
    for unknown in [["cancel", "nobody"], ["why", "nobody"], ["why", "runs"]] {
        let failed = gate.command(&unknown).await;
        assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""), "{unknown:?}");
    }
    call.respond(200, "").await;
    soon("the one that stays", upstream.next()).await.respond(200, "").await;
    assert_eq!((runs.answer().await.status, stays.answer().await.status), (200, 200));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn one_without_an_answer_gets_503_and_keeps_its_permit_until_the_upstream_has_ended() {
    let mut upstream = Upstream::start().await;
    let log = AccessLog::new("cancel-upstream");
    let gate = Sluicegate::with_limit(1).queue(5).server(&log.table()).admin().in_front_of(&upstream).await;
    let mut client = asking(&gate, "/cancelled", "one", &[]).await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(gate.command(&["cancel", "one"]).await.stdout, "one: cancelled (upstream)\n");
    client.answer().await.expect(503, "flushed");
    soon("the upstream to be told", call.until_hung_up()).await;
    is_in(&gate, "one", "abandoned").await;
    let next = gate.waiting("/next").await;
    assert!(nothing_comes(upstream.next()).await, "somebody was let in although the upstream works on");
    next.leave();
    call.close();
    let line = &log.about("/cancelled", 1).await[0];
    assert_eq!(
        (&line["status"], &line["reason"], &line["outcome"]),
        (&json!(503), &json!("flushed"), &json!("failed"))
    );
    permits_are_all_back(&gate, &mut upstream, 1).await;
    assert!(phases(&gate, "default").await.is_empty());
}

#[tokio::test]
async fn an_answer_that_has_begun_is_cut_when_it_is_cancelled() {
    let mut upstream = Upstream::start().await;
    let log = AccessLog::new("cancel-response");
    for buffered in ["", "buffer_response = \"1MiB\""] {
        let setup = Sluicegate::with_limit(1).queue(5).route(buffered).server(&log.table()).admin();
        let gate = setup.in_front_of(&upstream).await;
        let mut client = asking(&gate, "/cut", "one", &[]).await;
        let mut call = soon("the request", upstream.next()).await;
        call.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na part").await.unwrap();
        client.head().await;
        is_in(&gate, "one", "response").await;
        assert_eq!(gate.ask_admin("POST /api/v1/requests/one/cancel", "").await.status, 200);
        client.body(&mut crate::support::message::Framing::Length(100)).await.expect_err("it is cut");
        soon("the upstream to be told", call.until_hung_up()).await;
        is_in(&gate, "one", "abandoned").await;
        call.close();
        permits_are_all_back(&gate, &mut upstream, 1).await;

        let client = Http2::connect(gate.address).await;
        let asked = client.ask(client.request("GET", "/cut", &[("x-request-id", "two")]), true).await;
        let mut call = soon("the request", upstream.next()).await;
        call.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na part").await.unwrap();
        is_in(&gate, "two", "response").await;
        assert_eq!(gate.command(&["cancel", "two"]).await.code, Some(0));
        let (response, _) = asked.head().await.unwrap();
        let mut body = response.into_body();
        while let Some(piece) = soon("the reset", body.data()).await {
            if piece.is_err() {
                break;
            }
        }
        assert!(!body.is_end_stream(), "it looks complete");
        call.close();
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
    for line in log.about("/cut", 4).await {
        let said = (&line["status"], &line["reason"], &line["outcome"]);
        assert_eq!(said, (&json!(200), &json!("cancelled"), &json!("failed")), "{line}");
    }
}

#[tokio::test]
async fn an_answer_that_never_pauses_is_cut_when_it_is_cancelled() {
    let upstream = Upstream::that(|mut call| async move {
        let mut sending = call.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await;
        while sending.is_ok() {
            sending = call.send_raw(&[b'x'; 64 << 10]).await;
        }
    })
    .await;
    let gate =
        Sluicegate::with_limit(1).queue(1).admin().route("on_client_gone = \"reset\"").in_front_of(&upstream).await;
    let mut client = TcpStream::connect(gate.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: one\r\n\r\n").await.unwrap();
    let mut chunk = vec![0; 4 << 10];
    client.read_exact(&mut chunk).await.unwrap();
    let reading = async { while client.read(&mut chunk).await.is_ok_and(|n| n > 0) {} };
    let cancelling = async {
        assert_eq!(gate.ask_admin("POST /api/v1/requests/one/cancel", "").await.status, 200);
    };
    soon("its end", async { tokio::join!(reading, cancelling) }).await;
    until("the permit to be back", async || gate.limit_status().await["in_flight"] == 0).await;
}

#[tokio::test]
async fn why_names_the_endpoint_that_failed_and_the_error_of_the_system() {
    // A port that nobody listens on: it was ours a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gate = Sluicegate::with_limit(1).admin().in_front_of_url(&format!("http://{nobody}")).await;
    let mut client = asking(&gate, "/", "fails", &[]).await;
    client.answer().await.expect(502, "connect_failed");
    let rejections = gate.ask_admin("GET /api/v1/rejections?request_id=fails", "").await.json();
    let rejection = &rejections["rejections"][0];
    assert_eq!(rejection["endpoint"], nobody.to_string(), "{rejections}");
    let why = rejection["why"].as_str().expect("text");
    assert!(why.contains(&format!("{nobody}: Connection refused")), "{why}");
    let told = gate.command(&["why", "fails"]).await;
    assert!(told.stdout.contains("Connection refused"), "{told:?}");
}
