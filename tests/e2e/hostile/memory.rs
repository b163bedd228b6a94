//! Memory does not grow with what passes through, nor with how slowly it is read.
//!
//! `SLUICEGATE_TEST_MIB=1024 SLUICEGATE_TEST_READERS=5000 cargo test --release --test e2e memory` is the whole of it; by
//! default there is less of both.

use std::time::Duration;

use crate::support::http2::Http2;
use crate::support::message::Framing;
use crate::support::quiet::alone;
use crate::support::tools::times;
use crate::support::{Client, Sluicegate, Upstream, soon, until};

/// What a gigabyte may leave behind: buffers of a few connections, and what the allocator keeps.
const BOUND: u64 = 12 << 20;
const PIECE: usize = 256 << 10;

#[tokio::test]
async fn a_large_answer_leaves_memory_as_it_is() {
    let _alone = alone();
    let bytes = mebibytes();
    let upstream = Upstream::that(move |mut call| async move {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
        let mut sending = call.send_raw(head).await;
        for _ in 0..bytes / PIECE {
            if sending.is_ok() {
                sending = call.send_raw(&[b'x'; PIECE]).await;
            }
        }
        call.respond_raw("").await;
    })
    .await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let mut most = Most::new(&gate);
    let mut client = gate.get("/").await;
    client.head().await;
    let (mut framing, mut read) = (Framing::Length(bytes as u64), 0);
    while let Some(piece) = client.piece(&mut framing).await.unwrap() {
        read += piece.len();
        most.look(&gate);
    }
    assert_eq!(read, bytes);
    let http2 = Http2::connect(gate.address).await;
    let (response, _) = http2.get("/").await.head().await.unwrap();
    let (mut stream, mut read) = (response.into_body(), 0);
    while let Some(data) = soon("a piece", stream.data()).await {
        let data = data.unwrap();
        stream.flow_control().release_capacity(data.len()).unwrap();
        read += data.len();
        most.look(&gate);
    }
    assert_eq!(read, bytes);
    most.is_below(BOUND);
}

#[tokio::test]
async fn a_large_upload_leaves_memory_as_it_is() {
    let _alone = alone();
    let bytes = mebibytes();
    let upstream = Upstream::that(|mut call| async move {
        let mut read = 0;
        while let Ok(Some(piece)) = call.piece().await {
            read += piece.len();
        }
        call.respond(200, read.to_string()).await;
    })
    .await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let mut most = Most::new(&gate);
    let mut client = gate.client().await;
    client.request("POST", "/", &[&format!("Content-Length: {bytes}")]).await;
    for _ in 0..bytes / PIECE {
        client.send(&[b'x'; PIECE]).await;
        most.look(&gate);
    }
    assert_eq!(client.answer().await.body.text(), bytes.to_string());
    most.is_below(BOUND);
}

#[tokio::test]
async fn readers_that_read_nothing_cost_what_their_connections_do() {
    // What hyper takes from the upstream (32 KiB), what it has for the client (64 KiB and a piece), and two connections:
    // some 200 KiB in a build for debugging.
    const EACH: u64 = 256 << 10;
    let _alone = alone();
    let readers = times("SLUICEGATE_TEST_READERS", 200);
    // More than the sockets between us hold.
    let upstream = Upstream::that(move |mut call| async move {
        let mut sending = call.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await;
        while sending.is_ok() {
            sending = call.send_raw(&[b'x'; 64 << 10]).await;
        }
    })
    .await;
    let gate = Sluicegate::with_limit(readers).queue(1).server("write_idle_timeout = \"10m\"");
    // This upstream never ends, and heeds no hint.
    let gate = gate.route("on_client_gone = \"reset\"").in_front_of(&upstream).await;
    let mut most = Most::new(&gate);
    let mut clients = Vec::new();
    for _ in 0..readers {
        let mut client = Client::connect(gate.address).await;
        client.get("/").await;
        client.head().await;
        clients.push(client);
    }
    // Until nothing moves any more.
    let mut before = None;
    until("the memory to stand still", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = gate.resident();
        std::mem::replace(&mut before, now) == now
    })
    .await;
    most.look(&gate);
    most.is_below(EACH * readers as u64);
    assert_eq!(upstream.inside(), readers);
    drop(clients);
    // Their permits are back.
    let mut last = gate.get("/").await;
    assert!(last.head().await.start.starts_with("HTTP/1.1 200 "));
}

/// The most memory that it ever used, beyond what it began with.
struct Most {
    start: u64,
    most: u64,
    looks: u32,
}

impl Most {
    fn new(gate: &Sluicegate) -> Self {
        let start = gate.resident().unwrap_or(0);
        Most { start, most: start, looks: 0 }
    }

    /// Every sixteenth time, since reading it takes longer than a piece.
    fn look(&mut self, gate: &Sluicegate) {
        if self.looks.is_multiple_of(16) {
            self.most = self.most.max(gate.resident().unwrap_or(0));
        }
        self.looks += 1;
    }

    fn is_below(&self, bound: u64) {
        let grown = self.most - self.start;
        assert!(grown < bound, "it has grown by {} KiB", grown >> 10);
    }
}

fn mebibytes() -> usize {
    times("SLUICEGATE_TEST_MIB", 64) << 20
}
