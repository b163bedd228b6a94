//! How slow a reader may be.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::head_of;
use crate::support::quiet::alone;
use crate::support::{Call, Sluicegate, Upstream, soon};

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_cut() {
    let _alone = alone();
    let (_gate, _upstream, mut socket) = endless().await;
    let start = Instant::now();
    let mut taken = 0;
    let mut scratch = [0; 1000];
    // About 20 KB/s, for longer than twice write_idle_timeout.
    while start.elapsed() < Duration::from_secs(5) {
        let read = soon("more of the answer", socket.read(&mut scratch)).await;
        let read = read.unwrap_or_else(|e| panic!("cut after {:?} and {taken} bytes: {e}", start.elapsed()));
        assert!(read > 0, "closed after {:?} and {taken} bytes", start.elapsed());
        taken += read;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What was on its way is no sign of life: all of it can be read, and then more comes.
    for more in 0..(16 << 20) / 4096 {
        let read = soon("more of the answer", socket.read(&mut [0; 4096])).await;
        let read = read.unwrap_or_else(|e| panic!("cut unseen, {more} reads later: {e}"));
        assert!(read > 0, "closed unseen, {more} reads later");
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_after_write_idle_timeout() {
    let _alone = alone();
    let (gate, mut upstream, socket) = endless().await;
    let start = Instant::now();
    let mut next = gate.get("/next").await;
    let call = soon("the permit of a client that reads nothing", upstream.next()).await;
    let took = start.elapsed();
    assert!(took > Duration::from_millis(1800) && took < Duration::from_millis(4500), "cut after {took:?}");
    call.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    drop(socket);
}

/// A client of an answer without end, of which it has read the first bytes. Nobody is in line.
async fn endless() -> (Sluicegate, Upstream, TcpStream) {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(1).server("write_idle_timeout = \"2s\"");
    let gate = setup.in_front_of(&upstream).await;
    let socket = TcpSocket::new_v4().unwrap();
    // A client says nothing of what it reads until a good part of its buffer is free: a large one hides it for seconds.
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let mut socket = socket.connect(gate.address).await.unwrap();
    socket.write_all(head_of("GET", "/endless", &[]).as_bytes()).await.unwrap();
    let call = soon("the request", upstream.next()).await;
    tokio::spawn(stream_until_told(call));
    soon("the beginning of the answer", socket.read_exact(&mut [0; 100])).await.unwrap();
    (gate, upstream, socket)
}

/// Sends as long as somebody takes it, and heeds the hint that nobody wants it.
async fn stream_until_told(mut call: Call) {
    call.start_streaming(&[]).await;
    while call.until_hung_up_unread().now_or_never().is_none() && call.chunk([b'x'; 10_000]).await.is_ok() {}
    call.close();
}
