//! Nobody who connects to the admin listener can keep others from it, and nobody there delays a request.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::figures::open_files;
use crate::support::admin::ask;
use crate::support::{Client, Sluicegate, Upstream, soon, until};

/// As many as are served at once.
const PLACES: usize = 1280;

async fn connected(gate: &Sluicegate, count: usize) -> Vec<TcpStream> {
    let mut connected = Vec::new();
    for _ in 0..count {
        connected.push(TcpStream::connect(gate.admin_address()).await.expect("the admin listener"));
    }
    connected
}

fn too_few_files() -> bool {
    let too_few = open_files().is_none_or(|most| most < 3 * PLACES);
    if too_few {
        eprintln!("SKIPPED: thousands of connections need more open files than this process may have (ulimit -n)");
    }
    too_few
}

#[tokio::test]
async fn more_silent_connections_than_there_are_places_keep_no_probe_waiting() {
    if too_few_files() {
        return;
    }
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let mut silent = connected(&gate, PLACES + 20).await;
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(gate.ask_admin("GET /livez", "").await.status, 200);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    // The first to come is the first to go; the last has its place yet.
    assert_eq!(soon("the first to be closed", silent[0].read(&mut [0])).await.unwrap_or(0), 0);
    let last = silent.last_mut().expect("the last");
    last.write_all(format!("GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n", gate.admin_address()).as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    soon("an answer", last.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_peer_that_asks_and_reads_nothing_is_given_up() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).admin().in_front_of(&upstream).await;
    let [mut peer] = <[_; 1]>::try_from(connected(&gate, 1).await).expect("one");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", gate.admin_address());
    let asks = async {
        // Until both buffers are full, and then until it is over.
        while peer.write_all(request.as_bytes()).await.is_ok() {}
    };
    tokio::time::timeout(Duration::from_secs(60), asks).await.expect("it is closed");
}

#[tokio::test]
async fn a_thousand_tabs_and_a_slow_scraper_delay_neither_a_request_nor_a_scrape() {
    if too_few_files() {
        return;
    }
    const TABS: usize = 1000;
    let upstream = Upstream::that_works_for(Duration::ZERO).await;
    let gate = Sluicegate::with_limit(4).queue(10).admin().in_front_of(&upstream).await;
    let mut tabs = connected(&gate, TABS).await;
    let host = format!("Host: {}\r\n\r\n", gate.admin_address());
    for tab in &mut tabs {
        tab.write_all(format!("GET /api/v1/events HTTP/1.1\r\n{host}").as_bytes()).await.unwrap();
    }
    // They are all followed, and then read no more.
    for tab in &mut tabs {
        soon("the first bytes", tab.read(&mut [0; 64])).await.unwrap();
    }
    let mut slow = connected(&gate, 1).await;
    slow[0].write_all(format!("GET /metrics HTTP/1.1\r\n{host}").repeat(50).as_bytes()).await.unwrap();
    let mut client = Client::connect(gate.address).await;
    let (mut requests, mut scrapes) = (Vec::new(), Vec::new());
    // Over several seconds, each of which has its event.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        for _ in 0..20 {
            let start = Instant::now();
            client.get("/").await;
            assert_eq!(client.answer().await.status, 200);
            requests.push(start.elapsed());
        }
        let start = Instant::now();
        assert!(gate.metrics().await.len() > 50);
        scrapes.push(start.elapsed());
    }
    requests.sort();
    scrapes.sort();
    let (request, scrape) = (requests[requests.len() / 2], scrapes[scrapes.len() / 2]);
    println!("half of the requests took less than {request:?}, and of the scrapes {scrape:?}");
    assert!(request < Duration::from_millis(100) && scrape < Duration::from_millis(500), "{request:?} {scrape:?}");
    until("all to be let go", async || {
        tabs.clear();
        let address = gate.admin_address();
        ask(address, "GET /api/v1/status", &[&format!("Host: {address}")], "").await.status == 200
    })
    .await;
}
