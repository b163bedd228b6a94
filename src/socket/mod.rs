//! A stream shared by the one who reads and writes it and the one who watches it.
//!
//! hyper owns the IO that it was given, and tells nobody what it sees there. The connection's own task has to know
//! when a client hangs up behind unread bytes. Towards an upstream, a task of its own sends the rest of a body while the
//! exchange reads the answer, or is given up and says so. Both need a second handle to the same stream; this is it.

mod stream;
mod tls;

use std::any::Any;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};

pub(crate) use self::stream::{Stream, Unwatched};
pub(crate) use self::tls::H2;
use self::tls::Tls;

/// A cheap handle to a stream. The stream closes with its last handle.
#[derive(Debug, Clone)]
pub(crate) struct Socket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: Stream,
    /// In a box: it is ten times what all the rest is.
    tls: Option<Box<Tls>>,
    closed_for_writing: AtomicBool,
    /// Behind the stream, and dropped after it has closed.
    held: Option<Box<dyn Any + Send + Sync>>,
}

impl Socket {
    /// Shares `stream`.
    pub(crate) fn new(stream: impl Into<Stream>) -> Self {
        Self::with(stream.into(), None)
    }

    /// Shares `stream`, on which TLS is spoken. There must be a [`handshake`](Socket::handshake) before anything else.
    pub(crate) fn secured(stream: impl Into<Stream>, connection: impl Into<rustls::Connection>) -> Self {
        Self::with(stream.into(), Some(Box::new(Tls::new(connection.into()))))
    }

    fn with(stream: Stream, tls: Option<Box<Tls>>) -> Self {
        Socket(Arc::new(Inner { stream, tls, closed_for_writing: AtomicBool::new(false), held: None }))
    }

    /// Holds `guard` until the stream has closed.
    ///
    /// # Panics
    /// When there is a second handle already.
    pub(crate) fn hold(&mut self, guard: impl Any + Send + Sync) {
        Arc::get_mut(&mut self.0).expect("a socket that nobody else has yet").held = Some(Box::new(guard));
    }

    /// Agrees with the peer on the keys, if TLS is spoken. `read` is what was read of the stream before.
    ///
    /// # Errors
    /// What the peer sends is no TLS, or it is not who it should be, or it has left.
    ///
    /// # Cancel safety
    /// Dropping it leaves a connection of which nothing can be made any more.
    pub(crate) async fn handshake(&self, read: &[u8]) -> io::Result<()> {
        let Some(tls) = &self.0.tls else { return Ok(()) };
        tls.feed(read)?;
        poll_fn(|cx| tls.poll_handshake(&self.0.stream, cx)).await
    }

    /// Whether both sides have agreed to speak HTTP/2.
    pub(crate) fn is_h2(&self) -> bool {
        self.0.tls.as_ref().is_some_and(|tls| tls.is_h2())
    }

    /// Reads into `buf`; zero bytes are the end of the stream. One task at a time may read.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        match &self.0.tls {
            Some(tls) => tls.poll_read(&self.0.stream, cx, buf),
            None => self.poll_read_raw(cx, buf),
        }
    }

    /// The same of what is below TLS, before its [`handshake`](Socket::handshake) and after its end.
    pub(crate) fn poll_read_raw(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let stream = &self.0.stream;
        loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Ready when a read may have something for us, an end or an error included. With TLS that is always so: what has come may
    /// be in the session.
    pub(crate) fn poll_may_read(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.tls.is_some() { Poll::Ready(()) } else { self.0.stream.poll_read_ready(cx).map(drop) }
    }

    /// Ready when there may be something to read, or the peer has hung up. Only for a socket without TLS, where what can be
    /// read is with the kernel.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        debug_assert!(self.0.tls.is_none());
        self.0.stream.poll_read_ready(cx).map(drop)
    }

    /// Writes some of `bufs`. Once the socket is closed for writing, everything succeeds and vanishes.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.0.closed_for_writing.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let stream = &self.0.stream;
        loop {
            let written = match &self.0.tls {
                Some(tls) => ready!(tls.poll_write(stream, cx, bufs)),
                None => {
                    ready!(stream.poll_write_ready(cx))?;
                    try_write(stream, bufs)
                }
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Closed for writing by another thread in the middle of this.
                Err(_) if self.0.closed_for_writing.load(Ordering::Relaxed) => {
                    return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Ready when the kernel has all that was written. Without TLS it always has.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0.tls {
            Some(tls) if !self.0.closed_for_writing.load(Ordering::Relaxed) => tls.poll_flush(&self.0.stream, cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Whether the kernel has taken bytes of a record since this was last asked. Without TLS every write says so itself.
    pub(crate) fn take_moved(&self) -> bool {
        self.0.tls.as_ref().is_some_and(|tls| tls.take_moved())
    }

    /// Ready when all that was written is with the kernel and the peer is told that nothing more will come: with TLS by
    /// close_notify, and then FIN. Reading goes on.
    pub(crate) fn poll_close_for_writing(&self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(tls) = &self.0.tls
            && !self.0.closed_for_writing.load(Ordering::Relaxed)
        {
            // It fails only where the connection is gone already.
            let _ = ready!(tls.poll_close(&self.0.stream, cx));
        }
        self.close_for_writing();
        Poll::Ready(())
    }

    /// The same at once. What the kernel does not take of a record that has been begun is lost.
    pub(crate) fn close_for_writing(&self) {
        if !self.0.closed_for_writing.swap(true, Ordering::Relaxed) {
            if let Some(tls) = &self.0.tls {
                tls.close_now(&self.0.stream);
            }
            // It fails only where the connection is gone already.
            let _ = SockRef::from(&self.0.stream).shutdown(Shutdown::Write);
        }
    }

    /// Has the runtime that this is called in tell of news from now on, and no other. Nobody may have another handle.
    ///
    /// # Errors
    /// Somebody has one, or the stream can't be registered; it has closed then.
    pub(crate) fn moved_here(self) -> io::Result<Socket> {
        let inner = Arc::into_inner(self.0).ok_or(io::ErrorKind::ResourceBusy)?;
        Ok(Socket(Arc::new(Inner { stream: inner.stream.moved_here()?, ..inner })))
    }

    /// Tells a peer that speaks TLS that the close that is coming is one. Others see it by itself.
    pub(crate) fn say_goodbye(&self) {
        if self.0.tls.is_some() {
            self.close_for_writing();
        }
    }

    /// Makes the coming close a reset, which drops what is still on its way.
    pub(crate) fn reset_on_close(&self) {
        let _ = SockRef::from(&self.0.stream).set_linger(Some(Duration::ZERO));
    }

    /// How long the peer may leave what was written unacknowledged, or its window closed, before the kernel gives up the
    /// connection; `None` is as long as the kernel thinks right. Only Linux can be told, and only TCP has such a time.
    pub(crate) fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Stream::Tcp(stream) = &self.0.stream {
            SockRef::from(stream).set_tcp_user_timeout(timeout)?;
        }
        let _ = timeout;
        Ok(())
    }

    /// Whether the kernel has bytes that nobody has read, also those that the runtime does not know of yet.
    pub(crate) fn has_unread(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        SockRef::from(&self.0.stream).peek(&mut byte).is_ok_and(|n| n > 0)
    }

    /// Whether the peer's FIN or a reset has been seen, also behind unread bytes. Costs no system call.
    pub(crate) fn is_hung_up(&self) -> bool {
        self.0.stream.ready(Interest::PRIORITY).now_or_never().is_some()
    }

    /// Resolves once the peer has hung up, and stays pending over unread bytes: readiness for priority data is what
    /// carries the read-closed flag without the readable one.
    pub(crate) async fn hung_up(self) {
        let _ = self.0.stream.ready(Interest::PRIORITY).await;
    }
}

/// A head with a small body is put together and sent: that is cheaper than having the kernel gather the parts.
fn try_write(stream: &Stream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    match bufs {
        [buf] => return stream.try_write(buf),
        _ if bufs.iter().map(|buf| buf.len()).sum::<usize>() > SMALL => return stream.try_write_vectored(bufs),
        _ => {}
    }
    let mut whole = [0; SMALL];
    let mut len = 0;
    for buf in bufs {
        whole[len..len + buf.len()].copy_from_slice(buf);
        len += buf.len();
    }
    stream.try_write(&whole[..len])
}

const SMALL: usize = 1024;
