//! The PROXY protocol: a balancer that forwards bytes says whose they are.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::support::certificates::Ca;
use crate::support::client::head_of;
use crate::support::tools::{has, output_of};
use crate::support::{Setup, Sluicegate, Upstream, permits_are_all_back, soon, until};

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n";
const V1_IPV6: &[u8] = b"PROXY TCP6 2001:db8::1 2001:db8::9 56324 443\r\n";
/// The same with an extension behind the addresses.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xc0\0\x02\x01\xc0\0\x02\x09\xdc\x04\x01\xbb\x04\0\x01\0";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn required() -> Setup {
    Sluicegate::with_limit(1).queue(1).server("proxy_protocol = \"required\"")
}

#[tokio::test]
async fn the_address_in_the_header_is_the_clients() {
    let mut upstream = Upstream::start().await;
    let gate = required().in_front_of(&upstream).await;
    let get = head_of("GET", "/", &["X-Forwarded-For: 203.0.113.9"]);
    for (header, client_ip) in [
        (V1, "192.0.2.1"),
        (V1_IPV6, "2001:db8::1"),
        (V2, "192.0.2.1"),
        (V2_LOCAL, "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ] {
        let whole = [header, get.as_bytes()].concat();
        // In one write, apart, and the header in pieces of which each ends elsewhere in it.
        let apart = vec![header.len()];
        for cuts in [vec![], apart, (1..header.len()).step_by(5).collect()] {
            let mut client = gate.client().await;
            let mut sent = 0;
            for cut in cuts {
                client.send(&whole[sent..cut]).await;
                client.settled().await;
                sent = cut;
            }
            client.send(&whole[sent..]).await;
            let call = soon("the request", upstream.next()).await;
            assert_eq!(call.head.field("x-forwarded-for").as_deref(), Some(client_ip), "{}", header.escape_ascii());
            call.respond(200, "").await;
            assert_eq!(client.answer().await.status, 200);
            // Once a connection, not once a request.
            client.get("/again").await;
            let call = soon("the next request", upstream.next()).await;
            assert_eq!(call.head.field("x-forwarded-for").as_deref(), Some(client_ip));
            call.respond(200, "").await;
            assert_eq!(client.answer().await.status, 200);
        }
    }
    permits_are_all_back_behind(&gate, &mut upstream).await;
}

#[tokio::test]
async fn trusted_proxies_go_by_the_address_in_the_header() {
    let mut upstream = Upstream::start().await;
    let setup = required().server("trusted_proxies = [\"192.0.2.0/24\"]");
    let gate = setup.in_front_of(&upstream).await;
    let other = b"PROXY TCP4 198.51.100.1 192.0.2.9 1 2\r\n";
    for (header, chain) in [(V1, "203.0.113.9, 192.0.2.1"), (other, "198.51.100.1"), (V2_LOCAL, "127.0.0.1")] {
        let mut client = gate.client().await;
        client.send([header, head_of("GET", "/", &["X-Forwarded-For: 203.0.113.9"]).as_bytes()].concat()).await;
        let call = soon("the request", upstream.next()).await;
        assert_eq!(call.head.field("x-forwarded-for").as_deref(), Some(chain));
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_connection_whose_header_is_missing_or_broken_is_closed_counted_and_told_of() {
    let upstream = Upstream::start().await;
    let mut gate = required().server("header_timeout = \"300ms\"").admin().in_front_of(&upstream).await;
    let get = head_of("GET", "/", &[]);
    let table: &[&[u8]] = &[
        get.as_bytes(),
        b"PROXY TCP4 192.0.2.1 192.0.2.9 1\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[b'P'; 200],
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        // These do not end.
        b"PROXY TCP4 192.0.2.1",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        b"",
    ];
    for bytes in table {
        let mut client = gate.client().await;
        client.send(bytes).await;
        client.expect_closed().await;
    }
    // Somebody who only looks whether somebody listens is no failure.
    gate.client().await.leave();
    let name = "sluicegate_proxy_protocol_errors_total";
    until("all of them to be counted", async || gate.metrics().await[name] == table.len() as f64).await;
    soon("a line about it", gate.said("PROXY header is missing or broken")).await;
    assert_eq!(gate.stderr().matches("PROXY header").count(), 1, "one line a minute: {}", gate.stderr());
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn where_a_header_is_optional_only_trusted_proxies_are_believed() {
    let mut upstream = Upstream::start().await;
    let optional = Sluicegate::with_limit(1).queue(1).server("proxy_protocol = \"optional\"");
    let gate = optional.clone().server("trusted_proxies = [\"127.0.0.1\"]").in_front_of(&upstream).await;
    for (header, client_ip) in [(V1, "192.0.2.1"), (V2, "192.0.2.1"), (b"", "127.0.0.1"), (b"\r\n", "127.0.0.1")] {
        let mut client = gate.client().await;
        client.send([header, head_of("PUT", "/", &["Content-Length: 0"]).as_bytes()].concat()).await;
        let call = soon("the request", upstream.next()).await;
        assert_eq!(call.head.field("x-forwarded-for").as_deref(), Some(client_ip));
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
    let gate = optional.server("trusted_proxies = [\"10.0.0.0/8\"]").in_front_of(&upstream).await;
    for header in [V1, V2] {
        let mut client = gate.client().await;
        client.send([header, head_of("GET", "/", &[]).as_bytes()].concat()).await;
        client.answer().await.expect(400, "bad_request");
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    let mut upstream = Upstream::start().await;
    let tls = format!("tls = {{ cert = \"{}\", key = \"{}\" }}", ca.path("a.crt"), ca.path("a.key"));
    let gate = required().listen("tls:127.0.0.1:0").server(&tls).in_front_of(&upstream).await;
    let address = gate.start_line.split("https://").nth(1).and_then(|rest| rest.split([',', ' ']).next()).unwrap();
    for header in [V1, V2] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(header).await.unwrap();
        let connector = TlsConnector::from(std::sync::Arc::new(ca.client(None, &["http/1.1"])));
        let handshake = connector.connect(ServerName::try_from("a.test").unwrap(), stream);
        let mut stream = soon("the handshake", handshake).await.expect("TLS behind the header");
        stream.write_all(head_of("GET", "/", &["Connection: close"]).as_bytes()).await.unwrap();
        let call = soon("the request", upstream.next()).await;
        assert_eq!(call.head.field("x-forwarded-for").as_deref(), Some("192.0.2.1"));
        assert_eq!(call.head.field("x-forwarded-proto").as_deref(), Some("https"));
        call.respond(200, "").await;
        let mut answer = Vec::new();
        soon("the answer", stream.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
    }
    // One without it gets no handshake.
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(std::sync::Arc::new(ca.client(None, &[])));
    assert!(soon("its end", connector.connect(ServerName::try_from("a.test").unwrap(), stream)).await.is_err());
}

#[tokio::test]
async fn curl_introduces_itself_over_http_1_and_2() {
    if !has("curl") {
        return;
    }
    let upstream = Upstream::that(|call| async {
        let client_ip = call.head.field("x-forwarded-for").unwrap_or_default();
        call.respond(200, client_ip).await;
    })
    .await;
    let gate = required().in_front_of(&upstream).await;
    let url = format!("http://{}/", gate.address);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let output = output_of("curl", &["-sS", version, "--haproxy-protocol", "--interface", "127.0.0.3", &url]).await;
        assert_eq!(output, "127.0.0.3", "{version}");
    }
}

#[tokio::test]
async fn a_drain_does_not_wait_for_introductions() {
    let upstream = Upstream::start().await;
    let gate = required().server("header_timeout = \"60s\"").in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send("PROXY ").await;
    client.settled().await;
    let start = Instant::now();
    gate.terminate();
    assert_eq!(gate.exit_code().await, Some(0));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    client.expect_closed().await;
}

/// The permit is back, asked for behind a header.
async fn permits_are_all_back_behind(gate: &Sluicegate, upstream: &mut Upstream) {
    let mut client = gate.client().await;
    client.send([V1, head_of("GET", "/last", &[]).as_bytes()].concat()).await;
    soon("the permit", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}
