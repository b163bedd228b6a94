//! Endpoints that fail, and come and go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::support::tools::times;
use crate::support::wire::Wire;
use crate::support::{Client, Http2Upstream, Sluicegate, Upstream, soon, until};

/// An address that nobody listens on.
async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn state_of(gate: &Sluicegate, address: SocketAddr) -> String {
    let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
    let endpoints = list["upstreams"][0]["endpoints"].as_array().unwrap().clone();
    let ours = endpoints.into_iter().find(|endpoint| endpoint["endpoint"] == address.to_string().as_str());
    ours.expect("it is listed")["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_endpoint_that_fails_time_after_time_gets_nothing_for_a_while() {
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let dead = nowhere().await;
    let eject = "eject = { failures = 3, for = \"1s\" }\nbalance = \"round_robin\"\nslots = 2";
    let setup = Sluicegate::with_limit(9).admin().upstream(eject);
    let gate = setup.in_front_of_all([format!("http://{dead}"), upstream.url()]).await;
    let slots = async || {
        let status = gate.ask_admin("GET /api/v1/limits/upstreams.default", "").await.json();
        status["limit"].as_u64().unwrap()
    };
    assert_eq!((state_of(&gate, dead).await.as_str(), slots().await), ("up", 4));
    let mut client = gate.client().await;
    for _ in 0..8 {
        client.get("/").await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!((state_of(&gate, dead).await.as_str(), slots().await), ("ejected", 2));
    let metric = format!("sluicegate_endpoint_up{{upstream=\"default\",endpoint=\"{dead}\"}}");
    assert_eq!(gate.metrics().await[&metric], 0.0);
    until("its time to be over", async || state_of(&gate, dead).await == "up").await;
    assert_eq!(slots().await, 4);
}

#[tokio::test]
async fn the_last_endpoint_is_never_left_alone() {
    let (one, other) = (nowhere().await, nowhere().await);
    let setup = Sluicegate::with_limit(1).admin().upstream("eject = { failures = 1, for = \"1m\" }");
    let gate = setup.in_front_of_all([format!("http://{one}"), format!("http://{other}")]).await;
    for _ in 0..5 {
        gate.get("/").await.answer().await.expect(502, "connect_failed");
    }
    let states = [state_of(&gate, one).await, state_of(&gate, other).await];
    assert_eq!(states.iter().filter(|state| *state == "up").count(), 1, "{states:?}");
}

#[tokio::test]
async fn resets_before_the_head_count_and_answers_of_any_status_do_not() {
    let broken = Upstream::that(|call| async { call.reset() }).await;
    let angry = Upstream::that(|call| call.respond(500, "")).await;
    let setup = Sluicegate::with_limit(1).admin().upstream("eject = { failures = 3 }\nbalance = \"round_robin\"");
    let gate = setup.in_front_of_all([broken.url(), angry.url()]).await;
    for _ in 0..12 {
        let status = gate.get("/").await.answer().await.status;
        assert!(status == 502 || status == 500, "{status}");
    }
    assert_eq!(broken.total(), 3);
    assert_eq!(
        (state_of(&gate, broken.address).await, state_of(&gate, angry.address).await),
        ("ejected".into(), "up".into())
    );
}

#[tokio::test]
async fn a_dial_that_many_wait_for_fails_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut other = Http2Upstream::start().await;
    let lines = "eject = { failures = 2 }\nbalance = \"round_robin\"\nconnect_timeout = \"1m\"";
    let setup = Sluicegate::with_limit(9).admin().upstream(lines);
    let gate = setup.in_front_of_all([format!("h2c://{address}"), other.url()]).await;
    let mut clients = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..3 {
        clients.push(gate.get("/").await);
        clients.push(gate.get("/").await);
        calls.push(soon("one of the two", other.next()).await);
    }
    // It says nothing of HTTP/2, and goes, while three wait for it.
    let (stream, _) = soon("the dial", listener.accept()).await.unwrap();
    let in_flight = async || {
        let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
        list["upstreams"][0]["endpoints"][0]["in_flight"].as_u64()
    };
    until("three to wait", async || in_flight().await == Some(3)).await;
    drop((stream, listener));
    for _ in 0..3 {
        calls.push(soon("one that went elsewhere", other.next()).await);
    }
    assert_eq!(state_of(&gate, address).await, "up");
    for call in calls {
        call.respond(200, "").await;
    }
    for mut client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
}

const LIMIT: usize = 16;

/// How many requests the test of restarts sends, unless `SLUICEGATE_RESTARTS` says otherwise.
const REQUESTS: usize = 20_000;

#[tokio::test]
async fn a_restart_every_second_loses_no_idempotent_request_to_a_stale_connection() {
    let requests = times("SLUICEGATE_RESTARTS", REQUESTS);
    let inside = Arc::<Inside>::default();
    let steady = Restarted::start(None, &inside).await;
    let mut restarted = Restarted::start(None, &inside).await;
    let setup = Sluicegate::with_limit(LIMIT).queue(1000).admin();
    let urls = [format!("http://{}", steady.address), format!("http://{}", restarted.address)];
    let gate = setup.in_front_of_all(urls).await;
    let left = Arc::new(AtomicUsize::new(requests));
    let mut clients = JoinSet::new();
    for _ in 0..LIMIT * 2 {
        let (left, address) = (left.clone(), gate.address);
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                client.get("/").await;
                let answer = client.answer().await;
                assert_eq!(answer.status, 200, "{:?}", answer.reason());
            }
        });
    }
    let mut restarts = 0;
    loop {
        tokio::select! {
            ended = clients.join_next() => match ended {
                Some(ended) => ended.expect("no request is lost"),
                None => break,
            },
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                let address = restarted.kill().await;
                restarted = Restarted::start(Some(address), &inside).await;
                restarts += 1;
            }
        }
    }
    println!("{requests} requests, {restarts} restarts");
    assert!(inside.peak.load(Ordering::Relaxed) <= LIMIT, "{}", inside.peak.load(Ordering::Relaxed));
    until("all permits to be back", async || gate.limit_status().await["in_flight"] == 0).await;
    let list = gate.ask_admin("GET /api/v1/upstreams", "").await.json();
    for endpoint in list["upstreams"][0]["endpoints"].as_array().unwrap() {
        assert_eq!(endpoint["in_flight"], 0);
    }
}

/// Requests at all the servers together.
#[derive(Default)]
struct Inside {
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// A server that can be killed and started again at the same address.
struct Restarted {
    address: SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
    stop: oneshot::Sender<()>,
    killed: watch::Sender<bool>,
}

impl Restarted {
    async fn start(address: Option<SocketAddr>, inside: &Arc<Inside>) -> Self {
        let wanted = address.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
        let listener = TcpListener::bind(wanted).await.expect("the address is free");
        let address = listener.local_addr().unwrap();
        let (killed, death) = watch::channel(false);
        let (stop, mut stopped) = oneshot::channel();
        let inside = inside.clone();
        let accepting = tokio::spawn(async move {
            let serve = |stream| drop(tokio::spawn(serve(stream, death.clone(), inside.clone())));
            loop {
                tokio::select! {
                    accepted = listener.accept() => serve(accepted.expect("a connection").0),
                    _ = &mut stopped => break,
                }
            }
            // Whoever has connected is served: the kernel would reset it, whatever it has sent.
            let listener = listener.into_std().unwrap();
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).unwrap();
                serve(TcpStream::from_std(stream).unwrap());
            }
        });
        Restarted { address, accepting, stop, killed }
    }

    /// First nobody listens any more, then all connections end. One that has not carried anything ends with its first
    /// answer: what is lost on it would be lost with a proxy's best intentions.
    async fn kill(self) -> SocketAddr {
        drop(self.stop);
        self.accepting.await.expect("it accepts until then");
        self.killed.send_replace(true);
        self.killed.closed().await;
        self.address
    }
}

async fn serve(stream: TcpStream, mut death: watch::Receiver<bool>, inside: Arc<Inside>) {
    let mut wire = Wire::new(stream);
    let mut fresh = true;
    loop {
        let head = tokio::select! {
            biased;
            _ = death.wait_for(|dead| *dead), if !fresh => return,
            head = wire.head() => head,
        };
        let Ok(Some(_)) = head else { return };
        inside.peak.fetch_max(inside.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        inside.now.fetch_sub(1, Ordering::Relaxed);
        if wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
            return;
        }
        fresh = false;
    }
}
