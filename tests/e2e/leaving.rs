//! Nobody works for the dead: a waiter leaves the queue when its client leaves.
//!
//! The queue has one place, so a waiter that has left is seen by the next one finding room instead of `queue_full`.

use std::time::{Duration, Instant};

use crate::support::client::head_of;
use crate::support::{Call, Client, Sluicegate, Upstream, soon};

#[tokio::test]
async fn a_waiter_without_a_body_leaves_with_its_client() {
    for leave in WAYS_TO_LEAVE {
        let full = Full::start().await;
        let waiter = full.gate.waiting("/waiter").await;
        full.has_room_after(leave, waiter).await;
    }
}

#[tokio::test]
async fn a_waiter_whose_whole_body_is_unread_leaves_with_its_client() {
    for leave in WAYS_TO_LEAVE {
        for size in [10, 10_000, 1_000_000] {
            let full = Full::start().await;
            let waiter = full.waiting_with(&head_with_length(size), &vec![b'x'; size]).await;
            full.has_room_after(leave, waiter).await;
        }
    }
}

#[tokio::test]
async fn a_waiter_whose_body_is_partly_sent_leaves_with_its_client() {
    for leave in WAYS_TO_LEAVE {
        for sent in [0, 1, 50_000] {
            let full = Full::start().await;
            let waiter = full.waiting_with(&head_with_length(100_000), &vec![b'x'; sent]).await;
            full.has_room_after(leave, waiter).await;
        }
    }
}

#[tokio::test]
async fn a_waiter_in_the_middle_of_a_chunk_leaves_with_its_client() {
    for leave in WAYS_TO_LEAVE {
        let full = Full::start().await;
        let head = head_of("POST", "/waiter", &["Transfer-Encoding: chunked"]);
        let waiter = full.waiting_with(&head, b"5\r\nwhole\r\n1000\r\npart of it").await;
        full.has_room_after(leave, waiter).await;
    }
}

#[tokio::test]
async fn a_waiter_that_was_never_told_to_continue_leaves_with_its_client() {
    for leave in WAYS_TO_LEAVE {
        let full = Full::start().await;
        let head = head_of("POST", "/waiter", &["Content-Length: 100000", "Expect: 100-continue"]);
        let waiter = full.waiting_with(&head, b"").await;
        full.has_room_after(leave, waiter).await;
    }
}

#[tokio::test]
async fn a_waiter_that_expected_to_be_told_but_sent_its_body_anyway_leaves_with_its_client() {
    for leave in WAYS_TO_LEAVE {
        let full = Full::start().await;
        let head = head_of("POST", "/waiter", &["Content-Length: 100000", "Expect: 100-continue"]);
        let waiter = full.waiting_with(&head, &[b'x'; 60_000]).await;
        full.has_room_after(leave, waiter).await;
    }
}

#[tokio::test]
async fn a_waiter_with_pipelined_bytes_behind_it_leaves_with_its_client() {
    let second = head_of("GET", "/second", &[]);
    for leave in WAYS_TO_LEAVE {
        for behind in [second.as_str(), "G", &second.repeat(200)] {
            let full = Full::start().await;
            let waiter = full.waiting_with(&head_of("GET", "/waiter", &[]), behind.as_bytes()).await;
            full.has_room_after(leave, waiter).await;
        }
    }
}

#[tokio::test]
async fn a_waiter_with_a_body_and_pipelined_bytes_behind_it_leaves_with_its_client() {
    for leave in WAYS_TO_LEAVE {
        let full = Full::start().await;
        let behind = format!("body{}", head_of("GET", "/second", &[]));
        let waiter = full.waiting_with(&head_with_length(4), behind.as_bytes()).await;
        full.has_room_after(leave, waiter).await;
    }
}

#[tokio::test]
async fn a_waiter_on_a_kept_connection_leaves_with_its_client() {
    for leave in WAYS_TO_LEAVE {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
        let mut waiter = gate.get("/earlier").await;
        soon("the earlier request", upstream.next()).await.respond(200, "").await;
        waiter.answer().await;
        let holder = gate.get("/holder").await;
        let call = soon("the holder's request", upstream.next()).await;
        waiter.get("/waiter").await;
        waiter.settled().await;
        assert!(waiter.hears_nothing().await);
        Full { gate, upstream, holder, call }.has_room_after(leave, waiter).await;
    }
}

/// A gate with one permit, which is taken, and one place in the queue.
struct Full {
    gate: Sluicegate,
    upstream: Upstream,
    holder: Client,
    call: Call,
}

impl Full {
    async fn start() -> Self {
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
        let holder = gate.get("/holder").await;
        let call = soon("the holder's request", upstream.next()).await;
        Full { gate, upstream, holder, call }
    }

    /// A client whose request waits: its head first, then what it sends unasked.
    async fn waiting_with(&self, head: &str, then: &[u8]) -> Client {
        let mut client = self.gate.client().await;
        client.send(head).await;
        client.settled().await;
        // More than the socket's buffers hold may be refused for now; all of it fits where it must be read ahead.
        let _ = tokio::time::timeout(Duration::from_secs(2), client.try_send(then)).await;
        client.settled().await;
        assert!(client.hears_nothing().await, "it was to wait, but: {:?}", client.try_answer().await);
        let mut next = self.gate.get("/probe").await;
        next.answer().await.expect(503, "queue_full");
        client
    }

    /// The waiter leaves; another one takes its place, and it never reaches the upstream.
    async fn has_room_after(mut self, leave: Leave, waiter: Client) {
        let left = Instant::now();
        let gone = leave(waiter).await;
        let mut next = self.gate.waiting_soon("/next").await;
        assert!(left.elapsed() < Duration::from_secs(2), "the place was free only after {:?}", left.elapsed());
        self.call.respond(200, "holder's").await;
        let call = soon("the next waiter's request", self.upstream.next()).await;
        assert_eq!(call.path(), "/next", "somebody worked for the dead");
        call.respond(200, "next's").await;
        assert_eq!(self.holder.answer().await.body.text(), "holder's");
        assert_eq!(next.answer().await.body.text(), "next's");
        drop(gone);
    }
}

fn head_with_length(length: usize) -> String {
    head_of("POST", "/waiter", &[&format!("Content-Length: {length}")])
}

type Leave = fn(Client) -> std::pin::Pin<Box<dyn Future<Output = Option<Client>>>>;

/// FIN, RST, and a half-close: a half-closed client counts as gone.
const WAYS_TO_LEAVE: [Leave; 3] = [
    |client| {
        client.leave();
        Box::pin(std::future::ready(None))
    },
    |client| {
        client.abort();
        Box::pin(std::future::ready(None))
    },
    |mut client| {
        Box::pin(async {
            client.half_close().await;
            Some(client)
        })
    },
];
