//! The two kinds of streams that bytes come on.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use tokio::io::{Interest, ReadBuf, Ready};
use tokio::net::{TcpStream, UnixStream};

use crate::clock;

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

    pub(super) fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = either!(self, stream => stream.try_write_vectored(bufs));
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
