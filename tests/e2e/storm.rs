//! Thousands of clients that leave at random moments, and an upstream that works on: the count inside it never
//! exceeds the limit, and afterwards all permits are there.
//!
//! `SLUICEGATE_STORM` sets the number of requests, `SLUICEGATE_SEED` repeats one storm's choices.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::client::head_of;
use crate::support::random::Random;
use crate::support::tools::times;
use crate::support::{Call, Client, PATIENCE, Sluicegate, Upstream, permits_are_all_back};

const LIMIT: usize = 8;
const CLIENTS: usize = 48;
const LONGEST: Duration = Duration::from_millis(12);

#[tokio::test]
async fn a_storm_of_aborted_requests_never_exceeds_the_limit_and_loses_no_permit() {
    storm("on_client_gone = \"abort\"").await;
}

#[tokio::test]
async fn a_storm_of_aborted_requests_that_are_finished_never_exceeds_the_limit_and_loses_no_permit() {
    storm("on_client_gone = \"finish\"").await;
}

#[tokio::test]
async fn a_storm_through_buffers_and_deadlines_never_exceeds_the_limit_and_loses_no_permit() {
    storm("buffer_request = \"64KiB\"\nbuffer_response = \"64KiB\"\ntimeout = \"9ms\"").await;
    storm("timeout = \"9ms\"").await;
}

async fn storm(lines: &str) {
    let requests = times("SLUICEGATE_STORM", 2000);
    let mut random = Random::announced("storm");
    let chance = Mutex::new(random.fork());
    let mut upstream = Upstream::that(move |call| {
        let random = chance.lock().expect("no task panics with it").fork();
        works_on_regardless(call, random)
    })
    .await;
    // Only the upstream's own ending may bring a permit back: the grace outlasts the test.
    let setup = Sluicegate::with_limit(LIMIT).queue(1000).route("abort_grace = \"10m\"");
    let mut gate = setup.clone().route(lines).in_front_of(&upstream).await;

    let left = Arc::new(AtomicUsize::new(requests));
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(rude_clients(gate.address, random.fork(), left.clone()))).collect();
    let mut answered = 0;
    for client in clients {
        answered += client.await.expect("no client panics");
    }
    upstream.until_inside(0).await;
    println!("{requests} requests, {} reached the upstream, {answered} were answered", upstream.total());
    // On a busy machine most are too late with so short a timeout.
    assert!(upstream.total() > requests / 100, "only {} reached the upstream", upstream.total());
    assert!(upstream.peak() <= LIMIT, "{} inside, and the limit is {LIMIT}", upstream.peak());

    // A waiter of the storm may be admitted at this very moment, its departure noticed a moment too late.
    tokio::time::sleep(Duration::from_millis(300)).await;
    upstream.until_inside(0).await;
    upstream.answers_when_told();
    // Without a deadline, that is.
    gate.reload(&setup.text(&upstream.url())).await;
    permits_are_all_back(&gate, &mut upstream, LIMIT).await;
    assert_eq!(upstream.peak(), LIMIT);
}

/// Answers in two parts after a while each, whatever has become of the connection and of the request's body.
async fn works_on_regardless(mut call: Call, mut random: Random) {
    tokio::time::sleep(random.up_to(LONGEST)).await;
    if random.below(4) == 0 {
        return call.respond(200, "short").await;
    }
    let _ = call.send_raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n").await;
    tokio::time::sleep(random.up_to(LONGEST)).await;
    call.finish().await;
}

/// One after the other, until none is left; counts the answers that came complete.
async fn rude_clients(address: SocketAddr, mut random: Random, left: Arc<AtomicUsize>) -> usize {
    let mut answered = 0;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let Ok(client) = Client::try_connect(address).await else { continue };
        answered += usize::from(rude_client(client, &mut random).await);
    }
    answered
}

async fn rude_client(mut client: Client, random: &mut Random) -> bool {
    let length = random.below(200_000) as usize;
    let with_length = head_of("POST", "/", &[&format!("Content-Length: {length}")]);
    let request = match random.below(7) {
        0 | 1 => head_of("GET", "/", &[]).into_bytes(),
        2 => head_of("GET", "/", &[]).repeat(3).into_bytes(),
        3 => [with_length.into_bytes(), vec![b'x'; length]].concat(),
        4 => [with_length.into_bytes(), vec![b'x'; length / 2]].concat(),
        5 => (head_of("POST", "/", &["Transfer-Encoding: chunked"]) + "4\r\npart\r\n10\r\ncut").into_bytes(),
        _ => head_of("POST", "/", &["Content-Length: 10", "Expect: 100-continue"]).into_bytes(),
    };
    // One in six stays to the end, if its request is whole; the others leave when they have waited long enough.
    let stays = request.starts_with(b"GET") && random.below(6) == 0;
    let patience = if stays { PATIENCE } else { random.up_to(5 * LONGEST) };
    let answered = tokio::time::timeout(patience, async {
        client.try_send(&request).await.ok()?;
        client.try_answer().await.ok()
    })
    .await;
    assert!(!stays || answered.is_ok(), "a client that stayed heard nothing for {PATIENCE:?}");
    let complete = matches!(answered, Ok(Some(_)));
    match random.below(3) {
        0 => client.abort(),
        1 => {
            let _ = client.try_half_close().await;
            tokio::time::sleep(random.up_to(LONGEST)).await;
        }
        _ => client.leave(),
    }
    complete
}
