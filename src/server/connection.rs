//! One client's connection, from accept to close.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::ReadBuf;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::Answering;
use super::drain::Stage;
use super::register::Registered;
use super::wire::{Phase, Signals, Wire};
use super::worker::Worker;
use crate::clock;
use crate::proxy::Client;
use crate::socket::Socket;
use crate::timer::Timer;

/// A connection and all that its task needs.
pub(super) struct Connection {
    pub(super) worker: Arc<Worker>,
    pub(super) socket: Socket,
    pub(super) client: Arc<Client>,
    pub(super) signals: Arc<Signals>,
    _registered: Registered,
    pub(super) timer: Timer,
    /// The progress and the stage that the timer was last set for.
    pub(super) timed: Option<(u32, Stage)>,
    /// The progress at which it had idled long enough to be [settled](Self::is_settled).
    settled: Option<u32>,
    /// Present while nobody else would see the client leave.
    watch: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Why hyper is no longer polled.
enum End {
    /// It has said all that it had to say.
    Finished,
    /// The connection is of no use any more.
    Dead,
    /// The client speaks HTTP/2, and hyper has seen nothing of it yet.
    Http2,
    /// Nothing has come for a while.
    Rest,
}

/// What has become of a connection that hyper has served.
enum Left {
    /// It is between messages.
    Idle(Wire),
    Http2(Wire),
    Ended,
}

/// How long, and up to how many bytes, we read what is left of a request that has been answered.
pub(super) const LINGER: Duration = Duration::from_secs(5);
const DISCARD: u64 = 64 << 10;
/// Who has just connected is about to ask, and would take a close for a failure: only after this it is idle.
const NEWCOMER: Duration = Duration::from_secs(1);
/// Who is busy asks again sooner than this, and is spared being taken apart in between.
const AWAKE: Duration = Duration::from_secs(1);
/// During a drain, an idle connection closes after this.
pub(super) const DRAIN_IDLE: Duration = Duration::from_secs(1);

impl Connection {
    pub(super) fn new(
        worker: Arc<Worker>,
        socket: Socket,
        client: Arc<Client>,
        signals: Arc<Signals>,
        registered: Registered,
    ) -> Self {
        Connection {
            worker,
            socket,
            client,
            signals,
            _registered: registered,
            timer: Timer::default(),
            timed: None,
            settled: None,
            watch: None,
        }
    }

    /// Serves the connection to its end. Dropping this drops what is under way on it.
    ///
    /// What serving takes is in a box that goes when nothing is under way: this future is all that an idle connection has.
    pub(super) async fn run(mut self) {
        let mut read = Vec::new();
        if self.is_greeted() {
            match Box::pin(self.greet()).await {
                Some(rest) => read = rest,
                None => return,
            }
        }
        let mut wire = Wire::new(self.socket.clone(), self.signals.clone(), self.worker.settings.max_header_bytes);
        wire.hold(&read);
        drop(read);
        loop {
            if self.may_rest() && wire.let_go() && !self.rest().await {
                return;
            }
            wire = match Box::pin(self.serve(wire)).await {
                Left::Idle(wire) => wire,
                Left::Http2(wire) => return Box::pin(self.run_http2(wire)).await,
                Left::Ended => return,
            };
        }
    }

    /// Has hyper serve what comes, for as long as it comes.
    async fn serve(&mut self, wire: Wire) -> Left {
        let service = {
            let (worker, client) = (self.worker.clone(), self.client.clone());
            let signals = self.signals.clone();
            service_fn(move |request| Answering::begin(&worker, &client, &signals, request))
        };
        // hyper's buffer takes a whole head; its own bounds come after the wire's.
        let max_buf_size = (self.worker.settings.max_header_bytes * 2).max(64 << 10);
        let mut http = http1::Builder::new()
            .max_buf_size(max_buf_size)
            // While a request is answered we look for the client's end ourselves, which takes no second buffer. Behind TLS
            // we could not: its end is a record.
            .half_close(!self.client.is_secured())
            .serve_connection(TokioIo::new(wire), service);
        let end = {
            let mut http = pin!(&mut http);
            poll_fn(|cx| clock::turn(|| self.poll(cx, |cx| http.as_mut().poll(cx).map(|result| result.is_ok())))).await
        };
        if let End::Dead = end {
            if self.signals.is_cut_unseen() {
                // An answer to HTTP/1.0 ends with its connection: an orderly close would make it look complete.
                self.socket.reset_on_close();
            }
            return Left::Ended;
        }
        let parts = http.into_parts();
        let mut wire = parts.io.into_inner();
        match end {
            // hyper gets no more than a message, and has had all of it.
            End::Rest => return if parts.read_buf.is_empty() { Left::Idle(wire) } else { Left::Ended },
            End::Http2 => {
                wire.carry_bytes(&parts.read_buf);
                return Left::Http2(wire);
            }
            End::Finished | End::Dead => {}
        }
        // Whatever it does from here on, it does not wait for a request.
        self.signals.set_busy();
        if let Some(tunnel) = self.signals.take_tunnel() {
            wire.carry_bytes(&parts.read_buf);
            let mut stage = self.worker.control.changes();
            let cut = async move { drop(stage.wait_for(|stage| *stage >= Stage::Cut).await) };
            // Boxed, as is what follows: it would be room that every connection has.
            Box::pin(tunnel.run(wire, self.socket.clone().hung_up(), cut)).await;
            Box::pin(linger(&self.socket, LINGER)).await;
            return Left::Ended;
        }
        let resume = !self.signals.is_closing() && self.stage() == Stage::Serving && wire.can_resume(DISCARD);
        if resume && Box::pin(discard(&mut wire)).await {
            return Left::Idle(wire);
        }
        if wire.has_unread() {
            Box::pin(linger(&self.socket, LINGER)).await;
        } else {
            Box::pin(close(&self.socket, LINGER)).await;
        }
        Left::Ended
    }

    /// Polls hyper, and does what it leaves undone: watches for a hang-up where it is blind, and keeps the times.
    fn poll(&mut self, cx: &mut Context<'_>, mut http: impl FnMut(&mut Context<'_>) -> Poll<bool>) -> Poll<End> {
        let mut seen = None;
        let mut told = false;
        loop {
            match http(cx) {
                // With an upgrade that nobody took, hyper says so before all has been written.
                Poll::Ready(true) if self.signals.is_write_blocked() && !std::mem::replace(&mut told, true) => continue,
                Poll::Ready(true) => return Poll::Ready(End::Finished),
                Poll::Ready(false) => return Poll::Ready(End::Dead),
                Poll::Pending => {}
            }
            if self.signals.is_http2() {
                return Poll::Ready(End::Http2);
            }
            if self.signals.is_hung_up() {
                return Poll::Ready(End::Dead);
            }
            // hyper does not know that the wire holds the next request. Once it has been asked and has not moved, it is
            // about to close.
            if self.signals.is_next_ready() && seen.replace(self.signals.progress()) != Some(self.signals.progress()) {
                continue;
            }
            // Before the stage is looked at, so that no change of it is missed.
            self.signals.task.register(cx.waker());
            let stage = self.stage();
            if stage >= Stage::Cut {
                if self.signals.in_exchange() && !self.signals.has_begun() {
                    self.worker.control.lost.fetch_add(1, Relaxed);
                }
                return Poll::Ready(End::Dead);
            }
            if self.poll_hang_up(cx).is_ready() {
                return Poll::Ready(End::Dead);
            }
            if stage == Stage::Serving && self.may_rest() && self.is_settled() && self.signals.is_at_rest() {
                return Poll::Ready(End::Rest);
            }
            ready!(self.poll_overdue(cx, stage));
            match self.signals.phase() {
                _ if self.signals.is_write_blocked() => return Poll::Ready(End::Dead),
                Phase::Idle | Phase::Answer => return Poll::Ready(End::Dead),
                Phase::Body if !self.signals.in_exchange() => return Poll::Ready(End::Dead),
                // The wire says so to hyper, and the client gets an answer.
                Phase::Head | Phase::Body => self.signals.set_overdue(),
            }
        }
    }

    /// hyper sees a hang-up when it reads. While it does not, because a request is answered, or a body waits to be read, we
    /// look ourselves.
    fn poll_hang_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.signals.is_reading() || !self.signals.in_exchange() {
            self.watch = None;
            return Poll::Pending;
        }
        // As long as nothing comes, a hang-up would be the first thing to come; that is cheaper to watch for.
        if self.watch.is_none() && !self.client.is_secured() && self.socket.poll_readable(cx).is_pending() {
            return Poll::Pending;
        }
        self.poll_watch(cx)
    }

    /// Ready when the client has hung up.
    pub(super) fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let socket = &self.socket;
        let watch = self.watch.get_or_insert_with(|| Box::pin(socket.clone().hung_up()));
        watch.as_mut().poll(cx)
    }

    /// Ready when what we wait for is overdue. The time starts anew with every step of progress.
    pub(super) fn poll_overdue(&mut self, cx: &mut Context<'_>, stage: Stage) -> Poll<()> {
        let now = (self.signals.progress(), stage);
        let silent = self.signals.phase() == Phase::Idle && !self.signals.is_write_blocked();
        if self.timed != Some(now) {
            self.timed = Some(now);
            let settings = &self.worker.settings;
            let patience = match self.signals.phase() {
                _ if self.signals.is_write_blocked() => Some(settings.write_idle_timeout),
                Phase::Idle if stage >= Stage::Draining => Some(settings.idle_timeout.min(DRAIN_IDLE)),
                Phase::Idle if self.is_settled() => Some(settings.idle_timeout - self.settling()),
                Phase::Idle => Some(self.settling()),
                Phase::Head => Some(settings.header_timeout),
                Phase::Body => Some(settings.body_idle_timeout),
                Phase::Answer => None,
            };
            if silent && self.is_settled() && self.signals.idle_since() > 0 {
                // It is idle since before it settled.
                self.timer.set(patience.and_then(|patience| clock::now().checked_add(patience)));
            } else {
                let newcomer = self.signals.progress() == 0 && !self.is_settled();
                self.wait_for(patience, silent && !newcomer);
            }
        }
        if self.signals.is_asked_to_go() {
            if self.signals.idle_since() > 0 && !self.socket.has_unread() {
                return Poll::Ready(());
            }
            self.signals.set_busy();
            self.worker.control.crowd.note_busy(&self.signals);
        }
        ready!(self.timer.poll(cx));
        if silent && !self.is_settled() && stage == Stage::Serving {
            self.settled = Some(self.signals.progress());
            self.timed = None;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let unasked = self.signals.in_exchange() && !self.signals.is_reading();
        if self.signals.phase() == Phase::Body && unasked && !self.signals.is_write_blocked() {
            // Nobody asks for the body: it is not the client that is late.
            self.timed = None;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Whether it has idled for as long as whoever has just come has to ask, or until it may [rest](Self::rest).
    pub(super) fn is_settled(&self) -> bool {
        self.settled == Some(self.signals.progress())
    }

    /// How long it idles until it is settled, as a part of `idle_timeout`.
    fn settling(&self) -> Duration {
        let idle_timeout = self.worker.settings.idle_timeout;
        if self.signals.progress() == 0 { idle_timeout.min(NEWCOMER) } else { (idle_timeout / 4).min(AWAKE) }
    }

    /// Winds the timer up anew, and notes whether the connection is idle.
    pub(super) fn wait_for(&mut self, patience: Option<Duration>, idle: bool) {
        let now = patience.map(|_| clock::now());
        self.timer.set(now.zip(patience).and_then(|(now, patience)| now.checked_add(patience)));
        match now.filter(|_| idle) {
            Some(now) => {
                let crowd = &self.worker.control.crowd;
                self.signals.set_idle_since(crowd.moment(now));
                crowd.note_idle();
            }
            None => self.signals.set_busy(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.worker.control.stage()
    }
}

/// Reads and drops the rest of a request's body. True if the connection can go on behind it.
async fn discard(wire: &mut Wire) -> bool {
    timeout(LINGER, poll_fn(|cx| wire.poll_discard(cx, DISCARD))).await.unwrap_or(false)
}

/// Closes for writing, and reads and drops for a while: a close over unread bytes would be a reset, and the client might
/// never see the last of what we sent.
pub(super) async fn linger(socket: &Socket, patience: Duration) {
    let end = Instant::now() + patience;
    close(socket, patience).await;
    if !socket.is_hung_up() {
        let _ = timeout_at(end, read_to_end(socket)).await;
    }
}

/// Closes for writing; what the client does not take of a last record within `patience` is lost.
async fn close(socket: &Socket, patience: Duration) {
    let _ = timeout(patience, poll_fn(|cx| socket.poll_close_for_writing(cx))).await;
    socket.close_for_writing();
}

/// Reads and drops until the client has closed too.
async fn read_to_end(socket: &Socket) {
    let mut scratch = vec![0; 16 << 10];
    while poll_fn(|cx| socket.poll_read(cx, &mut ReadBuf::new(&mut scratch))).await.is_ok_and(|n| n > 0) {}
}
