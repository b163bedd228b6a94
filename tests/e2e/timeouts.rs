//! Clients that are slow or silent.

use std::time::{Duration, Instant};

use crate::support::client::head_of;
use crate::support::{Sluicegate, Upstream, soon, until};

#[tokio::test]
async fn a_slow_head_is_a_408() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).server("header_timeout = \"300ms\"").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: a").await;
    let answer = client.answer().await;
    answer.expect(408, "request_timeout");
    assert!(answer.closes());
    assert!(start.elapsed() >= Duration::from_millis(290), "after only {:?}", start.elapsed());
    client.expect_closed().await;
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn a_head_that_trickles_is_a_408() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).server("header_timeout = \"400ms\"").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    let start = Instant::now();
    // Each byte comes in time; all of them together do not.
    for byte in head_of("GET", "/a-rather-long-path-indeed", &[]).as_bytes().chunks(1) {
        if client.try_send(byte).await.is_err() || start.elapsed() > Duration::from_secs(2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.answer().await.expect(408, "request_timeout");
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn a_slow_second_head_is_a_408() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).server("header_timeout = \"300ms\"").in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    client.send("GET /second HT").await;
    client.answer().await.expect(408, "request_timeout");
    client.expect_closed().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).server("idle_timeout = \"300ms\"\nheader_timeout = \"300ms\"");
    let gate = setup.in_front_of(&upstream).await;
    let mut used = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(used.answer().await.status, 200);
    let start = Instant::now();
    used.expect_closed().await;
    assert!(start.elapsed() >= Duration::from_millis(200), "after only {:?}", start.elapsed());
    let mut unused = gate.client().await;
    unused.expect_closed().await;
}

#[tokio::test]
async fn a_connection_that_waits_for_its_answer_is_not_idle() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(1);
    let server = "idle_timeout = \"200ms\"\nheader_timeout = \"200ms\"\nbody_idle_timeout = \"200ms\"";
    let gate = setup.server(server).in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let mut waiter = gate.client().await;
    waiter.post("/", "with a body").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    let mut call = soon("the waiter's request", upstream.next()).await;
    call.body().await.unwrap();
    call.respond(200, "").await;
    assert_eq!(waiter.answer().await.status, 200);
}

/// The system tells it of each of its sockets: the kind of its timer (2 is keep-alive), and when that is due, in
/// hundredths of a second.
#[tokio::test]
async fn tcp_asks_whether_a_silent_client_is_still_there_as_often_as_the_configuration_says() {
    if !std::path::Path::new("/proc/net/tcp").exists() {
        eprintln!("SKIPPED: this system does not show the timers of its sockets");
        return;
    }
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).server("tcp_keepalive = \"1000s\"").in_front_of(&upstream).await;
    let client = std::net::TcpStream::connect(gate.address).expect("it listens");
    let client_port = client.local_addr().expect("it is connected").port();
    let ends = (format!(":{:04X}", gate.address.port()), format!(":{client_port:04X}"));
    until("the timer of the accepted socket", async || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").expect("as before");
        let timers = sockets.lines().filter_map(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            let is_it = columns.get(1)?.ends_with(&ends.0) && columns.get(2)?.ends_with(&ends.1);
            columns.get(5)?.strip_prefix("02:").filter(|_| is_it)
        });
        let due = timers.filter_map(|due| u32::from_str_radix(due, 16).ok()).next();
        due.is_some_and(|due| (90_000..=100_000).contains(&due))
    })
    .await;
}
