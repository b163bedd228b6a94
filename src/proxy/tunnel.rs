//! What a connection becomes after a 101: bytes both ways, until both ends have closed.
//!
//! The permit is held until then. A client that leaves is an end like any other: the upstream is told, what it still
//! sends is read and dropped, and after `abort_grace` its connection is closed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{sleep, timeout};

use super::record::Record;
use crate::admission::Permit;

/// The upstream's end of a connection that is about to become something else. It comes with the 101.
#[derive(Debug)]
pub struct Tunnel {
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
    /// Carries bytes between `client` and the upstream until both have closed, nothing has come for too long, or `cut`
    /// resolves. `hung_up` resolves when the client has left, also where nobody reads from it.
    pub async fn run(
        self,
        client: impl AsyncRead + AsyncWrite,
        hung_up: impl Future<Output = ()>,
        cut: impl Future<Output = ()>,
    ) {
        // hyper hands it over as soon as it has seen the 101, or ends.
        let Ok(Ok(upstream)) = timeout(self.grace, self.upstream).await else { return };
        let (from_client, to_client) = split(client);
        let (from_upstream, to_upstream) = split(TokioIo::new(upstream));
        let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let outward = async {
            carry(from_client, to_upstream, &sent).await;
            // Whoever is left has so long to end as well.
            sleep(self.grace).await;
        };
        let left = async {
            hung_up.await;
            sleep(self.grace).await;
        };
        tokio::select! {
            () = outward => {}
            // An upstream that takes nothing keeps us from reading what the client's leaving stands behind.
            () = left => {}
            // An upstream that has closed has nothing more to do with what the client still says.
            () = carry(from_upstream, to_client, &received) => {}
            () = silence(self.idle_timeout, &sent, &received) => {}
            () = cut => {}
        }
        self.record.completed(received.load(Relaxed));
        drop(self.permit);
    }
}

/// Copies until the source ends, then closes the sink for writing. A sink that fails takes no more, and the source is
/// read on: only its own end is one.
async fn carry(mut source: impl AsyncRead + Unpin, mut sink: impl AsyncWrite + Unpin, count: &AtomicU64) {
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
