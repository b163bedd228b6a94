//! What passes through the gate, and what does not.

use crate::support::client::head_of;
use crate::support::message::Head;
use crate::support::{Answer, Setup, Sluicegate, Upstream, soon};

#[tokio::test]
async fn hop_by_hop_fields_of_a_request_are_not_forwarded() {
    let fields = [
        "Connection: keep-alive, x-nominated",
        "X-Nominated: no",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: gzip",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "X-Kept: yes",
    ];
    let head = seen_by_upstream(&open(), "/", &fields).await;
    for name in ["x-nominated", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings"] {
        assert!(!head.has(name), "{name} in {head:?}");
    }
    assert!(!head.lists("connection", "x-nominated"), "{head:?}");
    assert_eq!(head.field("x-kept").as_deref(), Some("yes"));
}

#[tokio::test]
async fn hop_by_hop_fields_of_an_answer_are_not_forwarded() {
    let answer = answered_with(
        "HTTP/1.1 200 OK\r\nConnection: x-nominated\r\nX-Nominated: no\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-Kept: yes\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    for name in ["x-nominated", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(!answer.head.has(name), "{name} in {:?}", answer.head);
    }
    assert!(!answer.head.lists("connection", "x-nominated"));
    assert_eq!(answer.head.field("x-kept").as_deref(), Some("yes"));
}

#[tokio::test]
async fn forwarded_fields_of_strangers_are_replaced() {
    let forged = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test"];
    let head = seen_by_upstream(&open(), "/", &forged).await;
    assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-proto"), ["http"]);
    assert_eq!(head.all("x-forwarded-host"), ["api.test"]);
}

#[tokio::test]
async fn forwarded_fields_are_made_where_there_are_none() {
    let head = seen_by_upstream(&open(), "/", &[]).await;
    assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-proto"), ["http"]);
    assert_eq!(head.all("x-forwarded-host"), ["api.test"]);
    let start = head.field("x-request-start").expect("X-Request-Start");
    assert!(start.strip_prefix("t=").is_some_and(|ms| ms.parse::<u64>().is_ok()), "{start}");
}

#[tokio::test]
async fn forwarded_fields_of_trusted_peers_are_continued() {
    let setup = open().server("trusted_proxies = [\"127.0.0.0/8\"]");
    let before = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.test"];
    let head = seen_by_upstream(&setup, "/", &before).await;
    let members = |name: &str| -> Vec<String> {
        let joined = head.all(name).join(",");
        joined.split(',').map(|member| member.trim().to_owned()).collect()
    };
    assert_eq!(members("x-forwarded-for"), ["203.0.113.7", "127.0.0.1"]);
    assert_eq!(members("x-forwarded-proto")[0], "https");
    assert_eq!(members("x-forwarded-host")[0], "shop.test");
}

#[tokio::test]
async fn via_is_continued() {
    let head = seen_by_upstream(&open(), "/", &["Via: 1.1 before"]).await;
    let via = head.all("via").join(", ");
    assert!(via.starts_with("1.1 before, 1.1 "), "{via}");
}

#[tokio::test]
async fn a_decent_request_id_is_kept() {
    let longest = "x".repeat(128);
    for id in ["mine-42", "!~", &longest] {
        let head = seen_by_upstream(&open(), "/", &[&format!("X-Request-Id: {id}")]).await;
        assert_eq!(head.all("x-request-id"), [id]);
    }
}

#[tokio::test]
async fn another_request_id_is_replaced() {
    let too_long = "x".repeat(129);
    for id in ["two words", "ümlaut", "", &too_long] {
        let head = seen_by_upstream(&open(), "/", &[&format!("X-Request-Id: {id}")]).await;
        let made = head.all("x-request-id");
        assert_eq!(made.len(), 1);
        assert!(made[0] != id && !made[0].is_empty() && made[0].len() <= 128, "{made:?}");
        assert!(made[0].bytes().all(|b| b.is_ascii_graphic()), "{made:?}");
    }
}

#[tokio::test]
async fn each_request_without_an_id_gets_one_of_its_own() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..20 {
        client.get("/").await;
        let call = soon("the request", upstream.next()).await;
        ids.insert(call.head.field("x-request-id").expect("an id"));
        call.respond(200, "").await;
        client.answer().await;
    }
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn path_and_query_arrive_byte_for_byte() {
    for target in [
        "/a%2fB/%7Euser//x/../y;p=1?q=%20&&x=a+b&e=&t=a/b?c:d@e",
        "/%2e%2E/./",
        "//double//",
        "/?",
        "/?a=%zz",
        "/!$&'()*+,;=:@-._~",
    ] {
        assert_eq!(seen_by_upstream(&open(), target, &[]).await.word(1), target);
    }
}

#[tokio::test]
async fn a_path_in_the_upstreams_url_goes_before_the_requests() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of_url(&format!("{}/base", upstream.url())).await;
    let mut client = gate.get("/a?b").await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.path(), "/base/a?b");
    call.respond(200, "").await;
    client.answer().await;
}

#[tokio::test]
async fn an_absolute_target_is_forwarded_as_a_path() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send("GET http://other.test/a?b HTTP/1.1\r\nHost: api.test\r\n\r\n").await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.path(), "/a?b");
    assert_eq!(call.head.all("host"), ["other.test"], "the target's authority wins");
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn the_host_is_preserved_unless_another_is_asked_for() {
    let mut upstream = Upstream::start().await;
    let own = upstream.address.to_string();
    for (line, host) in [("", "api.test"), ("host = \"upstream\"", &own), ("host = \"fixed.test\"", "fixed.test")] {
        let gate = open().upstream(line).in_front_of(&upstream).await;
        let mut client = gate.get("/").await;
        let call = soon("the request", upstream.next()).await;
        assert_eq!(call.head.all("host"), [host]);
        call.respond(200, "").await;
        client.answer().await;
    }
}

#[tokio::test]
async fn values_of_one_name_keep_their_order_and_bytes_in_requests() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send(b"GET / HTTP/1.1\r\nHost: api.test\r\nX-A: 1\r\nX-B: between\r\nX-A: \xff\xe9\r\nx-a: 1\r\n\r\n").await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.head.all_bytes("x-a"), [&b"1"[..], b"\xff\xe9", b"1"]);
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn values_of_one_name_keep_their_order_and_bytes_in_answers() {
    let answer = answered_with(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: b=2\r\nX-B: between\r\nSet-Cookie: a=1\r\nSet-Cookie: \xffz=\xe9\r\n\
          Content-Length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(answer.head.all_bytes("set-cookie"), [&b"b=2"[..], b"a=1", b"\xffz=\xe9"]);
}

#[tokio::test]
async fn early_hints_of_the_upstream_are_swallowed() {
    let answer = answered_with(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    assert_eq!((answer.interim.as_slice(), answer.status, answer.body.text().as_str()), (&[][..], 200, "ok"));
    assert!(!answer.head.has("link"));
}

#[tokio::test]
async fn a_range_passes_both_ways() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.request("GET", "/", &["Range: bytes=1-2"]).await;
    let call = soon("the request", upstream.next()).await;
    assert_eq!(call.head.field("range").as_deref(), Some("bytes=1-2"));
    call.respond_with(206, &[("Content-Range", "bytes 1-2/9")], "bc").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.text().as_str()), (206, "bc"));
    assert_eq!(answer.head.field("content-range").as_deref(), Some("bytes 1-2/9"));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(10).in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send((0..5).map(|n| head_of("GET", &format!("/{n}"), &[])).collect::<String>()).await;
    for n in 0..5 {
        let call = soon("the next request", upstream.next()).await;
        let path = call.path().to_owned();
        assert_eq!(path, format!("/{n}"));
        call.respond(200, &path).await;
        assert_eq!(client.answer().await.body.text(), path);
    }
}

#[tokio::test]
async fn an_http_1_0_client_gets_an_answer_that_it_understands() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.send("GET /old HTTP/1.0\r\n\r\n").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    call.chunk("one,").await.unwrap();
    call.chunk("two").await.unwrap();
    call.finish().await;
    let answer = client.answer().await;
    assert!(!answer.head.has("transfer-encoding"), "{:?}", answer.head);
    assert_eq!(answer.body.text(), "one,two");
    client.expect_closed().await;
}

#[tokio::test]
async fn an_http_1_0_client_may_keep_its_connection() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    for _ in 0..2 {
        client.send("GET /old HTTP/1.0\r\nHost: api.test\r\nConnection: keep-alive\r\n\r\n").await;
        soon("the request", upstream.next()).await.respond(200, "old").await;
        let answer = client.answer().await;
        assert_eq!(answer.body.text(), "old");
        assert!(answer.head.lists("connection", "keep-alive"), "{:?}", answer.head);
    }
}

#[tokio::test]
async fn an_idle_connection_closed_by_the_upstream_in_the_meantime_is_not_a_clients_error() {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.client().await;
    for method in ["GET", "POST"] {
        for n in 0..50 {
            client.request(method, &format!("/{n}"), &["Content-Length: 0"]).await;
            let call = soon("the request", upstream.next()).await;
            assert_eq!((call.method(), call.path()), (method, format!("/{n}").as_str()), "and none is sent twice");
            call.respond_then_close(200, "ok").await;
            assert_eq!(client.answer().await.status, 200, "{method} {n}");
        }
    }
    assert_eq!(upstream.total(), 100);
}

#[tokio::test]
async fn connections_to_the_upstream_are_used_again() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let mut client = gate.client().await;
    for _ in 0..50 {
        client.get("/").await;
        soon("the request", upstream.next()).await.respond(200, "ok").await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert!(upstream.connections() <= 2, "{} connections for 50 requests", upstream.connections());
}

/// Room enough to be no subject here.
pub fn open() -> Setup {
    Sluicegate::with_limit(100)
}

/// The head that the upstream gets for a GET with these fields.
async fn seen_by_upstream(setup: &Setup, target: &str, fields: &[&str]) -> Head {
    let mut upstream = Upstream::start().await;
    let gate = setup.in_front_of(&upstream).await;
    let mut client = gate.client().await;
    client.request("GET", target, fields).await;
    let call = soon("the request", upstream.next()).await;
    let head = call.head.clone();
    call.respond(200, "").await;
    assert_eq!(client.answer().await.status, 200);
    head
}

/// The answer that the client gets for these bytes from the upstream.
async fn answered_with(bytes: impl AsRef<[u8]>) -> Answer {
    let mut upstream = Upstream::start().await;
    let gate = open().in_front_of(&upstream).await;
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.respond_raw(bytes).await;
    client.answer().await
}
