//! The socket of a connection, and what has been seen of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;
use crate::upstream::error::is_given_up;
use crate::upstream::socket_io::SocketIo;

/// A socket that takes notes.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) socket: Socket,
    seen: Arc<Seen>,
}

/// The notes. They outlive the socket.
#[derive(Debug, Default)]
pub(super) struct Seen {
    heard: AtomicBool,
    written: AtomicU64,
    /// Whether the socket takes nothing at the moment.
    blocked: AtomicBool,
    given_up: AtomicBool,
}

impl Watched {
    pub(super) fn new(socket: Socket) -> Self {
        Watched { socket, seen: Arc::default() }
    }

    pub(super) fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }

    fn io(&self) -> SocketIo {
        SocketIo(self.socket.clone())
    }
}

impl Seen {
    /// Whether anything has come.
    pub(super) fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// How many bytes have been written. Two equal numbers say that nothing was in between.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether something waits for the peer to read.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Whether it is our side that has ended it, not knowing what the peer does.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    fn failed(&self, error: &io::Error) {
        if is_given_up(error) {
            self.given_up.store(true, Ordering::Relaxed);
        }
    }

    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        self.blocked.store(written.is_pending(), Ordering::Relaxed);
        match written {
            Poll::Ready(Ok(n)) => {
                self.written.fetch_add(*n as u64, Ordering::Relaxed);
            }
            Poll::Ready(Err(error)) => self.failed(error),
            Poll::Pending => {}
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.socket.poll_read(cx, buf)).inspect_err(|error| self.seen.failed(error))?;
        if read > 0 {
            self.seen.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io()).poll_write(cx, buf);
        self.seen.note_write(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io()).poll_write_vectored(cx, bufs);
        self.seen.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io()).poll_flush(cx);
        let flushed = flushed.map_ok(|()| 0);
        self.seen.note_write(&flushed);
        flushed.map_ok(drop)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io()).poll_shutdown(cx)
    }
}
