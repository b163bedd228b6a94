//! What gRPC needs: answers of our own in its words.

use crate::support::http2::Http2;
use crate::support::{Sluicegate, Upstream, soon};

const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc+proto"), ("te", "trailers")];

#[tokio::test]
async fn a_rejection_is_a_status_of_grpc_without_a_body() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let holder = client.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let answer = client.post("/pkg.Service/Method", GRPC, b"\0\0\0\0\0").await.answer().await;
    answer.expect(200, "no_permit");
    assert_eq!(answer.field("content-type"), Some("application/grpc+proto"));
    assert_eq!(answer.field("grpc-status"), Some("8"));
    assert_eq!(answer.field("grpc-message"), Some("no_permit"));
    let seconds: u64 = answer.field("retry-after").expect("it was shed").parse().unwrap();
    assert_eq!(answer.field("grpc-retry-pushback-ms"), Some(&*(seconds * 1000).to_string()));
    assert!(answer.body.is_empty() && answer.trailers.is_none(), "{answer:?}");
    // Nobody else gets such an answer.
    client.post("/", &[("content-type", "application/json")], b"{}").await.answer().await.expect(503, "no_permit");
    call.respond(200, "").await;
    holder.answer().await;
}

#[tokio::test]
async fn what_is_wrong_upstream_or_with_a_request_has_its_own_status() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1)
        .upstream("response_timeout = \"200ms\"")
        .route("path = \"/pkg.Service/*\"")
        .in_front_of(&upstream)
        .await;
    let client = Http2::connect(gate.address).await;
    client.post("/other", GRPC, b"").await.answer().await.expect(200, "no_route");

    let asked = client.post("/pkg.Service/Cut", GRPC, b"").await;
    soon("the request", upstream.next()).await.close();
    let answer = asked.answer().await;
    answer.expect(200, "upstream_reset");
    assert_eq!((answer.field("grpc-status"), answer.field("grpc-retry-pushback-ms")), (Some("14"), None));

    let asked = client.post("/pkg.Service/Slow", GRPC, b"").await;
    let call = soon("the request", upstream.next()).await;
    let answer = asked.answer().await;
    answer.expect(200, "upstream_timeout");
    assert_eq!(answer.field("grpc-status"), Some("4"));
    call.close();

    let large = "x".repeat(33 << 10);
    let fields = [GRPC, &[("x-large", large.as_str())]].concat();
    let answer = client.post("/pkg.Service/Large", &fields, b"").await.answer().await;
    answer.expect(200, "header_too_large");
    assert_eq!(answer.field("grpc-status"), Some("13"));
}
