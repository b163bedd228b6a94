//! Connections that become something else: a WebSocket, or whatever both ends agree on.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{AccessLog, Setup, Sluicegate, nothing_comes, soon, until};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// How many requests have given their permits back.
async fn holds(gate: &Sluicegate) -> f64 {
    gate.metrics().await["sluicegate_permit_hold_seconds_count{route=\"default\"}"]
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_permit_is_held_until_the_tunnel_has_closed() {
    let (upstream, url) = listen().await;
    let gate = Sluicegate::with_limit(1).queue(4).admin().in_front_of_url(&url).await;
    let upgrades = async |count: f64| gate.metrics().await["sluicegate_inflight_upgrades{limit=\"default\"}"] == count;
    // What follows the head at once is the tunnel's already.
    let (mut client, mut server) = tunnel(gate.address, &upstream, "early").await;
    exchange(&mut client, b"ping", &mut server).await;
    exchange(&mut server, b"pong", &mut client).await;
    assert!(upgrades(1.0).await);

    let mut next = connect(gate.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(nothing_comes(upstream.accept()).await, "the tunnel holds the only permit");
    drop(client);
    assert_eq!(soon("the end", server.read(&mut [0; 8])).await.unwrap(), 0);
    assert!(nothing_comes(upstream.accept()).await, "the upstream has not ended its side");
    drop(server);
    let (mut served, _) = soon("the waiter", upstream.accept()).await.unwrap();
    read_head(&mut served).await;
    served.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert!(read_head(&mut next).await.starts_with("HTTP/1.1 200"));
    assert!(upgrades(0.0).await);
    until("the permits of both to be counted", async || holds(&gate).await == 2.0).await;
}

#[tokio::test]
async fn an_upstream_that_closes_ends_the_tunnel() {
    let (upstream, url) = listen().await;
    let gate = Sluicegate::with_limit(1).in_front_of_url(&url).await;
    let (mut client, mut server) = tunnel(gate.address, &upstream, "").await;
    server.write_all(b"bye").await.unwrap();
    drop(server);
    let mut rest = Vec::new();
    soon("the end", client.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"bye");
    // The permit is back.
    tunnel(gate.address, &upstream, "").await;
}

#[tokio::test]
async fn an_upstream_that_works_on_after_its_client_has_left_is_closed_after_abort_grace() {
    let (upstream, url) = listen().await;
    let setup = Sluicegate::with_limit(1).queue(4).route("abort_grace = \"300ms\"");
    let gate = setup.in_front_of_url(&url).await;
    let (client, mut server) = tunnel(gate.address, &upstream, "").await;
    drop(client);
    assert_eq!(soon("the hint", server.read(&mut [0; 8])).await.unwrap(), 0);
    // It goes on for as long as it can.
    let worked = tokio::time::timeout(Duration::from_secs(10), async {
        while server.write_all(b"still here").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    worked.await.expect("it is cut off");
    tunnel(gate.address, &upstream, "").await;
}

#[tokio::test]
async fn a_silent_tunnel_ends_after_upgrade_idle_timeout_and_a_busy_one_does_not() {
    let (upstream, url) = listen().await;
    let setup = Sluicegate::with_limit(2).upstream("upgrade_idle_timeout = \"300ms\"");
    let gate = setup.in_front_of_url(&url).await;
    let (mut silent, _silent_server) = tunnel(gate.address, &upstream, "").await;
    let (mut busy, mut busy_server) = tunnel(gate.address, &upstream, "").await;
    let end = tokio::spawn(async move { silent.read(&mut [0; 8]).await.unwrap() });
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        exchange(&mut busy, b"tick", &mut busy_server).await;
    }
    assert_eq!(soon("the silent one's end", end).await.unwrap(), 0);
}

#[tokio::test]
async fn a_refusal_of_the_upstream_is_an_answer_like_any_other() {
    let (upstream, url) = listen().await;
    let gate = Sluicegate::with_limit(1).in_front_of_url(&url).await;
    let mut client = connect(gate.address, ASK).await;
    let (mut server, _) = soon("the request", upstream.accept()).await.unwrap();
    let head = read_head(&mut server).await;
    assert!(head.contains("\r\nupgrade: echo\r\n") && head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    server.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn a_route_can_deny_upgrades_and_h2c_is_not_asked_for() {
    let (upstream, url) = listen().await;
    let gate = Sluicegate::with_limit(1).route("upgrade = \"deny\"").in_front_of_url(&url).await;
    let head = read_head(&mut connect(gate.address, ASK).await).await;
    assert!(head.starts_with("HTTP/1.1 403") && head.contains("x-sluicegate-reason: upgrade_denied"), "{head}");

    let h2c = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let mut client = connect(gate.address, h2c).await;
    let (mut server, _) = soon("the request", upstream.accept()).await.unwrap();
    let head = read_head(&mut server).await;
    assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn upgraded_connections_can_have_places_of_their_own() {
    let (upstream, url) = listen().await;
    let setup = Sluicegate::with_limit(1).queue(4).route("upgrade = { separate = 1 }\nreject_status = 429").admin();
    let gate = setup.in_front_of_url(&url).await;
    let (_client, server) = tunnel(gate.address, &upstream, "").await;
    assert_eq!(holds(&gate).await, 1.0);
    // The request's permit is free again, and the only place of its kind is not.
    let mut second = connect(gate.address, ASK).await;
    let (mut second_server, _) = soon("the second request", upstream.accept()).await.unwrap();
    read_head(&mut second_server).await;
    second_server.write_all(AGREE.as_bytes()).await.unwrap();
    let head = read_head(&mut second).await;
    assert!(head.starts_with("HTTP/1.1 429") && head.contains("x-sluicegate-reason: no_permit"), "{head}");
    drop(server);
    let again = async {
        loop {
            let mut client = connect(gate.address, ASK).await;
            let (mut server, _) = upstream.accept().await.unwrap();
            read_head(&mut server).await;
            server.write_all(AGREE.as_bytes()).await.unwrap();
            if read_head(&mut client).await.starts_with("HTTP/1.1 101") {
                return;
            }
        }
    };
    soon("the place of the tunnel that has ended", again).await;
}

#[tokio::test]
async fn a_drain_waits_for_tunnels_and_cuts_them_at_its_end_without_calling_that_a_loss() {
    let (upstream, url) = listen().await;
    let log = AccessLog::new("drain-cut-tunnel");
    let server = format!("drain_timeout = \"1s\"\n{}", log.table());
    let gate = Setup::default().route("limit = 2").server(&server).in_front_of_url(&url).await;
    let (mut client, mut server) = tunnel(gate.address, &upstream, "").await;
    gate.terminate();
    tokio::time::sleep(Duration::from_millis(300)).await;
    exchange(&mut client, b"still", &mut server).await;
    assert_eq!(gate.exit_code().await, Some(0));
    assert!(matches!(soon("the cut", client.read(&mut [0; 8])).await, Ok(0) | Err(_)));
    let line = &log.about("/chat", 1).await[0];
    assert_eq!((&line["outcome"], &line["reason"]), (&"failed".into(), &"drain_cut".into()), "{line}");
}

#[tokio::test]
async fn a_rejected_upload_that_asked_for_an_upgrade_sees_its_answer_and_not_a_reset() {
    let (upstream, url) = listen().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of_url(&url).await;
    let _holder = connect(gate.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let _inside = soon("the one that is inside", upstream.accept()).await.unwrap();
    for length in [1000, 1_000_000] {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        );
        let mut client = connect(gate.address, &head).await;
        let answer = read_head(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        // All of it is taken, and only then does the connection end or go on.
        client.write_all(&vec![b'x'; length]).await.unwrap();
        if length > 64 << 10 {
            let mut rest = Vec::new();
            client.shutdown().await.unwrap();
            soon("an orderly end", client.read_to_end(&mut rest)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_101_before_the_request_has_ended_is_no_answer_and_keeps_no_permit() {
    let (upstream, url) = listen().await;
    let setup = Sluicegate::with_limit(1).queue(4).route("abort_grace = \"300ms\"");
    let gate = setup.in_front_of_url(&url).await;
    let ask = ASK.replace("\r\n\r\n", "\r\nContent-Length: 10\r\n\r\n");
    let mut client = connect(gate.address, &ask).await;
    let (mut server, _) = soon("the request", upstream.accept()).await.unwrap();
    read_head(&mut server).await;
    server.write_all(AGREE.as_bytes()).await.unwrap();
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 502") && head.contains("x-sluicegate-reason: upstream_protocol"), "{head}");
    drop(client);
    tunnel(gate.address, &upstream, "").await;
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn connect(address: SocketAddr, send: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(send.as_bytes()).await.unwrap();
    stream
}

/// Both ends of a new tunnel. `early` is sent by the upstream right behind its head.
async fn tunnel(gate: SocketAddr, upstream: &TcpListener, early: &str) -> (TcpStream, TcpStream) {
    let mut client = connect(gate, ASK).await;
    let (mut server, _) = soon("the request", upstream.accept()).await.unwrap();
    read_head(&mut server).await;
    server.write_all(format!("{AGREE}{early}").as_bytes()).await.unwrap();
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("\r\nupgrade: echo\r\n"), "{head}");
    let mut bytes = vec![0; early.len()];
    soon("the early bytes", client.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(bytes, early.as_bytes());
    (client, server)
}

async fn exchange(from: &mut TcpStream, bytes: &[u8], to: &mut TcpStream) {
    from.write_all(bytes).await.unwrap();
    let mut received = vec![0; bytes.len()];
    soon("the bytes", to.read_exact(&mut received)).await.unwrap();
    assert_eq!(received, bytes);
}

/// A head, byte by byte: what follows stays unread.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon("a head", stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn max_duration_ends_a_tunnel_and_timeout_does_not() {
    let (upstream, url) = listen().await;
    let setup = Sluicegate::with_limit(1).queue(4).route("timeout = \"200ms\"\nmax_duration = \"600ms\"");
    let gate = setup.in_front_of_url(&url).await;
    let begun = std::time::Instant::now();
    let (mut client, mut server) = tunnel(gate.address, &upstream, "").await;
    assert_eq!(soon("the client's end", client.read(&mut [0; 8])).await.unwrap_or(0), 0);
    assert!(begun.elapsed() >= Duration::from_millis(500), "after only {:?}", begun.elapsed());
    assert_eq!(soon("the upstream's end", server.read(&mut [0; 8])).await.unwrap(), 0);
    let _next = connect(gate.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(nothing_comes(upstream.accept()).await, "the upstream has not ended its side");
    drop(server);
    soon("the permit", upstream.accept()).await.unwrap();
}

#[tokio::test]
async fn a_tunnel_over_its_max_duration_is_closed_after_abort_grace() {
    let (upstream, url) = listen().await;
    let setup = Sluicegate::with_limit(1).queue(4).route("max_duration = \"300ms\"\nabort_grace = \"300ms\"");
    let gate = setup.in_front_of_url(&url).await;
    let (_client, _server) = tunnel(gate.address, &upstream, "").await;
    let _next = connect(gate.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    soon("the permit, although the upstream works on", upstream.accept()).await.unwrap();
}
