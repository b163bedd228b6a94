//! What a connection becomes after a 101: bytes both ways, until both ends have closed.
//!
//! The permit is held until then. A client that leaves is an end like any other: the upstream is told, what it still
//! sends is read and dropped, and after `abort_grace` its connection is closed. So is `max_duration`, and an operator's
//! word, only that we end the client's side.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::body::Held;
use super::record::Record;
use crate::admission::Permit;
use crate::upstream::{Failure, Seat, UpgradedIo};

/// The upstream's end of a connection that is about to become something else. It comes with the 101.
#[derive(Debug)]
pub struct Tunnel {
    pub(super) upstream: UpgradedIo,
    /// Longest silence on both sides.
    pub(super) idle_timeout: Duration,
    /// When it ends, whoever has something to say.
    pub(super) deadline: Option<Instant>,
    /// How long the upstream may go on after its client has left.
    pub(super) grace: Duration,
    // Free before the permits are.
    pub(super) seat: Seat,
    /// The request's permits, where it has no place of its own.
    pub(super) held: Option<Held>,
    pub(super) place: Option<Permit>,
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
        let (mut from_client, mut to_client) = split(client);
        let (mut from_upstream, mut to_upstream) = split(self.upstream);
        let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let outward = async {
            carry(&mut from_client, &mut to_upstream, &sent).await;
            // Whoever is left has so long to end as well.
            sleep(self.grace).await;
        };
        let left = async {
            hung_up.await;
            sleep(self.grace).await;
        };
        let cancelled = poll_fn(|cx| self.record.poll_cancelled(cx));
        let mut was_cut = false;
        let ended = tokio::select! {
            () = outward => None,
            // An upstream that takes nothing keeps us from reading what the client's leaving stands behind.
            () = left => None,
            // An upstream that has closed has nothing more to do with what the client still says.
            () = carry(&mut from_upstream, &mut to_client, &received) => None,
            () = silence(self.idle_timeout, &sent, &received) => None,
            () = cut => {
                was_cut = true;
                None
            }
            () = until(self.deadline) => Some(Failure::Outlived),
            () = cancelled => Some(Failure::Cancelled),
        };
        if let Some(failure) = ended {
            self.record.broken(received.load(Relaxed), &failure);
            // Over TLS, a client that reads nothing stands before the end as well.
            let _ = timeout(self.grace, to_client.shutdown()).await;
            let _ = timeout(self.grace, end(from_upstream, to_upstream)).await;
        } else if was_cut {
            self.record.left(received.load(Relaxed));
        } else {
            self.record.completed(received.load(Relaxed));
        }
        drop(self.seat);
        drop((self.held, self.place));
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
        // A sink that encrypts may have taken what it could not send yet.
        open = open && sink.write_all(&chunk[..n]).await.is_ok() && sink.flush().await.is_ok();
    }
    let _ = sink.shutdown().await;
}

/// Tells a peer that nobody waits for it any more, and reads and drops what it still says until it has ended, too.
async fn end(mut source: impl AsyncRead + Unpin, mut sink: impl AsyncWrite + Unpin) {
    let _ = sink.shutdown().await;
    let mut chunk = vec![0; CHUNK];
    while source.read(&mut chunk).await.is_ok_and(|n| n > 0) {}
}

/// Resolves at the deadline, if there is one.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
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
