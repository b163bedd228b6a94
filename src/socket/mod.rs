//! A stream shared by the one who reads and writes it and the one who watches it.
//!
//! hyper owns the IO that it was given, and tells nobody what it sees there. The connection's own task has to know
//! when a client hangs up behind unread bytes, and an exchange that has been given up has to tell its upstream so,
//! while hyper goes on reading. Both need a second handle to the same stream; this is it.

mod stream;

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};

pub(crate) use self::stream::Stream;

/// A cheap handle to a stream. The stream closes with its last handle.
#[derive(Debug, Clone)]
pub(crate) struct Socket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: Stream,
    closed_for_writing: AtomicBool,
}

impl Socket {
    /// Shares `stream`.
    pub(crate) fn new(stream: impl Into<Stream>) -> Self {
        Socket(Arc::new(Inner { stream: stream.into(), closed_for_writing: AtomicBool::new(false) }))
    }

    /// Reads into `buf`; zero bytes are the end of the stream. One task at a time may read.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let stream = &self.0.stream;
        loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_read(buf) {
                Ok(n) => return Poll::Ready(Ok(n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes some of `bufs`. Once the socket is closed for writing, everything succeeds and vanishes.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.0.closed_for_writing.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let stream = &self.0.stream;
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match try_write(stream, bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Closed for writing by another thread in the middle of this.
                Err(_) if self.0.closed_for_writing.load(Ordering::Relaxed) => {
                    return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Tells the peer that nothing more will come. Reading goes on.
    pub(crate) fn close_for_writing(&self) {
        if !self.0.closed_for_writing.swap(true, Ordering::Relaxed) {
            // It fails only where the connection is gone already.
            let _ = SockRef::from(&self.0.stream).shutdown(Shutdown::Write);
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
    let mut whole = [0; SMALL];
    let mut len = 0;
    match bufs {
        [buf] => return stream.try_write(buf),
        _ if bufs.iter().map(|buf| buf.len()).sum::<usize>() > SMALL => return stream.try_write_vectored(bufs),
        _ => {}
    }
    for buf in bufs {
        whole[len..len + buf.len()].copy_from_slice(buf);
        len += buf.len();
    }
    stream.try_write(&whole[..len])
}

const SMALL: usize = 1024;
