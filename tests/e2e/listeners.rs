//! Places to listen at that come and go with the configuration, while those that stay are in use.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::support::bridge::{Bridge, Directory};
use crate::support::certificates::Ca;
use crate::support::tools::times;
use crate::support::{Client, Setup, Sluicegate, Upstream, answered, permits_are_all_back, soon};

/// A port that nobody listens on, nor is given by the kernel soon: it has just been given away.
fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// The configuration with further places to listen at.
fn listening(setup: &Setup, upstream: &Upstream, more: &[&str]) -> String {
    let more: String = more.iter().map(|place| format!(", \"{place}\"")).collect();
    let text = setup.text(&upstream.url());
    assert!(text.contains("\"127.0.0.1:0\"]"), "{text}");
    text.replace("\"127.0.0.1:0\"]", &format!("\"127.0.0.1:0\"{more}]"))
}

async fn is_refused(address: SocketAddr) -> bool {
    Client::try_connect(address).await.is_err()
}

/// Clients that ask all the time, half of them on a new connection each time, until they are told to stop.
fn clients(address: SocketAddr, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<usize>> {
    let client = |n: usize| {
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            let mut answers = 0;
            while !stop.load(Ordering::Relaxed) {
                client.get("/").await;
                let answer = client.answer().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                answers += 1;
                if n.is_multiple_of(2) {
                    client = Client::connect(address).await;
                }
            }
            answers
        })
    };
    (0..16).map(client).collect()
}

/// `RELOADS=1000 cargo test --test e2e listeners -- --nocapture` for more of them.
#[tokio::test]
async fn while_places_come_and_go_those_that_stay_lose_nothing() {
    let reloads = times("RELOADS", 60);
    let directory = Directory::new();
    let mut upstream = Upstream::that_works_for(Duration::from_millis(1)).await;
    let setup = Sluicegate::with_limit(8).queue(1000);
    let mut gate = setup.in_front_of(&upstream).await;
    let (tcp, socket) = (free_port(), format!("unix:{}", directory.path("http.sock")));
    let stop = Arc::new(AtomicBool::new(false));
    let clients = clients(gate.address, &stop);
    for n in 0..reloads {
        let (has_tcp, has_socket) = (n % 2 == 0, n % 3 != 0);
        let tcp_place = tcp.to_string();
        let places = [has_tcp.then_some(tcp_place.as_str()), has_socket.then_some(socket.as_str())];
        gate.reload(&listening(&setup, &upstream, &places.into_iter().flatten().collect::<Vec<_>>())).await;
        assert!(!gate.stderr().contains("refused"), "{}", gate.stderr());
        assert_eq!(directory.file("http.sock").exists(), has_socket);
        if has_socket {
            let (address, _bridge) = Bridge::to_unix(&directory.file("http.sock")).await;
            let mut client = Client::connect(address).await;
            client.get("/").await;
            assert_eq!(client.answer().await.status, 200);
        }
        match Client::try_connect(tcp).await {
            Ok(mut client) => {
                assert!(has_tcp, "it still listens");
                client.get("/").await;
                assert_eq!(client.answer().await.status, 200);
            }
            Err(error) => assert!(!has_tcp, "{error}"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut answers = 0;
    for client in clients {
        answers += soon("the last answers", client).await.expect("no request failed");
    }
    assert!(answers > reloads, "{answers}");
    gate.reload(&listening(&setup, &upstream, &[])).await;
    assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 0);
    upstream.answers_when_told();
    permits_are_all_back(&gate, &mut upstream, 8).await;
}

#[tokio::test]
async fn a_place_in_use_refuses_the_whole_reload_and_is_named() {
    let directory = Directory::new();
    let mut upstream = Upstream::start().await;
    let (one, two) = (Sluicegate::with_limit(1).admin(), Sluicegate::with_limit(2).admin());
    let mut gate = one.in_front_of(&upstream).await;
    let mut client = gate.client().await;
    answered(&mut client, &mut upstream).await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = (taken.local_addr().unwrap().to_string(), taken);
    let socket = directory.path("taken.sock");
    let _other = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let new = format!("unix:{}", directory.path("new.sock"));
    for place in [taken.0.as_str(), &format!("unix:{socket}"), "fd:web"] {
        gate.reload(&listening(&two, &upstream, &[&new, place])).await;
        assert!(gate.stderr().contains(&format!("error: cannot listen on {place}: ")), "{}", gate.stderr());
        let tried = gate.command(&["reload", "--dry-run"]).await;
        assert_eq!(tried.code, Some(1));
        assert!(tried.stderr.contains(&format!("cannot listen on {place}")), "{}", tried.stderr);
        assert_eq!(gate.limit_status().await["limit"], 1, "nothing of it is in force");
        assert!(!directory.file("new.sock").exists(), "what could be bound is let go again");
    }
    answered(&mut client, &mut upstream).await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
    gate.reload(&listening(&two, &upstream, &[])).await;
    assert_eq!(gate.limit_status().await["limit"], 2);
}

#[tokio::test]
async fn connections_stay_when_the_place_that_they_came_in_at_goes() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(1).admin();
    let port = free_port();
    let text = listening(&setup, &upstream, &[&port.to_string()]);
    let mut gate = setup.clone().listen(&port.to_string()).in_front_of(&upstream).await;
    let mut client = Client::connect(port).await;
    client.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let without = listening(&setup, &upstream, &[]);
    gate.rewrite(&without);
    let tried = gate.command(&["reload", "--dry-run"]).await;
    assert!(tried.stdout.contains(&format!("listeners: gone {port}\n")), "{}", tried.stdout);
    gate.reload(&without).await;
    assert!(is_refused(port).await);
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    answered(&mut client, &mut upstream).await;
    gate.reload(&text).await;
    answered(&mut Client::connect(port).await, &mut upstream).await;
    answered(&mut client, &mut upstream).await;
}

#[tokio::test]
async fn connections_go_on_with_the_settings_that_they_began_with() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).admin();
    let mut gate = setup.in_front_of(&upstream).await;
    let mut open = gate.client().await;
    answered(&mut open, &mut upstream).await;
    let healthy = setup.clone().server("health_path = \"/\"\nmax_connections = 1\nmax_body = \"1KiB\"");
    gate.reload(&listening(&healthy, &upstream, &[])).await;
    answered(&mut open, &mut upstream).await;
    // For this one the other makes room.
    let mut next = gate.get("/").await;
    open.expect_closed().await;
    assert_eq!(next.answer().await.status, 200);
    next.post("/", [b'a'; 2 << 10]).await;
    next.answer().await.expect(413, "body_too_large");
    let again = gate.command(&["reload"]).await;
    assert!(again.code == Some(0) && !again.stderr.contains("restart"), "{}", again.stderr);
}

#[tokio::test]
async fn a_place_changes_to_tls_for_those_who_come_from_then_on() {
    let mut upstream = Upstream::start().await;
    let ca = Ca::new();
    ca.issue("gate", &["localhost"]);
    let setup = Sluicegate::with_limit(1);
    let port = free_port();
    let mut gate = setup.clone().listen(&port.to_string()).in_front_of(&upstream).await;
    let mut plain = Client::connect(port).await;
    answered(&mut plain, &mut upstream).await;
    let tls = format!("tls = {{ cert = \"{}\", key = \"{}\" }}", ca.path("gate.crt"), ca.path("gate.key"));
    gate.reload(&listening(&setup.clone().server(&tls), &upstream, &[&format!("tls:{port}")])).await;
    let (address, _bridge) = Bridge::to_tls(port, "localhost", ca.client(None, &["http/1.1"])).await;
    answered(&mut Client::connect(address).await, &mut upstream).await;
    answered(&mut plain, &mut upstream).await;
    answered(&mut gate.client().await, &mut upstream).await;
}
