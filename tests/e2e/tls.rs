//! TLS with clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::support::bridge::Bridge;
use crate::support::certificates::Ca;
use crate::support::http2::Http2;
use crate::support::{Client, Setup, Sluicegate, Upstream, permits_are_all_back, soon, until};

/// One with a plain and a TLS listener, whose `[server] tls` has these keys.
fn setup(keys: &str) -> Setup {
    Sluicegate::with_limit(1).queue(1).listen("tls:127.0.0.1:0").server(&format!("tls = {{ {keys} }}"))
}

fn pair(ca: &Ca, file: &str) -> String {
    format!("cert = \"{}\", key = \"{}\"", ca.path(&format!("{file}.crt")), ca.path(&format!("{file}.key")))
}

/// Where it speaks TLS.
fn address(gate: &Sluicegate) -> SocketAddr {
    let rest = gate.start_line.split("https://").nth(1).unwrap_or_else(|| panic!("{}", gate.start_line));
    rest.split([',', ' ']).next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_client_is_served_over_tls_and_the_upstream_is_told() {
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    let mut upstream = Upstream::start().await;
    let gate = setup(&pair(&ca, "a")).in_front_of(&upstream).await;
    let (bridged, _bridge) = Bridge::to_tls(address(&gate), "a.test", ca.client(None, &["http/1.1"])).await;
    let mut client = Client::connect(bridged).await;
    for body in ["", "x", &"y".repeat(300_000)] {
        client.post("/", body).await;
        let mut call = soon("the request", upstream.next()).await;
        assert_eq!(call.head.field("x-forwarded-proto").as_deref(), Some("https"));
        assert_eq!(call.body().await.unwrap().text(), body);
        let answer = "z".repeat(body.len() * 10);
        call.respond(200, &answer).await;
        assert_eq!(client.answer().await.body.text(), answer);
    }
    // A waiter leaves as it does elsewhere.
    client.get("/first").await;
    let call = soon("the request", upstream.next()).await;
    let mut leaver = Client::connect(bridged).await;
    leaver.get("/leaver").await;
    assert!(leaver.hears_nothing().await);
    leaver.leave();
    let mut next = gate.waiting_soon("/next").await;
    call.respond(200, "").await;
    client.answer().await;
    let call = soon("the next in line", upstream.next()).await;
    assert_eq!(call.path(), "/next");
    call.respond(200, "").await;
    next.answer().await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn http_2_is_spoken_where_both_want_it() {
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    let mut upstream = Upstream::start().await;
    let gate = setup(&pair(&ca, "a")).in_front_of(&upstream).await;
    for (offered, agreed) in [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)] {
        let stream = connect(address(&gate), "a.test", ca.client(None, offered)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
    }
    let (bridged, _bridge) = Bridge::to_tls(address(&gate), "a.test", ca.client(None, &["h2"])).await;
    let client = Http2::connect(bridged).await;
    let asked = client.post("/", &[], b"hello").await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(call.head.field("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(call.body().await.unwrap().text(), "hello");
    call.respond(200, &"x".repeat(200_000)).await;
    assert_eq!(asked.answer().await.body.len(), 200_000);
}

#[tokio::test]
async fn a_client_sees_the_certificate_of_the_name_that_it_asks_for() {
    let ca = Ca::new();
    let (a, b) = (ca.issue("a", &["a.test"]), ca.issue("b", &["*.b.test"]));
    let upstream = Upstream::start().await;
    let keys = format!("{}, certs = [{{ {} }}]", pair(&ca, "a"), pair(&ca, "b"));
    let gate = setup(&keys).in_front_of(&upstream).await;
    for (name, expected) in [("a.test", &a), ("x.b.test", &b)] {
        let stream = connect(address(&gate), name, ca.client(None, &[])).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], expected.der);
    }
    assert!(connect(address(&gate), "elsewhere.test", ca.client(None, &[])).await.is_err());
}

#[tokio::test]
async fn a_client_without_a_certificate_of_the_ca_is_not_served() {
    let (ca, another) = (Ca::new(), Ca::new());
    ca.issue("a", &["a.test"]);
    let mut upstream = Upstream::start().await;
    let keys = format!("{}, client_ca = \"{}\"", pair(&ca, "a"), ca.path("ca.crt"));
    let gate = setup(&keys).in_front_of(&upstream).await;
    let stranger = another.issue("stranger", &["stranger.test"]);
    for shows in [None, Some(stranger)] {
        let answer = async {
            let mut stream = connect(address(&gate), "a.test", ca.client(shows, &[])).await?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
            stream.read_u8().await
        };
        assert!(soon("an end", answer).await.is_err());
    }
    let known = ca.issue("known", &["known.test"]);
    let (bridged, _bridge) = Bridge::to_tls(address(&gate), "a.test", ca.client(Some(known), &[])).await;
    let mut client = Client::connect(bridged).await;
    client.get("/known").await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.path(), "/known");
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_new_certificate_is_shown_after_a_reload_and_a_broken_one_is_not() {
    let ca = Ca::new();
    let first = ca.issue("a", &["a.test"]);
    let upstream = Upstream::start().await;
    let gate = setup(&pair(&ca, "a")).admin().in_front_of(&upstream).await;
    let shown = async || {
        let stream = connect(address(&gate), "a.test", ca.client(None, &[])).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let metric = format!("sluicegate_tls_not_after_seconds{{cert=\"{}\"}}", ca.path("a.crt"));
    assert_eq!(gate.metrics().await[&metric], 2_524_521_600.0);
    assert_eq!(shown().await, first.der);
    let mut open = Client::connect(gate.address).await;
    // Without the key it belongs to, as in the middle of a renewal.
    let key = std::fs::read(ca.path("a.key")).unwrap();
    let second = ca.issue("a", &["a.test"]);
    let new_key = std::fs::read(ca.path("a.key")).unwrap();
    std::fs::write(ca.path("a.key"), key).unwrap();
    gate.signal("HUP");
    until("the refusal of the files", async || gate.log().contains("is not the key of")).await;
    assert_eq!(shown().await, first.der);
    std::fs::write(ca.path("a.key"), new_key).unwrap();
    gate.signal("HUP");
    until("the new certificate", async || shown().await == second.der).await;
    open.get("/no-such-thing").await;
    assert!(open.hears_nothing().await, "who was connected stays so");
}

#[tokio::test]
async fn a_new_certificate_is_found_without_a_reload_and_a_broken_one_is_counted() {
    let ca = Ca::new();
    let first = ca.issue("a", &["a.test"]);
    let upstream = Upstream::start().await;
    let gate = setup(&pair(&ca, "a")).admin().in_front_of(&upstream).await;
    let certificate = std::fs::read(ca.path("a.crt")).unwrap();
    std::fs::write(ca.path("a.crt"), &certificate[..100]).unwrap();
    let errors = async || gate.metrics().await["sluicegate_file_reload_errors_total"];
    until("the failure to be counted", async || errors().await == 1.0).await;
    let stream = connect(address(&gate), "a.test", ca.client(None, &[])).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], first.der);
}

#[tokio::test]
async fn a_client_that_says_nothing_has_as_long_as_for_a_head() {
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    let upstream = Upstream::start().await;
    let gate = setup(&pair(&ca, "a")).server("header_timeout = \"200ms\"").in_front_of(&upstream).await;
    for bytes in [&b""[..], b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut stream = TcpStream::connect(address(&gate)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        let _ = soon("an end", stream.read_to_end(&mut rest)).await;
        assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_declared() {
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    let mut upstream = Upstream::start().await;
    let gate = setup(&pair(&ca, "a")).in_front_of(&upstream).await;
    let mut stream = connect(address(&gate), "a.test", ca.client(None, &[])).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").await.unwrap();
    let body = "x".repeat(2 << 20);
    let (call, body) = (soon("the request", upstream.next()).await, &body);
    let mut answer = String::new();
    // rustls takes an end without close_notify for an error.
    let (_, read) = tokio::join!(call.respond(200, body), soon("the answer", stream.read_to_string(&mut answer)));
    read.expect("a declared end");
    assert!(answer.ends_with(body.as_str()));
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_reader_that_takes_little_at_a_time_is_not_cut() {
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    let mut upstream = Upstream::start().await;
    let setup = setup(&pair(&ca, "a")).server("write_idle_timeout = \"400ms\"");
    let gate = setup.in_front_of(&upstream).await;
    let mut stream = connect(address(&gate), "a.test", ca.client(None, &[])).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let body = "x".repeat(4 << 20);
    let call = soon("the request", upstream.next()).await;
    let sent = tokio::spawn(async move { call.respond(200, &body).await });
    let mut read = 0;
    let mut piece = vec![0; 256 << 10];
    loop {
        let n = soon("more", stream.read(&mut piece)).await.expect("it is not cut");
        if n == 0 {
            break;
        }
        read += n;
        if read % 7 == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert!(read > 4 << 20);
    sent.await.unwrap();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_handshake() {
    let ca = Ca::new();
    ca.issue("a", &["a.test"]);
    let upstream = Upstream::start().await;
    let gate = setup(&pair(&ca, "a")).server("header_timeout = \"60s\"").in_front_of(&upstream).await;
    let _silent = TcpStream::connect(address(&gate)).await.unwrap();
    gate.terminate();
    let start = std::time::Instant::now();
    assert_eq!(gate.exit_code().await, Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

async fn connect(
    address: SocketAddr,
    name: &'static str,
    config: ClientConfig,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name).expect("a name");
    soon("a handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}
