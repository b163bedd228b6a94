//! How much an upstream that fails gets on top of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::net::TcpListener;

use crate::support::{Sluicegate, Upstream};

const RETRIES: &str = "sluicegate_retries_total{upstream=\"default\"}";
const REFUSED: &str = "sluicegate_retries_refused_total{upstream=\"default\"}";

#[tokio::test]
async fn an_upstream_that_fails_every_other_request_is_asked_a_tenth_more_and_ten_a_second() {
    // Every connection carries one answer, and ends under the next request.
    let answers = AtomicBool::new(false);
    let upstream = Upstream::that(move |call| {
        let answers = !answers.fetch_xor(true, Ordering::Relaxed);
        async move {
            match answers {
                true => call.respond(200, "").await,
                false => call.close(),
            }
        }
    })
    .await;
    let gate = Sluicegate::with_limit(1).admin().upstream("eject = \"off\"").in_front_of(&upstream).await;
    let start = Instant::now();
    let mut client = gate.client().await;
    let (mut requests, mut lost) = (0_u32, 0_u32);
    // Each retry leaves a connection that fails the next request, until none is paid for.
    while lost < 20 {
        client.get("/").await;
        let answer = client.answer().await;
        requests += 1;
        if answer.status != 200 {
            answer.expect(502, "upstream_reset");
            lost += 1;
        }
        assert!(requests < 10_000, "it is paid for without end");
    }
    let metrics = gate.metrics().await;
    let paid = metrics[RETRIES];
    assert_eq!(metrics[REFUSED], f64::from(lost));
    assert!(paid >= 100.0, "{paid}");
    let most = 100.0 + 0.1 * f64::from(requests) + 10.0 * start.elapsed().as_secs_f64();
    assert!(paid <= most, "{paid} of {requests}");
}

#[tokio::test]
async fn what_never_reached_an_upstream_costs_nothing_of_the_budget() {
    let upstream = Upstream::that(|call| call.respond(200, "")).await;
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let setup = Sluicegate::with_limit(1).admin().upstream("eject = \"off\"\nbalance = \"round_robin\"");
    let gate = setup.in_front_of_all([format!("http://{nowhere}"), upstream.url()]).await;
    let start = Instant::now();
    let mut client = gate.client().await;
    let mut most = 0.0;
    let mut requests = 0;
    // More than could have been paid for.
    while f64::from(requests) / 2.0 <= most {
        client.post("/", "body").await;
        assert_eq!(client.answer().await.status, 200);
        requests += 1;
        most = 100.0 + 0.1 * f64::from(requests) + 10.0 * start.elapsed().as_secs_f64();
    }
    let metrics = gate.metrics().await;
    assert!(metrics[RETRIES] >= f64::from(requests / 2), "{} of {requests}", metrics[RETRIES]);
    assert_eq!(metrics[REFUSED], 0.0);
}
