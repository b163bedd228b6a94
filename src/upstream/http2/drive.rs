//! The task of a connection: reads and writes for all of its streams, and notices a peer that is gone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connection::State;
use crate::socket::Socket;
use crate::timer::Timer;
use crate::upstream::socket_io::SocketIo;

/// How long a peer with open streams may be silent before it is asked, and then until it answers.
const SILENCE: Duration = Duration::from_secs(10);

/// Drives a connection to its end.
pub(super) struct Drive {
    connection: h2::client::Connection<Watched, Bytes>,
    io: Watched,
    state: Arc<State>,
    pings: Option<PingPong>,
    silence: Timer,
    /// Whether a PING is on its way.
    asked: bool,
}

impl Drive {
    pub(super) fn new(mut connection: h2::client::Connection<Watched, Bytes>, io: Watched, state: Arc<State>) -> Self {
        let pings = connection.ping_pong();
        Drive { connection, io, state, pings, silence: Timer::default(), asked: false }
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.state.clone()
    }

    /// Ready when the peer has said nothing for too long although it was asked. Without streams nobody waits for it, and
    /// it is left in peace; the first stream wakes this task.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pings) = &mut self.pings else { return Poll::Pending };
        if !self.state.is_busy() {
            self.silence.set(None);
            return Poll::Pending;
        }
        loop {
            if !self.silence.is_set() {
                self.silence.set(Some(Instant::now() + SILENCE));
                self.io.forget();
            }
            ready!(self.silence.poll(cx));
            if self.asked && pings.poll_pong(cx).is_ready() {
                self.asked = false;
            }
            // Any byte is a sign of life: an answer to a PING may stand behind a long body.
            if self.io.has_heard() {
                continue;
            }
            if self.asked {
                return Poll::Ready(());
            }
            self.asked = pings.send_ping(Ping::opaque()).is_ok();
        }
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(cx) {
            // Whoever has a stream on it hears of it there.
            tracing::trace!(?ended, "an upstream connection ended");
            return Poll::Ready(());
        }
        ready!(this.poll_silence(cx));
        tracing::debug!("an upstream connection has gone silent");
        this.io.socket.reset_on_close();
        Poll::Ready(())
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.state.retire();
    }
}

/// The socket, with a note of whether anything was read from it.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    socket: Socket,
    heard: Arc<AtomicBool>,
}

impl Watched {
    pub(super) fn new(socket: Socket) -> Self {
        Watched { socket, heard: Arc::default() }
    }

    fn forget(&self) {
        self.heard.store(false, Ordering::Relaxed);
    }

    pub(super) fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    fn io(&self) -> SocketIo {
        SocketIo(self.socket.clone())
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.socket.poll_read(cx, buf))?;
        if read > 0 {
            self.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io()).poll_shutdown(cx)
    }
}
