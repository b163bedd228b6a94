//! Connections on which nothing is under way: they are taken apart after a while, and nobody notices.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::bridge::Bridge;
use crate::support::certificates::Ca;
use crate::support::client::head_of;
use crate::support::random::Random;
use crate::support::{Client, Setup, Sluicegate, Upstream, answered, soon, until};

/// One that says when a connection rests, which is after a quarter of `idle_timeout`.
async fn resting(setup: &Setup, idle_timeout: &str, upstream: &Upstream) -> Sluicegate {
    let level = "[log]\nlevel = \"info,sluicegate::server::rest=trace\"";
    setup.clone().server(&format!("idle_timeout = \"{idle_timeout}\"\n{level}")).in_front_of(upstream).await
}

/// How often a connection has come to rest. One that has just been accepted begins so.
fn rests(gate: &Sluicegate) -> usize {
    gate.stderr().matches("a connection rests").count()
}

/// Resolves when that has happened so often.
async fn until_rests(gate: &Sluicegate, n: usize) {
    until("the connection to rest", async || rests(gate) >= n).await;
}

/// A client that has had an answer, and whose connection rests.
async fn rested(gate: &Sluicegate, upstream: &mut Upstream) -> Client {
    let before = rests(gate);
    let mut client = gate.client().await;
    answered(&mut client, upstream).await;
    until_rests(gate, before + 2).await;
    client
}

#[tokio::test]
async fn a_connection_that_rests_is_served_again_whatever_it_is_asked() {
    let mut upstream = Upstream::start().await;
    let gate = resting(&Sluicegate::with_limit(3).queue(1), "1200ms", &upstream).await;
    let mut client = rested(&gate, &mut upstream).await;
    for n in 2..6 {
        // One after the other, with a body, a piece at a time, and several at once.
        answered(&mut client, &mut upstream).await;
        client.post("/", "a body").await;
        let mut call = soon("the upload", upstream.next()).await;
        assert_eq!(call.body().await.unwrap().text(), "a body");
        call.respond(200, "an answer").await;
        assert_eq!(client.answer().await.body.text(), "an answer");
        until_rests(&gate, n + 1).await;
        client.send("GET / HT").await;
        client.settled().await;
        client.send_request("GET", "TP/1.1\r\nHost: a\r\n\r\n").await;
        client.get("/second").await;
        client.get("/third").await;
        for target in ["/", "/second", "/third"] {
            let call = soon("the next of three", upstream.next()).await;
            assert_eq!(call.path(), target);
            call.respond(200, target).await;
            assert_eq!(client.answer().await.body.text(), target);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_at_the_moment_a_connection_goes_to_rest_is_not_lost() {
    const AWAKE: Duration = Duration::from_secs(1);
    let upstream = Upstream::that_works_for(Duration::ZERO).await;
    let gate = resting(&Sluicegate::with_limit(300).queue(300), "60s", &upstream).await;
    let mut random = Random::announced("when requests come");
    let mut tasks = JoinSet::new();
    for _ in 0..250 {
        let (address, delays) = (gate.address, [(); 3].map(|()| random.up_to(Duration::from_millis(8))));
        tasks.spawn(async move {
            let mut client = Client::connect(address).await;
            for delay in delays {
                client.get("/").await;
                assert_eq!(client.answer().await.status, 200);
                // Around the moment at which it is taken apart: the timer counts in milliseconds.
                sleep(AWAKE + delay - Duration::from_millis(4)).await;
            }
            client.get("/last").await;
            assert_eq!(client.answer().await.status, 200);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("every request is answered");
    }
    let rests = rests(&gate);
    assert!(rests > 250, "{rests} are only those of the beginning");
}

#[tokio::test]
async fn a_resting_connection_has_no_more_time_than_any_other() {
    let mut upstream = Upstream::start().await;
    let gate = resting(&Sluicegate::with_limit(1), "800ms", &upstream).await;
    let mut client = gate.client().await;
    for n in 2..4 {
        client.get("/").await;
        soon("the request", upstream.next()).await.respond(200, "").await;
        client.answer().await;
        if n == 2 {
            until_rests(&gate, n).await;
        }
    }
    let answered = Instant::now();
    until_rests(&gate, 3).await;
    client.expect_closed().await;
    let idle = answered.elapsed();
    assert!(idle > Duration::from_millis(780) && idle < Duration::from_secs(8), "{idle:?}");
}

#[tokio::test]
async fn a_drain_closes_resting_connections() {
    let mut upstream = Upstream::start().await;
    let gate = resting(&Sluicegate::with_limit(1), "8s", &upstream).await;
    let mut client = rested(&gate, &mut upstream).await;
    let mut unused = gate.client().await;
    until_rests(&gate, 3).await;
    let start = Instant::now();
    gate.terminate();
    client.expect_closed().await;
    unused.expect_closed().await;
    assert_eq!(gate.exit_code().await, Some(0));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_request_on_a_resting_connection_is_answered_in_a_drain() {
    let mut upstream = Upstream::start().await;
    let mut gate = resting(&Sluicegate::with_limit(2), "8s", &upstream).await;
    let mut client = rested(&gate, &mut upstream).await;
    // Somebody for whom the drain waits.
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder's request", upstream.next()).await;
    gate.terminate();
    gate.said("drain").await;
    client.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    assert_eq!(gate.exit_code().await, Some(0));
}

#[tokio::test]
async fn the_longest_resting_connection_makes_room() {
    let mut upstream = Upstream::start().await;
    let gate = resting(&Sluicegate::with_limit(1).server("max_connections = 2"), "40s", &upstream).await;
    let mut first = rested(&gate, &mut upstream).await;
    let mut second = rested(&gate, &mut upstream).await;
    // The first one has been asked last now, and rests since later.
    answered(&mut first, &mut upstream).await;
    until_rests(&gate, 5).await;
    let mut third = gate.client().await;
    second.expect_closed().await;
    answered(&mut third, &mut upstream).await;
    answered(&mut first, &mut upstream).await;
}

#[tokio::test]
async fn a_client_that_leaves_or_closes_its_side_at_rest_is_gone() {
    let mut upstream = Upstream::start().await;
    let gate = resting(&Sluicegate::with_limit(1).admin(), "40s", &upstream).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = gate.client().await;
        answered(&mut client, &mut upstream).await;
        clients.push(client);
    }
    // Each of them rested before it was asked, and does again. They are closed for idling long after this.
    until_rests(&gate, 6).await;
    let mut half = clients.remove(0);
    half.half_close().await;
    half.expect_closed().await;
    clients.remove(0).leave();
    clients.remove(0).abort();
    until("nobody to be connected", async || gate.metrics().await["sluicegate_connections"] == 0.0).await;
}

#[tokio::test]
async fn an_introduced_client_keeps_its_address_over_a_rest() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).server("proxy_protocol = \"required\"");
    let gate = resting(&setup, "1200ms", &upstream).await;
    let mut client = gate.client().await;
    client.send("PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n").await;
    for n in 1..4 {
        until_rests(&gate, n).await;
        client.send_request("GET", head_of("GET", "/", &[])).await;
        let call = soon("the request", upstream.next()).await;
        assert_eq!(call.head.field("x-forwarded-for").as_deref(), Some("192.0.2.1"));
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn http_1_0_and_an_unread_upload_do_not_disturb_a_rest() {
    let mut upstream = Upstream::start().await;
    let gate = resting(&Sluicegate::with_limit(1), "1200ms", &upstream).await;
    let mut client = rested(&gate, &mut upstream).await;
    // Answered while the body is not read: the rest of it is dropped, and the connection goes on, and rests.
    client.send_request("POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").await;
    soon("the request", upstream.next()).await.respond(200, "early").await;
    assert_eq!(client.answer().await.body.text(), "early");
    client.send("body").await;
    until_rests(&gate, 3).await;
    let keep_alive = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    for n in 4..6 {
        client.send_request("GET", keep_alive).await;
        soon("the request", upstream.next()).await.respond(200, "old").await;
        assert_eq!(client.answer().await.body.text(), "old");
        until_rests(&gate, n).await;
    }
}

#[tokio::test]
async fn a_connection_with_tls_does_not_rest() {
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    let mut upstream = Upstream::start().await;
    let pair = format!("cert = \"{}\", key = \"{}\"", ca.path("a.crt"), ca.path("a.key"));
    let setup = Sluicegate::with_limit(1).listen("tls:127.0.0.1:0").server(&format!("tls = {{ {pair} }}"));
    let gate = resting(&setup, "2s", &upstream).await;
    let address = gate.start_line.split("https://").nth(1).and_then(|rest| rest.split([',', ' ']).next());
    let address: SocketAddr = address.expect("it speaks TLS").parse().expect("an address");
    let (bridged, _bridge) = Bridge::to_tls(address, "a.test", ca.client(None, &["http/1.1"])).await;
    let mut client = Client::connect(bridged).await;
    answered(&mut client, &mut upstream).await;
    // A resting one would be at rest by now.
    sleep(Duration::from_millis(900)).await;
    assert_eq!(rests(&gate), 0);
    answered(&mut client, &mut upstream).await;
}
