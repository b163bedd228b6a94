//! What a connection becomes after a 101: bytes both ways, until both ends have closed.
//!
//! The permit is held until then. A client that leaves is an end like any other: the upstream is told, what it still
//! sends is read and dropped, and after `abort_grace` its connection is closed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::sleep;

use super::record::Record;
use crate::admission::Permit;

/// Two connections that are about to be one. It rides in the extensions of the 101.
#[derive(Debug)]
pub struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) upstream: OnUpgrade,
    /// Longest silence on both sides.
    pub(super) idle_timeout: Duration,
    /// How long the upstream may go on after its client has left.
    pub(super) grace: Duration,
    pub(super) permit: Option<Permit>,
    pub(super) record: Record,
}

/// How much is read at once, each way.
const CHUNK: usize = 8 << 10;

impl Tunnel {
    /// Carries bytes until both sides have closed, nothing has come for too long, or `cut` resolves.
    pub async fn run(self, cut: impl Future<Output = ()>) {
        let (client, upstream) = match (self.client.await, self.upstream.await) {
            (Ok(client), Ok(upstream)) => (TokioIo::new(client), TokioIo::new(upstream)),
            // One of the connections has ended in the meantime, and the other ends with it.
            _ => return,
        };
        let (from_client, to_client) = split(client);
        let (from_upstream, to_upstream) = split(upstream);
        let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let outward = async {
            carry(from_client, to_upstream, &sent).await;
            // Whoever is left has so long to end as well.
            sleep(self.grace).await;
        };
        let homeward = carry(from_upstream, to_client, &received);
        tokio::select! {
            () = outward => {}
            // An upstream that has closed has nothing more to do with what the client still says.
            () = homeward => {}
            () = silence(self.idle_timeout, &sent, &received) => {}
            () = cut => {}
        }
        self.record.completed(received.load(Relaxed));
        drop(self.permit);
    }
}

/// Copies until the source ends, then closes the sink for writing. A sink that fails takes no more, and the source is
/// read on: only its own end is one.
async fn carry(mut source: ReadHalf<TokioIo<Upgraded>>, mut sink: WriteHalf<TokioIo<Upgraded>>, count: &AtomicU64) {
    let mut chunk = vec![0; CHUNK];
    let mut open = true;
    while let Ok(n) = source.read(&mut chunk).await {
        if n == 0 {
            break;
        }
        count.fetch_add(n as u64, Relaxed);
        open = open && sink.write_all(&chunk[..n]).await.is_ok();
    }
    let _ = sink.shutdown().await;
}

/// Resolves when neither count has moved for `idle_timeout`.
async fn silence(idle_timeout: Duration, sent: &AtomicU64, received: &AtomicU64) {
    let both = || (sent.load(Relaxed), received.load(Relaxed));
    let mut before = both();
    loop {
        sleep(idle_timeout).await;
        if std::mem::replace(&mut before, both()) == both() {
            return;
        }
    }
}
