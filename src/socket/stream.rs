//! The two kinds of streams that bytes come on.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{Interest, ReadBuf, Ready};
use tokio::net::{TcpStream, UnixStream};

use crate::clock;

/// More in one call are an error on Linux (`UIO_MAXIOV`), and fewer than all is what a write may take.
const MOST_PARTS: usize = 1024;

/// A connected stream, as the kernel has it.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The same for another thread, whose runtime is to have it.
#[derive(Debug)]
pub(crate) enum Unwatched {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Unwatched {
    /// Hands it to the current runtime.
    pub(crate) fn into_stream(self) -> io::Result<Stream> {
        Ok(match self {
            Unwatched::Tcp(stream) => TcpStream::from_std(stream)?.into(),
            Unwatched::Unix(stream) => UnixStream::from_std(stream)?.into(),
        })
    }
}

/// The same call on whichever it is.
macro_rules! either {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Unix($inner) => $call,
        }
    };
}

impl Stream {
    /// Takes it back from the current runtime.
    pub(crate) fn into_unwatched(self) -> io::Result<Unwatched> {
        Ok(match self {
            Stream::Tcp(stream) => Unwatched::Tcp(stream.into_std()?),
            Stream::Unix(stream) => Unwatched::Unix(stream.into_std()?),
        })
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read_ready(cx))
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_write_ready(cx))
    }

    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        either!(self, stream => stream.ready(interest).await)
    }

    /// Reads what is there. Where the kernel has no more, the readiness is taken back: the next read would learn the same
    /// at the price of a system call, and what arrives later raises an edge of its own.
    pub(super) fn try_read(&self, buf: &mut ReadBuf<'_>) -> io::Result<usize> {
        let room = buf.remaining();
        let read = either!(self, stream => stream.try_read_buf(buf));
        clock::passes();
        let n = read?;
        if 0 < n && n < room {
            let nothing_more = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = either!(self, stream => stream.try_io(Interest::READABLE, nothing_more));
        }
        Ok(n)
    }

    pub(super) fn moved_here(self) -> io::Result<Stream> {
        Ok(match self {
            Stream::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Stream::Unix(stream) => Stream::Unix(UnixStream::from_std(stream.into_std()?)?),
        })
    }

    pub(super) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let written = either!(self, stream => stream.try_write(buf));
        clock::passes();
        written
    }

    /// Sends the parts: `sendmsg` goes to the socket, where `writev` asks all that files are asked on its way there.
    pub(super) fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let bufs = &bufs[..bufs.len().min(MOST_PARTS)];
        let send = || SockRef::from(self).send_vectored(bufs);
        let written = either!(self, stream => stream.try_io(Interest::WRITABLE, send));
        clock::passes();
        written
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        either!(self, stream => stream.as_fd())
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Stream::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Stream::Unix(stream)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn parts_that_are_too_many_for_one_call_are_written_in_more() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = Stream::from(ours);
        ours.ready(Interest::WRITABLE).await.unwrap();
        let parts = vec![IoSlice::new(b"ab"); MOST_PARTS + 1];
        assert_eq!(ours.try_write_vectored(&parts).unwrap(), 2 * MOST_PARTS);
        let mut read = vec![0; 2 * MOST_PARTS];
        theirs.read_exact(&mut read).await.unwrap();
        assert_eq!(read, b"ab".repeat(MOST_PARTS));
    }

    #[tokio::test]
    async fn parts_for_somebody_who_has_left_are_an_error_and_no_signal() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ours = Stream::from(ours);
        drop(theirs);
        ours.ready(Interest::WRITABLE).await.unwrap();
        let written = ours.try_write_vectored(&[IoSlice::new(b"a"), IoSlice::new(b"b")]);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
