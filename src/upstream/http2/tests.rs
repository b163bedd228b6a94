//! A peer that is silent, on a clock that does not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request};
use http_body_util::{Empty, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, pause, resume, sleep, timeout};

use super::*;
use crate::upstream::room::Room;
use crate::upstream::site::Site;
use crate::upstream::{Ending, Endpoint, Failure, How, OnClientGone, Protocol, Settings, Upstream};

#[tokio::test]
async fn a_peer_that_is_silent_is_waited_for_and_gets_no_ping() {
    let (settings, mut peer) = silent().await;
    let pool = Pool::new(&settings, &Site::new(&settings.endpoints[0]), 1);
    let (_stream, head) = open(&pool).await;
    pause();
    assert!(timeout(Duration::from_secs(600), head).await.is_err(), "it was given up");
    assert_eq!(peer.pings(), 0);
    assert!(lease(&pool).await.unwrap().reused());
}

fn head(method: Method) -> Box<Parts> {
    let request = Request::builder().method(method).uri("http://a/");
    Box::new(request.body(()).unwrap().into_parts().0)
}

#[tokio::test]
async fn a_request_to_a_silent_upstream_is_sent_once_and_ends_with_its_timeout() {
    let (settings, mut peer) = silent().await;
    let settings = Settings { response_timeout: Duration::from_secs(45), ..settings };
    let upstream = Upstream::new(settings, 1);
    // The first one makes the connection one that is reused.
    for _ in 0..2 {
        let failed = upstream.send(HOW, head(Method::GET), None::<Empty<Bytes>>, (), |_| ());
        pause();
        let start = Instant::now();
        let failed = failed.await;
        assert!(matches!(failed, Err(Failure::Timeout)), "{failed:?}");
        assert!((45..47).contains(&start.elapsed().as_secs()), "after {:?}", start.elapsed());
        resume();
    }
    assert_eq!(peer.requests(), 2, "one for each");
}

#[tokio::test]
async fn a_connection_without_streams_whose_peer_reads_nothing_is_reset() {
    for retired in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = settings(&listener);
        let upstream = Upstream::new(settings, 1);
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A window of 1 GiB for each stream, and for the connection.
            stream.write_all(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x40\x00\x00\x00").await.unwrap();
            stream.write_all(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x40\x00\x00\x00").await.unwrap();
            stream
        });
        let body = Full::new(Bytes::from(vec![0; 50_000_000]));
        let sending = upstream.send(HOW, head(Method::POST), Some(body), (), |_| ());
        // More than the sockets hold, and then nobody wants it any more.
        assert!(timeout(Duration::from_millis(300), sending).await.is_err());
        let peer = peer.await.unwrap();
        if retired {
            drop(upstream);
        }
        pause();
        let left = Instant::now();
        let reset = async {
            while peer.take_error().unwrap().is_none() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        assert!(timeout(Duration::from_secs(60), reset).await.is_ok(), "retired: {retired}: it is still there");
        assert!(left.elapsed() >= Duration::from_secs(4), "retired: {retired}: after {:?}", left.elapsed());
        resume();
    }
}

#[tokio::test]
async fn an_upstream_that_greets_and_goes_is_dialled_a_few_times_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = settings(&listener);
    let pool = Pool::new(&settings, &Site::new(&settings.endpoints[0]), 1);
    let connections = Arc::<AtomicUsize>::default();
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            // Settings, and a GOAWAY with them.
            let _ = stream.write_all(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00").await;
            let _ = stream.write_all(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00").await;
        }
    });
    for n in 1..=3 {
        let lease = timeout(Duration::from_secs(10), lease(&pool)).await.expect("it ends");
        if let Err(failure) = lease {
            assert!(matches!(failure.failure, Failure::Connect(_)), "{failure:?}");
        }
        assert!(connections.load(Ordering::Relaxed) <= pool::ROUNDS * n);
    }
}

const ENDING: Ending = Ending { on_client_gone: OnClientGone::Abort, abort_grace: Duration::from_secs(30) };
const HOW: How = How { worker: 0, ending: ENDING, slot: false, detached: false };

async fn lease(pool: &Pool) -> Result<Lease, NoLease> {
    pool.lease(0, &Room::new(), &mut |_| (), || ()).await
}

async fn open(pool: &Pool) -> (stream::Stream, exchange::HeadFuture<()>) {
    let lease = lease(pool).await.unwrap();
    let (parts, ()) = Request::get("http://a/").body(()).unwrap().into_parts();
    let begun = begin(lease, parts, true).unwrap();
    (begun.stream, begun.response.head(None))
}

fn settings(listener: &TcpListener) -> Settings {
    let address = listener.local_addr().unwrap();
    let endpoint = Endpoint { host: address.ip().to_string(), port: address.port() };
    Settings { protocol: Protocol::H2c, ..Settings::new("a", endpoint) }
}

/// What a peer has read that says nothing but its settings.
struct Peer(mpsc::UnboundedReceiver<Vec<u8>>);

impl Peer {
    /// How many PING frames there are in it.
    fn pings(&mut self) -> usize {
        self.read().windows(9).filter(|head| *head == b"\x00\x00\x08\x06\x00\x00\x00\x00\x00").count()
    }

    /// How many HEADERS frames there are in it that end their streams.
    fn requests(&mut self) -> usize {
        self.read().windows(5).filter(|head| *head == b"\x01\x05\x00\x00\x00").count()
    }

    fn read(&mut self) -> Vec<u8> {
        let mut read = Vec::new();
        while let Ok(bytes) = self.0.try_recv() {
            read.extend(bytes);
        }
        read
    }
}

async fn silent() -> (Settings, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = settings(&listener);
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
    (settings, Peer(heard))
}
