//! TLS with upstreams.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::bridge::Bridge;
use crate::support::certificates::Ca;
use crate::support::{Http2Upstream, Setup, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon, until};

/// One whose `[upstreams.default] tls` has these keys.
fn setup(keys: &str) -> Setup {
    Sluicegate::with_limit(2).queue(5).upstream(&format!("tls = {{ {keys} }}"))
}

fn believing(ca: &Ca) -> String {
    format!("ca = \"{}\"", ca.path("ca.crt"))
}

#[tokio::test]
async fn http_1_is_spoken_where_the_upstream_has_nothing_better() {
    let ca = Ca::new();
    let mut upstream = Upstream::start().await;
    for alpn in [&["http/1.1"][..], &[]] {
        let server = ca.server(ca.issue("a", &["127.0.0.1"]), false, alpn);
        let (address, _bridge) = Bridge::from_tls(server, upstream.address, upstream.address).await;
        let gate = setup(&believing(&ca)).in_front_of_url(&format!("https://{address}")).await;
        assert!(gate.start_line.contains(&format!("upstream https://{address}, ")), "{}", gate.start_line);
        let mut client = gate.client().await;
        for body in ["", "x", &"y".repeat(300_000)] {
            client.post("/path?query", body).await;
            let mut call = soon("the request", upstream.next()).await;
            assert_eq!(call.path(), "/path?query");
            // The name of the certificate, not the one that the client has for us.
            assert_eq!(call.head.field("host").as_deref(), Some(address.to_string().as_str()));
            assert_eq!(call.body().await.unwrap().text(), body);
            let answer = "z".repeat(body.len() * 10);
            call.respond(200, &answer).await;
            assert_eq!(client.answer().await.body.text(), answer);
        }
        permits_are_all_back(&gate, &mut upstream, 2).await;
    }
}

#[tokio::test]
async fn http_2_is_spoken_where_the_upstream_chooses_it() {
    let ca = Ca::new();
    let (mut http2, mut http1) = (Http2Upstream::start().await, Upstream::start().await);
    let server = ca.server(ca.issue("a", &["127.0.0.1"]), false, &["h2", "http/1.1"]);
    let (address, _bridge) = Bridge::from_tls(server, http2.address, http1.address).await;
    let gate = setup(&believing(&ca)).in_front_of_url(&format!("https://{address}")).await;
    let mut client = gate.client().await;
    client.post("/path?query", "hello").await;
    let mut call = soon("the request", http2.next()).await;
    assert_eq!((call.method(), call.path()), ("POST", "/path?query"));
    assert_eq!(call.head.uri().scheme_str(), Some("https"));
    assert_eq!(call.head.uri().authority().map(|name| name.to_string()), Some(address.to_string()));
    for name in ["host", "connection", "transfer-encoding", "upgrade"] {
        assert_eq!(call.all(name), Vec::<String>::new(), "{name}");
    }
    assert_eq!(call.body().await.unwrap().text(), "hello");
    call.respond(200, "x".repeat(100_000)).await;
    assert_eq!(client.answer().await.body.text().len(), 100_000);
    // A body of unknown length, and trailers asked for.
    client.request("POST", "/", &["Transfer-Encoding: chunked", "TE: trailers"]).await;
    client.send("2\r\nok\r\n0\r\n\r\n").await;
    let mut call = soon("the request", http2.next()).await;
    assert_eq!((call.all("te"), call.body().await.unwrap().text()), (vec!["trailers".to_owned()], "ok".to_owned()));
    call.respond(200, "").await;
    client.answer().await;
    permits_are_all_back(&gate, &mut http2, 2).await;
    assert_eq!(http2.connections(), 1);
    // HTTP/2 has no upgrades, so who wants one gets a connection of HTTP/1.1.
    let mut client = gate.client().await;
    client.request("GET", "/ws", &["Connection: upgrade", "Upgrade: websocket"]).await;
    let call = soon("the upgrade", http1.next()).await;
    assert_eq!((call.path(), call.head.field("upgrade").as_deref()), ("/ws", Some("websocket")));
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_believed_is_502() {
    let (ca, another) = (Ca::new(), Ca::new());
    let mut upstream = Upstream::start().await;
    let server = ca.server(ca.issue("a", &["api.test"]), false, &[]);
    let (address, _bridge) = Bridge::from_tls(server, upstream.address, upstream.address).await;
    let url = format!("https://{address}");
    for keys in [believing(&ca), format!("{}, sni = \"api.test\"", believing(&another)), String::new()] {
        let gate = setup(&keys).in_front_of_url(&url).await;
        gate.get("/").await.answer().await.expect(502, "connect_failed");
    }
    for keys in [format!("{}, sni = \"api.test\"", believing(&ca)), "insecure = true".to_owned()] {
        let gate = setup(&keys).in_front_of_url(&url).await;
        let mut client = gate.get("/").await;
        soon("the request", upstream.next()).await.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200, "{keys}");
        assert_eq!(gate.log().contains("insecure"), keys.contains("insecure"), "{}", gate.log());
    }
}

#[tokio::test]
async fn an_upstream_that_asks_who_we_are_is_told() {
    let ca = Ca::new();
    let mut upstream = Upstream::start().await;
    ca.issue("us", &["us.test"]);
    let server = ca.server(ca.issue("a", &["127.0.0.1"]), true, &["http/1.1"]);
    let (address, _bridge) = Bridge::from_tls(server, upstream.address, upstream.address).await;
    let url = format!("https://{address}");
    let shows = format!("client_cert = \"{}\", client_key = \"{}\"", ca.path("us.crt"), ca.path("us.key"));
    let gate = setup(&format!("{}, {shows}", believing(&ca))).in_front_of_url(&url).await;
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    let gate = setup(&believing(&ca)).in_front_of_url(&url).await;
    // By TLS 1.3 it is refused only after the handshake.
    assert_eq!(gate.get("/").await.answer().await.status, 502);
}

#[tokio::test]
async fn an_end_that_is_not_declared_is_no_end_of_a_body() {
    let ca = Ca::new();
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(ca.server(ca.issue("a", &["127.0.0.1"]), false, &[])));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let gate = setup(&believing(&ca)).in_front_of_url(&url).await;
    for declared in [true, false] {
        let mut client = gate.get("/").await;
        let mut stream = asked(&listener, &acceptor).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nall of it, or not?").await.unwrap();
        if declared {
            stream.shutdown().await.unwrap();
        } else {
            stream.flush().await.unwrap();
            drop(stream.into_inner().0);
        }
        let answer = client.try_answer().await;
        assert_eq!(answer.is_ok(), declared, "{answer:?}");
    }
}

#[tokio::test]
async fn an_upstream_is_told_when_its_client_leaves() {
    let ca = Ca::new();
    let mut upstream = Upstream::start().await;
    let server = ca.server(ca.issue("a", &["127.0.0.1"]), false, &[]);
    let (address, _bridge) = Bridge::from_tls(server, upstream.address, upstream.address).await;
    let gate = setup(&believing(&ca)).in_front_of_url(&format!("https://{address}")).await;
    let client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    client.leave();
    soon("the hint", call.until_hung_up()).await;
    call.close();
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn what_is_no_tls_keeps_the_permit_until_the_upstream_has_closed() {
    let ca = Ca::new();
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(ca.server(ca.issue("a", &["127.0.0.1"]), false, &[])));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let gate = setup(&believing(&ca)).admin().in_front_of_url(&url).await;
    let is_back = async || gate.limit_status().await["in_flight"] == 0;
    for (begun, status) in [("", 502), ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", 200)] {
        let mut client = gate.get("/").await;
        let mut stream = asked(&listener, &acceptor).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut framing = if begun.is_empty() { None } else { Some(client.head().await.answer_framing("GET")) };
        let raw = stream.get_mut().0;
        raw.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        match &mut framing {
            Some(framing) => assert!(client.body(framing).await.is_err(), "{status}: it looks complete"),
            None => client.answer().await.expect(status, "upstream_protocol"),
        }
        let mut told = Vec::new();
        soon("the upstream to be told", raw.read_to_end(&mut told)).await.unwrap();
        assert!(
            nothing_comes(until("the permit", is_back)).await,
            "{status}: back although the upstream may be working"
        );
        drop(stream);
        until("the permit to be back", is_back).await;
    }
}

/// The next connection on which there is a request: the first one offers HTTP/2, and another follows where that is not
/// chosen.
async fn asked(listener: &TcpListener, acceptor: &TlsAcceptor) -> TlsStream<TcpStream> {
    loop {
        let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut request = [0; 4096];
        if stream.read(&mut request).await.is_ok_and(|n| n > 0) {
            return stream;
        }
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_a_connection_that_does_not() {
    let ca = Ca::new();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let gate = setup(&believing(&ca)).upstream("connect_timeout = \"200ms\"").in_front_of_url(&url).await;
    gate.get("/").await.answer().await.expect(502, "connect_failed");
}
