//! Who is connected to the admin listener: at the cap the quietest connection makes way for the next, and one whose peer
//! takes nothing is given up. Nobody can keep a probe out by connecting and saying nothing, or by asking and not reading.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep};

/// All who are connected.
#[derive(Debug)]
pub(super) struct Peers {
    start: Instant,
    connected: Mutex<HashMap<u64, Peer>>,
}

#[derive(Debug)]
struct Peer {
    activity: Activity,
    task: AbortHandle,
}

/// When something last went to a peer or came from it, in milliseconds.
#[derive(Debug, Clone)]
struct Activity {
    start: Instant,
    at: Arc<AtomicU64>,
}

/// How long a peer may take nothing of what it is sent.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

impl Peers {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Peers { start: Instant::now(), connected: Mutex::default() })
    }

    /// Serves a connection on a task of its own, which ends early if it has to make way.
    pub(super) fn serve<S, F>(self: &Arc<Self>, number: u64, stream: S, serve: impl FnOnce(Watched<S>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let activity = Activity { start: self.start, at: Arc::default() };
        activity.now();
        let served = serve(Watched { stream, activity: activity.clone(), stuck: None });
        let entry = Entry { peers: self.clone(), number };
        // Under the lock: it is on the list before it can be over.
        let mut connected = self.lock();
        let task = tokio::spawn(async move {
            served.await;
            drop(entry);
        });
        connected.insert(number, Peer { activity, task: task.abort_handle() });
    }

    /// Ends the connection that has been quiet for the longest time.
    pub(super) fn make_room(&self) {
        let connected = self.lock();
        if let Some(quietest) = connected.values().min_by_key(|peer| peer.activity.at.load(Relaxed)) {
            quietest.task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Peer>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on the list.
struct Entry {
    peers: Arc<Peers>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.peers.lock().remove(&self.number);
    }
}

impl Activity {
    fn now(&self) {
        let millis = self.start.elapsed().as_millis();
        self.at.store(u64::try_from(millis).unwrap_or(u64::MAX), Relaxed);
    }
}

/// A stream that notes what goes on, and fails once its peer has taken nothing for too long.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Activity,
    /// Since something waits to be taken.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    /// What a write has come to.
    fn written<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            self.activity.now();
            return written;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.now();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.written(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is kept here or in a socket, so this says nothing about the peer.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::sync::oneshot;

    use super::*;

    fn watched(stream: tokio::io::DuplexStream) -> Watched<tokio::io::DuplexStream> {
        Watched { stream, activity: Activity { start: Instant::now(), at: Arc::default() }, stuck: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_one_that_takes_a_little_is_not() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = watched(ours);
        let reading = tokio::spawn(async move {
            let mut byte = [0];
            for _ in 0..4 {
                tokio::time::sleep(WRITE_TIMEOUT - Duration::from_secs(1)).await;
                theirs.read_exact(&mut byte).await.unwrap();
            }
            theirs
        });
        // Four that fit and four that are taken one by one, each just in time.
        ours.write_all(b"12345678").await.unwrap();
        let start = Instant::now();
        let error = ours.write_all(b"9").await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, WRITE_TIMEOUT.as_secs()));
        drop(reading.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn the_quietest_makes_way_and_whoever_has_ended_is_off_the_list() {
        let peers = Peers::new();
        let serve = |number| {
            let (ours, theirs) = duplex(64);
            let (alive, ended) = oneshot::channel::<()>();
            peers.serve(number, ours, |mut stream| async move {
                let _alive = alive;
                let mut sink = Vec::new();
                let _ = stream.read_to_end(&mut sink).await;
            });
            (theirs, ended)
        };
        let (mut busy, busy_ended) = serve(1);
        let (quiet, quiet_ended) = serve(2);
        tokio::time::advance(Duration::from_secs(1)).await;
        busy.write_all(b"x").await.unwrap();
        tokio::task::yield_now().await;
        peers.make_room();
        quiet_ended.await.unwrap_err();
        assert_eq!(peers.lock().keys().collect::<Vec<_>>(), [&1]);
        drop(busy);
        busy_ended.await.unwrap_err();
        tokio::task::yield_now().await;
        assert!(peers.lock().is_empty());
        drop(quiet);
    }
}
