//! A peer that is silent, on a clock that does not wait.

use std::time::Duration;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, pause, sleep, timeout};

use super::*;
use crate::upstream::await_head::{HeadFuture, Unanswered};
use crate::upstream::{Endpoint, Failure, Protocol, Settings};

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_given_up() {
    let (pool, mut peer) = silent().await;
    let (_stream, head) = open(&pool).await;
    pause();
    let start = Instant::now();
    assert!(matches!(head.await, Err(Unanswered::Lost(Failure::Reset(_)))));
    assert!((20..22).contains(&start.elapsed().as_secs()), "after {:?}", start.elapsed());
    assert_eq!(peer.pings(), 1);
    assert!(!pool.lease(0, true).await.unwrap().reused(), "the next one has a new connection");
}

#[tokio::test]
async fn a_peer_without_streams_is_left_in_peace() {
    let (pool, mut peer) = silent().await;
    drop(pool.lease(0, true).await.unwrap());
    pause();
    sleep(Duration::from_secs(50)).await;
    assert_eq!(peer.pings(), 0);
    assert!(pool.lease(0, true).await.unwrap().reused());
}

#[tokio::test]
async fn a_peer_that_answers_pings_may_take_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pool(&listener);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut kept = Vec::new();
        while let Some(Ok(call)) = connection.accept().await {
            kept.push(call);
        }
    });
    let (_stream, head) = open(&pool).await;
    pause();
    assert!(timeout(Duration::from_secs(300), head).await.is_err(), "it was given up");
}

async fn open(pool: &Pool) -> (Stream, HeadFuture<()>) {
    let lease = pool.lease(0, true).await.unwrap();
    let (parts, ()) = Request::get("http://a/").body(()).unwrap().into_parts();
    let begun = begin(lease, parts, true).unwrap();
    (begun.stream, begun.response.head())
}

fn pool(listener: &TcpListener) -> Pool {
    let address = listener.local_addr().unwrap();
    let endpoint = Endpoint { host: address.ip().to_string(), port: address.port() };
    Pool::new(&Settings { protocol: Protocol::H2c, ..Settings::new("a", endpoint) }, 1)
}

/// What a peer has read that says nothing but its settings.
struct Peer(mpsc::UnboundedReceiver<Vec<u8>>);

impl Peer {
    /// How many PING frames there are in it.
    fn pings(&mut self) -> usize {
        let mut read = Vec::new();
        while let Ok(bytes) = self.0.try_recv() {
            read.extend(bytes);
        }
        read.windows(9).filter(|head| *head == b"\x00\x00\x08\x06\x00\x00\x00\x00\x00").count()
    }
}

async fn silent() -> (Pool, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pool(&listener);
    let (told, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                stream.write_all(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00").await.unwrap();
                let mut read = [0; 1024];
                while let Ok(n @ 1..) = stream.read(&mut read).await {
                    let _ = told.send(read[..n].to_vec());
                }
            });
        }
    });
    (pool, Peer(heard))
}
