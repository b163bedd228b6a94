//! What an upstream that speaks HTTP/2 is sent, and what becomes of what it sends.

use crate::support::client::head_of;
use crate::support::{
    Answer, Client, Http2Upstream, Sluicegate, StreamCall, nothing_comes, permits_are_all_back, soon,
};

#[tokio::test]
async fn a_request_has_no_field_of_its_connection_and_its_host_as_authority() {
    let (gate, mut upstream) = start("").await;
    let mut client = gate.client().await;
    let fields = [
        "Connection: keep-alive, x-mine",
        "Keep-Alive: timeout=5",
        "X-Mine: 1",
        "X-Kept: a",
        "X-Kept: b",
        "TE: trailers, deflate",
        "Proxy-Connection: keep-alive",
    ];
    client.send(format!("GET /a%20b//c?d=e HTTP/1.1\r\nHost: api.example:81\r\n{}\r\n\r\n", fields.join("\r\n"))).await;
    let call = soon("the request", upstream.next()).await;
    let uri = call.head.uri();
    assert_eq!((call.method(), call.path()), ("GET", "/a%20b//c?d=e"));
    assert_eq!((uri.scheme_str(), uri.authority().unwrap().as_str()), (Some("http"), "api.example:81"));
    for name in ["host", "connection", "keep-alive", "x-mine", "proxy-connection", "transfer-encoding", "upgrade"] {
        assert!(call.all(name).is_empty(), "{name}: {:?}", call.all(name));
    }
    assert_eq!((call.all("te"), call.all("x-kept")), (vec!["trailers".to_owned()], vec!["a".into(), "b".into()]));
    assert_eq!(call.all("via"), ["1.1 sluicegate"]);
    assert_eq!(call.all("x-forwarded-host"), ["api.example:81"]);
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    let mut plain = gate.get("/").await;
    let call = soon("the request", upstream.next()).await;
    assert!(call.all("te").is_empty(), "its client takes no trailers");
    call.respond(200, "").await;
    plain.answer().await;
}

#[tokio::test]
async fn the_authority_is_what_host_says() {
    let mut upstream = Http2Upstream::start().await;
    for (host, expected) in [("upstream", upstream.address.to_string()), ("api.internal", "api.internal".to_owned())] {
        let setup = Sluicegate::with_limit(1).upstream(&format!("host = \"{host}\""));
        let gate = setup.in_front_of_url(&upstream.url()).await;
        let mut client = gate.get("/").await;
        let call = soon("the request", upstream.next()).await;
        assert_eq!(call.head.uri().authority().unwrap().as_str(), expected);
        call.respond(200, "").await;
        client.answer().await;
    }
}

#[tokio::test]
async fn targets_of_every_form_arrive() {
    let (gate, mut upstream) = start("").await;
    for (target, path) in [("*", "*"), ("http://a?x=1", "/?x=1"), ("http://a/b", "/b"), ("/", "/"), ("/?", "/?")] {
        let mut client = gate.client().await;
        client.request("OPTIONS", target, &[]).await;
        let call = soon("the request", upstream.next()).await;
        assert_eq!((call.method(), call.path()), ("OPTIONS", path), "{target}");
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_request_for_an_upgrade_is_served_without_one() {
    let (gate, mut upstream) = start("").await;
    let mut client = gate.client().await;
    let fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"];
    client.request("GET", "/socket", &fields).await;
    let call = soon("the request", upstream.next()).await;
    assert!(call.all("upgrade").is_empty() && call.all("connection").is_empty());
    assert_eq!(call.all("sec-websocket-version"), ["13"]);
    call.respond(426, "not here").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.text().as_str()), (426, "not here"));
}

#[tokio::test]
async fn bodies_of_known_and_unknown_length_arrive_whole() {
    let (gate, mut upstream) = start("").await;
    let large = vec![b'x'; 3_000_000];
    for body in [&b"a body"[..], &large] {
        for method in ["POST", "GET"] {
            let known = head_of(method, "/", &[&format!("Content-Length: {}", body.len())]);
            let got = sent(&gate, &mut upstream, [known.as_bytes(), body].concat()).await;
            assert_eq!((got.0.as_slice(), got.1), (body, vec![body.len().to_string()]));
            let unknown = head_of(method, "/", &["Transfer-Encoding: chunked"]) + &format!("{:x}\r\n", body.len());
            let got = sent(&gate, &mut upstream, [unknown.as_bytes(), body, b"\r\n0\r\n\r\n"].concat()).await;
            assert_eq!((got.0.as_slice(), got.1), (body, vec![]));
        }
    }
    for fields in [&["Content-Length: 0"][..], &[]] {
        let got = sent(&gate, &mut upstream, head_of("POST", "/", fields).into_bytes()).await;
        assert!(got.0.is_empty());
    }
    let got = sent(&gate, &mut upstream, head_of("POST", "/", &["Transfer-Encoding: chunked"]) + "0\r\n\r\n").await;
    assert!(got.0.is_empty());
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let (gate, mut upstream) = start("").await;
    let mut client = gate.client().await;
    let fields = ["TE: trailers", "Connection: te", "Transfer-Encoding: chunked", "Trailer: x-sum"];
    client.send(head_of("POST", "/", &fields) + "4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n").await;
    let mut call = soon("the request", upstream.next()).await;
    let body = call.body().await.unwrap();
    assert_eq!((body.text().as_str(), body.trailers), ("body", vec![("x-sum".to_owned(), b"1".to_vec())]));
    call.start_streaming(&[("trailer", "x-status")]);
    call.chunk("answer").await.unwrap();
    call.finish_with(&[("x-status", "fine")]);
    let (mut client, answer) = answered(client, "POST").await;
    assert_eq!(
        (answer.body.text().as_str(), answer.body.trailers),
        ("answer", vec![("x-status".to_owned(), b"fine".to_vec())])
    );
    // A body of trailers alone, and an answer of a head alone.
    client.send(head_of("POST", "/", &fields) + "0\r\nx-sum: 0\r\n\r\n").await;
    let mut call = soon("the request", upstream.next()).await;
    let body = call.body().await.unwrap();
    assert_eq!((body.bytes.len(), body.trailers), (0, vec![("x-sum".to_owned(), b"0".to_vec())]));
    call.respond_bare(200, &[("grpc-status", "0")]);
    let (_, answer) = answered(client, "POST").await;
    assert_eq!((answer.head.field("grpc-status").as_deref(), answer.body.bytes.len()), (Some("0"), 0));
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let (gate, mut upstream) = start("").await;
    let length = &[("content-length", "1234")][..];
    for (method, status, fields) in
        [("HEAD", 200, length), ("HEAD", 200, &[]), ("GET", 204, &[]), ("GET", 304, length), ("GET", 200, &[])]
    {
        let mut client = gate.client().await;
        client.request(method, "/", &[]).await;
        soon("the request", upstream.next()).await.respond_bare(status, fields);
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.body.bytes.len()), (status, 0), "{method} {status}");
        if method == "HEAD" {
            assert_eq!(answer.head.field("content-length").is_some(), !fields.is_empty());
        }
        client.get("/again").await;
        soon("the next request", upstream.next()).await.respond(200, "again").await;
        assert_eq!(client.answer().await.body.text(), "again");
    }
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn interim_answers_are_swallowed() {
    let (gate, mut upstream) = start("").await;
    let mut client = gate.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.inform(100);
    call.inform(103);
    assert!(client.hears_nothing().await);
    call.respond(200, "at last").await;
    let answer = client.answer().await;
    assert_eq!((answer.interim, answer.body.text().as_str()), (vec![], "at last"));
}

#[tokio::test]
async fn an_answer_is_passed_on_frame_by_frame() {
    let (gate, mut upstream) = start("").await;
    let mut client = gate.get("/events").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[("content-type", "text/event-stream"), ("x-sluicegate-reason", "forged")]);
    let head = client.head().await;
    assert!(!head.has("x-sluicegate-reason"));
    let mut framing = head.answer_framing("GET");
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        call.chunk(event).await.unwrap();
        assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), event.as_bytes());
    }
    call.finish();
    assert_eq!(client.piece(&mut framing).await.unwrap(), None);
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn a_slow_client_stalls_its_own_stream_and_no_other() {
    let (gate, mut upstream) = start("").await;
    let mut slow = gate.get("/slow").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]);
    let streaming = tokio::spawn(async move {
        let mut sent = 0;
        while sent < LARGE {
            call.chunk(vec![b'x'; 100_000]).await.unwrap();
            sent += 100_000;
        }
        call.finish();
    });
    let mut framing = slow.head().await.answer_framing("GET");
    let mut client = gate.client().await;
    for _ in 0..20 {
        client.get("/quick").await;
        let call = soon("a request meanwhile", upstream.next()).await;
        tokio::spawn(async move { call.respond(200, vec![b'y'; 200_000]).await });
        assert_eq!(client.answer().await.body.bytes.len(), 200_000);
    }
    assert!(!streaming.is_finished(), "it was not slow");
    assert_eq!(upstream.connections(), 1);
    assert_eq!(slow.body(&mut framing).await.unwrap().bytes.len(), LARGE);
    streaming.await.unwrap();
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn an_upstream_that_reads_no_body_stalls_that_upload_and_no_other_stream() {
    let mut upstream = Http2Upstream::with(h2::server::Builder::new().initial_connection_window_size(1 << 20)).await;
    let gate = Sluicegate::with_limit(2).queue(1).in_front_of_url(&upstream.url()).await;
    let mut slow = gate.client().await;
    slow.send(head_of("POST", "/slow", &["Content-Length: 500000"])).await;
    let mut call = soon("the request", upstream.next()).await;
    slow.send(vec![b'x'; 500_000]).await;
    let mut client = gate.client().await;
    for _ in 0..5 {
        client.post("/quick", vec![b'y'; 100_000]).await;
        let mut call = soon("a request meanwhile", upstream.next()).await;
        assert_eq!(call.body().await.unwrap().bytes.len(), 100_000);
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(call.body().await.unwrap().bytes.len(), 500_000);
    call.respond(200, "").await;
    assert_eq!((slow.answer().await.status, upstream.connections()), (200, 1));
}

#[tokio::test]
async fn an_answer_may_begin_while_its_request_goes_on() {
    let (gate, mut upstream) = start("").await;
    let mut client = gate.client().await;
    client.send(head_of("POST", "/", &["Content-Length: 8"]) + "half").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]);
    call.chunk("echo: ").await.unwrap();
    let mut framing = client.head().await.answer_framing("POST");
    assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), b"echo: ");
    client.send("rest").await;
    assert_eq!(call.body().await.unwrap().bytes, b"halfrest");
    call.chunk("halfrest").await.unwrap();
    call.finish();
    assert_eq!(client.body(&mut framing).await.unwrap().bytes, b"halfrest");
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn two_streams_of_one_connection_are_independent() {
    let (gate, mut upstream) = start("on_client_gone = \"reset\"").await;
    let (first, mut second) = (gate.get("/first").await, gate.get("/second").await);
    let mut calls: Vec<StreamCall> = vec![soon("one", upstream.next()).await, soon("the other", upstream.next()).await];
    calls.sort_by_key(|call| call.path().to_owned());
    assert!(nothing_comes(upstream.next()).await);
    first.leave();
    assert_eq!(calls[0].until_reset().await, Some(h2::Reason::CANCEL));
    calls.remove(1).respond(200, "undisturbed").await;
    assert_eq!(second.answer().await.body.text(), "undisturbed");
    drop(calls);
    permits_are_all_back(&gate, &mut upstream, 2).await;
    assert_eq!(upstream.connections(), 1);
}

/// More than all buffers on the way hold.
const LARGE: usize = 20_000_000;

async fn start(route: &str) -> (Sluicegate, Http2Upstream) {
    let upstream = Http2Upstream::start().await;
    let gate = Sluicegate::with_limit(2).queue(1).route(route).in_front_of_url(&upstream.url()).await;
    (gate, upstream)
}

/// Sends a request, and says what arrived: the body, and the declared lengths.
async fn sent(gate: &Sluicegate, upstream: &mut Http2Upstream, request: impl AsRef<[u8]>) -> (Vec<u8>, Vec<String>) {
    let mut client = gate.client().await;
    let (_, got) = tokio::join!(client.send(request), async {
        let mut call = soon("the request", upstream.next()).await;
        let body = call.body().await.expect("a whole body");
        assert!(call.all("transfer-encoding").is_empty());
        let lengths = call.all("content-length");
        call.respond(200, "").await;
        (body.bytes, lengths)
    });
    assert_eq!(client.answer().await.status, 200);
    got
}

/// The answer to a request that was sent byte by byte.
async fn answered(mut client: Client, method: &str) -> (Client, Answer) {
    let head = client.head().await;
    let body = client.body(&mut head.answer_framing(method)).await.expect("a whole body");
    let answer = Answer { status: head.status(), head, body, interim: vec![], at: std::time::Instant::now() };
    (client, answer)
}
