//! What a CORS preflight takes.

use crate::support::http2::Http2;
use crate::support::{Client, Sluicegate, Upstream, permits_are_all_back, soon};

const FIELDS: [(&str, &str); 2] = [("origin", "https://app.test"), ("access-control-request-method", "PUT")];

async fn preflight(gate: &Sluicegate) -> Client {
    let mut client = gate.client().await;
    let fields = FIELDS.map(|(name, value)| format!("{name}: {value}"));
    client.request("OPTIONS", "/", &fields.each_ref().map(String::as_str)).await;
    client
}

#[tokio::test]
async fn an_exempt_preflight_takes_no_permit() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(1).server("preflight = \"exempt\"");
    let gate = setup.in_front_of(&upstream).await;
    assert!(gate.log().contains("lets requests to every route through that take no permit"));
    let mut holder = gate.get("/holder").await;
    let held = soon("the holder's request", upstream.next()).await;
    let mut client = preflight(&gate).await;
    soon("the preflight", upstream.next()).await.respond(204, "").await;
    assert_eq!(client.answer().await.status, 204);
    let client = Http2::connect(gate.address).await;
    let asked = client.ask(client.request("OPTIONS", "/", &FIELDS), true).await;
    soon("the preflight", upstream.next()).await.respond(200, "").await;
    assert_eq!(asked.answer().await.head.status(), 200);
    // An OPTIONS that is none waits.
    let mut other = gate.client().await;
    other.request("OPTIONS", "/", &["origin: https://app.test"]).await;
    other.settled().await;
    assert!(other.hears_nothing().await);
    held.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    soon("the other", upstream.next()).await.respond(200, "").await;
    assert_eq!(other.answer().await.status, 200);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_preflight_takes_a_permit_unless_it_is_exempt() {
    for line in ["", "preflight = \"first\"", "preflight = \"count\""] {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(1).server(line).in_front_of(&upstream).await;
        let mut client = preflight(&gate).await;
        let call = soon("the preflight", upstream.next()).await;
        let mut next = gate.waiting("/next").await;
        call.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200);
        soon("the next request", upstream.next()).await.respond(200, "").await;
        assert_eq!(next.answer().await.status, 200);
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn a_preflight_goes_before_a_critical_request_and_needs_no_key() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(4).route("priority = \"critical\"\nkey = \"bearer\"");
    let gate = setup.route("missing_key = \"reject\"").in_front_of(&upstream).await;
    let ask = async |target: &str| {
        let mut client = gate.client().await;
        client.request("GET", target, &["authorization: Bearer one"]).await;
        client.settled().await;
        client
    };
    let mut holder = ask("/holder").await;
    let held = soon("the holder's request", upstream.next()).await;
    let mut critical = ask("/critical").await;
    let mut browser = preflight(&gate).await;
    browser.settled().await;
    held.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    let call = soon("the preflight", upstream.next()).await;
    assert!(call.head.start.starts_with("OPTIONS "), "{}", call.head.start);
    call.respond(204, "").await;
    assert_eq!(browser.answer().await.status, 204);
    soon("the critical request", upstream.next()).await.respond(200, "").await;
    assert_eq!(critical.answer().await.status, 200);
    // Any other request has to say whose it is.
    let mut nobody = gate.get("/").await;
    nobody.answer().await.expect(429, "key_limit");
}
