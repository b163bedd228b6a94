//! TLS on a stream.
//!
//! rustls does the protocol and none of the I/O, so the session is a part of the handle: whoever reads, whoever writes and
//! whoever closes share it as they share the stream. A record that has been begun is written before anything else is
//! taken, and is on its way, not sent, until a flush says so.

use std::io::{self, IoSlice, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustls::Connection;
use tokio::io::ReadBuf;

use super::stream::Stream;

/// How much is taken at a time: one record's worth (RFC 8446 §5.1), so that what is taken from a writer and not from us
/// stays small.
const RECORD: usize = 16 << 10;

/// What HTTP/2 is called in ALPN (RFC 9113 §3.1).
pub(crate) const H2: &[u8] = b"h2";

/// One side's session.
#[derive(Debug)]
pub(super) struct Tls {
    session: Mutex<Session>,
    /// Whether the peer's side of the kernel has taken bytes since somebody asked.
    moved: AtomicBool,
}

#[derive(Debug)]
struct Session {
    connection: Connection,
    /// The peer has been told that nothing more will come.
    closed: bool,
}

impl Tls {
    pub(super) fn new(mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(RECORD));
        Tls { session: Mutex::new(Session { connection, closed: false }), moved: AtomicBool::new(false) }
    }

    /// Ready when both sides have agreed, and ours has nothing left to say about it.
    pub(super) fn poll_handshake(&self, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut session = self.lock();
        loop {
            ready!(self.poll_write_out(&mut session, stream, cx))?;
            if !session.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_read_in(&mut session, stream, cx))? == 0 {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed in the TLS handshake")));
            }
        }
    }

    /// What both sides have agreed to speak.
    pub(super) fn is_h2(&self) -> bool {
        self.lock().connection.alpn_protocol() == Some(H2)
    }

    /// Takes bytes for the handshake that were read before there was a session.
    ///
    /// # Errors
    /// When they are no TLS.
    pub(super) fn feed(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut session = self.lock();
        while !bytes.is_empty() {
            session.connection.read_tls(&mut bytes)?;
            session.connection.process_new_packets().map_err(invalid)?;
        }
        Ok(())
    }

    /// Reads what is inside the records; zero bytes are the end that the peer has declared. An end that it has not is an
    /// error: anybody on the way could have made it (RFC 8446 §6.1).
    pub(super) fn poll_read(
        &self,
        stream: &Stream,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut session = self.lock();
        loop {
            match session.connection.reader().read(buf.initialize_unfilled()) {
                Ok(n) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(self.poll_read_in(&mut session, stream, cx))?;
        }
    }

    /// Takes up to a record's worth of `bufs` once the last record is out, and begins to write it.
    pub(super) fn poll_write(
        &self,
        stream: &Stream,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut session = self.lock();
        ready!(self.poll_write_out(&mut session, stream, cx))?;
        let taken = session.connection.writer().write_vectored(bufs)?;
        self.write_out(&mut session, stream)?;
        Poll::Ready(Ok(taken))
    }

    /// Ready when all that was taken has been handed to the kernel.
    pub(super) fn poll_flush(&self, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_out(&mut self.lock(), stream, cx)
    }

    /// Ready when the peer has been told that nothing more will come, as far as the kernel is concerned.
    pub(super) fn poll_close(&self, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut session = self.lock();
        session.close();
        self.poll_write_out(&mut session, stream, cx)
    }

    /// The same as far as the kernel takes it at once. Where it does not, the peer finds a record cut, which says as much.
    pub(super) fn close_now(&self, stream: &Stream) {
        let mut session = self.lock();
        session.close();
        let _ = self.write_out(&mut session, stream);
    }

    /// Whether the kernel has taken bytes since this was last asked.
    pub(super) fn take_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }

    /// Reads records, and answers what of them is not for us.
    fn poll_read_in(&self, session: &mut Session, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(stream.poll_read_ready(cx))?;
            let read = match session.connection.read_tls(&mut Raw(stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                read => read?,
            };
            let processed = session.connection.process_new_packets();
            // An alert, or a key update; what the kernel does not take now goes with the next write. That the peer takes
            // nothing any more is for the writer to hear: what it has said before is there to be read all the same.
            let _ = self.write_out(session, stream);
            processed.map_err(invalid)?;
            return Poll::Ready(Ok(read));
        }
    }

    fn poll_write_out(&self, session: &mut Session, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.write_out(session, stream)? {
            ready!(stream.poll_write_ready(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what the kernel takes; true if that is all.
    fn write_out(&self, session: &mut Session, stream: &Stream) -> io::Result<bool> {
        while session.connection.wants_write() {
            match session.connection.write_tls(&mut Raw(stream)) {
                Ok(_) => self.moved.store(true, Ordering::Relaxed),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.connection.send_close_notify();
        }
    }
}

/// What comes is no TLS, or the peer is not who it should be.
fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The stream as rustls reads and writes it.
struct Raw<'a>(&'a Stream);

impl Read for Raw<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(&mut ReadBuf::new(buf))
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
