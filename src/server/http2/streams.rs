//! The streams of one connection, and the task of each.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::super::wire::Signals;
use crate::timer::Timer;

/// What a connection knows of its streams.
#[derive(Debug)]
pub(super) struct Streams {
    signals: Arc<Signals>,
    write_idle_timeout: Duration,
    max_open: u32,
    open: AtomicUsize,
    unanswered: AtomicUsize,
    /// How many more streams ended before their answer did than after it.
    premature: AtomicU32,
    /// Opened, and not spawned yet: hyper does one right after the other.
    latest: Mutex<Option<Arc<Stream>>>,
}

/// One request and its answer. Open until the last holder lets go.
#[derive(Debug)]
pub(super) struct Stream {
    streams: Arc<Streams>,
    begun: AtomicBool,
    ended: AtomicBool,
    /// It is not the client that keeps the answer.
    ours: AtomicBool,
    /// How often hyper has asked for more: it stands still when the client takes nothing.
    asked: AtomicU32,
}

impl Streams {
    pub(super) fn new(signals: Arc<Signals>, write_idle_timeout: Duration, max_open: u32) -> Self {
        Streams {
            signals,
            write_idle_timeout,
            max_open,
            open: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            premature: AtomicU32::new(0),
            latest: Mutex::default(),
        }
    }

    /// A request has come.
    pub(super) fn open(self: &Arc<Self>) -> Arc<Stream> {
        self.unanswered.fetch_add(1, Relaxed);
        if self.open.fetch_add(1, Relaxed) == 0 {
            self.signals.step();
        }
        let stream = Arc::new(Stream {
            streams: self.clone(),
            begun: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            ours: AtomicBool::new(true),
            asked: AtomicU32::new(0),
        });
        *self.latest() = Some(stream.clone());
        stream
    }

    pub(super) fn open_now(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Requests whose answer has not begun.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.load(Relaxed)
    }

    /// Whether the client has reset far more of what it asked for than it took: each such request went through the queue,
    /// and may have cost the upstream its work (CVE-2023-44487). Twice what can be open at once is more than anybody
    /// resets who only changed its mind.
    pub(super) fn are_reset_too_often(&self) -> bool {
        self.premature.load(Relaxed) > self.max_open.saturating_mul(2)
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, Option<Arc<Stream>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    pub(super) fn begin_response(&self) {
        if !self.begun.swap(true, Relaxed) {
            self.streams.unanswered.fetch_sub(1, Relaxed);
        }
    }

    /// The last frame of the answer has been taken.
    pub(super) fn end_response(&self) {
        self.ended.store(true, Relaxed);
    }

    /// hyper has asked for the next frame of the answer, and got it or has to wait for us.
    pub(super) fn asked(&self, got_it: bool) {
        self.ours.store(!got_it, Relaxed);
        self.asked.fetch_add(1, Relaxed);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.begin_response();
        let streams = &self.streams;
        let ended = self.ended.load(Relaxed);
        let count = |before: u32| if ended { before.saturating_sub(1) } else { before.saturating_add(1) };
        let _ = streams.premature.fetch_update(Relaxed, Relaxed, |before| Some(count(before)));
        if streams.open.fetch_sub(1, Relaxed) == 1 || streams.are_reset_too_often() {
            streams.signals.step();
            streams.signals.task.wake();
        }
    }
}

/// Spawns the tasks of streams.
#[derive(Debug, Clone)]
pub(super) struct Spawn(pub(super) Arc<Streams>);

impl<F> Executor<F> for Spawn
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        let stream = self.0.latest().take();
        tokio::spawn(Task { future, stream, stuck: Timer::default(), asked: 0 });
    }
}

pin_project! {
    /// A stream's task. It ends, and so resets the stream, when the client has taken nothing of the answer for too long;
    /// hyper waits for window without end.
    struct Task<F> {
        #[pin]
        future: F,
        stream: Option<Arc<Stream>>,
        stuck: Timer,
        asked: u32,
    }
}

impl<F: Future> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.future.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(stream) = this.stream else { return Poll::Pending };
        let asked = stream.asked.load(Relaxed);
        if stream.ours.load(Relaxed) {
            this.stuck.set(None);
        } else if !this.stuck.is_set() || asked != *this.asked {
            this.stuck.set(Instant::now().checked_add(stream.streams.write_idle_timeout));
        }
        *this.asked = asked;
        this.stuck.poll(cx)
    }
}
