//! What is on its way to the upstream.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::socket::Socket;

/// What is still to be written: what was put together here, then a piece of a body as it came, then its end.
#[derive(Debug, Default)]
pub(super) struct Out {
    staged: Vec<u8>,
    at: usize,
    piece: Bytes,
    tail: &'static [u8],
    /// How many bytes have been taken by the kernel, or by TLS, since this was begun.
    written: u64,
}

/// What is kept of the buffer between requests.
const KEPT: usize = 16 << 10;

impl Out {
    /// Forgets what there was.
    pub(super) fn begin(&mut self) -> &mut Vec<u8> {
        self.staged.clear();
        self.staged.shrink_to(KEPT);
        (self.at, self.piece, self.tail, self.written) = (0, Bytes::new(), &[], 0);
        &mut self.staged
    }

    /// More can be put behind what is in here, where no piece waits.
    pub(super) fn stage(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.piece.is_empty() && self.tail.is_empty());
        &mut self.staged
    }

    /// `piece` goes behind what is staged, and `tail` behind that.
    pub(super) fn put(&mut self, piece: Bytes, tail: &'static [u8]) {
        (self.piece, self.tail) = (piece, tail);
    }

    /// Whether there is a piece, behind which nothing can be staged.
    pub(super) fn has_piece(&self) -> bool {
        !self.piece.is_empty() || !self.tail.is_empty()
    }

    /// How much is staged.
    pub(super) fn staged(&self) -> usize {
        self.staged.len() - self.at
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Ready when the kernel has all of it.
    pub(super) fn poll_flush(&mut self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let staged = &self.staged[self.at..];
            let n = if self.piece.is_empty() && self.tail.is_empty() {
                if staged.is_empty() {
                    break;
                }
                ready!(socket.poll_write(cx, &[IoSlice::new(staged)]))?
            } else {
                let parts = [IoSlice::new(staged), IoSlice::new(&self.piece), IoSlice::new(self.tail)];
                ready!(socket.poll_write(cx, &parts))?
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(n);
        }
        self.staged.clear();
        self.at = 0;
        socket.poll_flush(cx)
    }

    fn advance(&mut self, mut n: usize) {
        self.written += n as u64;
        let here = n.min(self.staged.len() - self.at);
        self.at += here;
        n -= here;
        let here = n.min(self.piece.len());
        self.piece.advance(here);
        self.tail = &self.tail[n - here..];
    }
}
