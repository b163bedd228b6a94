//! The bytes between a client and hyper.
//!
//! From inside a service a request's head is gone, and hyper's own timeouts, refusals and closes are not the ones that
//! we promise. So this stands between the socket and hyper's HTTP/1 server. It follows the messages, and
//! - looks at each head before hyper does; one that is refused is handed on as a bare request with the verdict beside
//!   it, so that the answer takes its turn behind earlier ones;
//! - holds back what follows a message until its response has ended, and so sees a client hang up behind pipelined
//!   requests, where hyper would be blind;
//! - says what it is waiting for, and for how long, so that the connection's task can time it;
//! - leaves the closing to that task, which lingers where bytes are unread.

mod chunked;
#[cfg(test)]
#[path = "../../../fuzz/wire.rs"]
mod fuzz;
mod head;
mod signals;
mod unread;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::chunked::BadChunk;
#[cfg(test)]
pub(crate) use self::chunked::Chunked;
use self::head::{Framing, Head, Scan, skip_empty_lines};
pub(super) use self::head::{MAX_FIELDS, is_host};
pub(crate) use self::signals::{InExchange, Phase, Signals};
use crate::proxy::Refusal;
use crate::socket::Socket;

/// One client's end of a connection, as hyper sees it.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Socket,
    signals: Arc<Signals>,
    max_head: usize,
    state: State,
    /// Bytes that have been read and not handed on. The first `deliver` of them are hyper's for the taking.
    held: BytesMut,
    deliver: usize,
    /// How much of the message's body has come, as far as that is chunked.
    chunked: u64,
    keep_alive: bool,
    /// Whether no message has begun yet.
    fresh: bool,
    /// Whether a shutdown is for us to do.
    closes: bool,
}

#[derive(Debug)]
enum State {
    /// Between messages, or in a head of which `seen` bytes have been looked at.
    Head {
        seen: usize,
    },
    Body(Framing),
    /// The message is complete, and its response has not ended. What comes now belongs to the next one.
    Complete,
    /// The body could not be followed.
    Broken,
    /// Nothing that still comes is looked at.
    Refused,
    /// What comes is no HTTP/1 any more.
    Tunnel,
}

/// Stands for a refused request. `close` ends the connection after the answer.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// What a client of HTTP/2 begins with (RFC 9113 §3.4): in HTTP/1, a request that nobody makes.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How much of the next messages we read while a response is under way: enough to see what is behind a few requests.
const MAX_PIPELINED: usize = 64 << 10;

impl Wire {
    pub(crate) fn new(socket: Socket, signals: Arc<Signals>, max_head: usize) -> Self {
        Wire {
            socket,
            signals,
            max_head,
            state: State::Head { seen: 0 },
            held: BytesMut::new(),
            deliver: 0,
            chunked: 0,
            keep_alive: true,
            fresh: true,
            closes: false,
        }
    }

    /// Begins with bytes that were read before it.
    pub(crate) fn hold(&mut self, read: &[u8]) {
        self.held.extend_from_slice(read);
    }

    /// Lets go of its buffer. False, and nothing happens, where bytes are held back or a message is under way.
    pub(crate) fn let_go(&mut self) -> bool {
        let between = !self.has_unread() && !self.signals.in_exchange();
        if between {
            self.held = BytesMut::new();
        }
        between
    }

    /// From here on it carries bytes, of which hyper has read some already, and a shutdown is one.
    pub(crate) fn carry_bytes(&mut self, read: &[u8]) {
        let behind = self.held.split();
        self.held.extend_from_slice(read);
        self.held.extend_from_slice(&behind);
        self.deliver = self.held.len();
        self.state = State::Tunnel;
        self.closes = true;
    }

    /// Some bytes for hyper; none at all mean that the client has hung up.
    fn poll_message(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.deliver > 0 {
                let now = self.deliver.min(buf.remaining());
                buf.put_slice(&self.held[..now]);
                self.held.advance(now);
                self.deliver -= now;
                self.signals.set_pipelined(matches!(self.state, State::Complete) && self.held.len() > self.deliver);
                return Poll::Ready(Ok(()));
            }
            match &mut self.state {
                // Head => Body | Complete | Refused
                State::Head { seen } => {
                    if self.signals.take_overdue() {
                        self.refuse(Refusal::Timeout);
                        continue;
                    }
                    skip_empty_lines(&mut self.held, seen);
                    if self.held.is_empty() {
                        self.signals.enter(Phase::Idle);
                    } else if self.fresh && self.held.starts_with(PREFACE) {
                        // Head => Tunnel, once the connection's task has taken us from hyper.
                        self.signals.set_http2();
                        return Poll::Pending;
                    } else if self.fresh && PREFACE.starts_with(&self.held) {
                        self.signals.enter(Phase::Head);
                    } else {
                        match head::scan(&self.held, *seen, self.max_head) {
                            Scan::Complete(head) => {
                                self.deliver = head.len;
                                self.begin(head);
                                continue;
                            }
                            Scan::Refused(refusal) => {
                                self.refuse(refusal);
                                continue;
                            }
                            Scan::Incomplete(so_far) => {
                                *seen = so_far;
                                self.signals.enter(Phase::Head);
                            }
                        }
                    }
                    let start = buf.filled().len();
                    if ready!(self.poll_socket(cx, buf))? == 0 || self.take_whole_head(buf, start) {
                        return Poll::Ready(Ok(()));
                    }
                }
                // Body => Complete | Broken
                State::Body(_) => return self.poll_body(cx, buf),
                // Complete => Tunnel
                State::Complete if self.signals.is_tunnel() => {
                    self.deliver = self.held.len();
                    self.state = State::Tunnel;
                }
                State::Tunnel => return self.poll_socket(cx, buf).map_ok(drop),
                // Complete => Head
                State::Complete => {
                    if !self.signals.in_exchange() {
                        self.signals.set_pipelined(false);
                        self.state = State::Head { seen: 0 };
                        continue;
                    }
                    if self.held.len() >= MAX_PIPELINED {
                        self.signals.set_reading(false);
                        return Poll::Pending;
                    }
                    let start = buf.filled().len();
                    if ready!(self.poll_socket(cx, buf))? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    self.hold_back(buf, start);
                }
                State::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                State::Refused => return Poll::Pending,
            }
        }
    }

    /// The common case: a whole head in one read, with no bytes before it, stays where it was read to. True if so.
    fn take_whole_head(&mut self, buf: &mut ReadBuf<'_>, start: usize) -> bool {
        let fresh = &buf.filled()[start..];
        if self.held.is_empty()
            && !fresh.starts_with(b"\r")
            && let Scan::Complete(head) = head::scan(fresh, 0, self.max_head)
        {
            let body = start + head.len;
            self.begin(head);
            // A body that breaks here is reported on its own first read, after the head has been acted on.
            let used = self.follow(&buf.filled()[body..]).unwrap_or(0);
            self.hold_back(buf, body + used);
            return true;
        }
        self.hold_back(buf, start);
        false
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.signals.take_overdue() {
            // hyper reads no more after this; from here on the task looks whether the client is there.
            self.signals.set_reading(false);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.held.is_empty() {
            self.signals.enter(Phase::Body);
            let start = buf.filled().len();
            if ready!(self.poll_socket(cx, buf))? == 0 {
                return Poll::Ready(Ok(()));
            }
            self.signals.step();
            let used = self.follow(&buf.filled()[start..]);
            self.hold_back(buf, start + *used.as_ref().unwrap_or(&0));
            Poll::Ready(used.map(drop))
        } else {
            let mut now = self.held.split_to(self.held.len().min(buf.remaining()));
            let used = self.follow(&now)?;
            buf.put_slice(&now[..used]);
            let mut rest = now.split_off(used);
            rest.unsplit(self.held.split());
            self.held = rest;
            self.signals.set_pipelined(matches!(self.state, State::Complete) && !self.held.is_empty());
            Poll::Ready(Ok(()))
        }
    }

    /// Follows the message through `bytes`, and returns how many of them are part of it.
    fn follow(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (used, complete) = match &mut self.state {
            State::Body(Framing::Length(left)) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                (used, *left == 0)
            }
            State::Body(Framing::Chunked(body)) => match body.advance(bytes) {
                Ok(used) => {
                    self.chunked += used as u64;
                    (used, body.is_end())
                }
                Err(BadChunk) => {
                    self.state = State::Broken;
                    return Err(io::ErrorKind::InvalidData.into());
                }
            },
            _ => (0, true),
        };
        if complete {
            self.state = State::Complete;
            // Its response may have ended before it did.
            self.signals.enter(if self.signals.in_exchange() { Phase::Answer } else { Phase::Idle });
        }
        Ok(used)
    }

    /// Takes back what was read from `start` on.
    fn hold_back(&mut self, buf: &mut ReadBuf<'_>, start: usize) {
        let fresh = &buf.filled()[start..];
        if !fresh.is_empty() {
            self.held.extend_from_slice(fresh);
            buf.set_filled(start);
            self.signals.set_pipelined(matches!(self.state, State::Complete));
        }
    }

    fn begin(&mut self, head: Head) {
        self.fresh = false;
        self.chunked = 0;
        self.keep_alive = head.keep_alive;
        self.signals.begin_exchange(head.old);
        self.signals.enter(Phase::Answer);
        self.state = match head.framing {
            Framing::Bodiless => State::Complete,
            framing => State::Body(framing),
        };
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.fresh = false;
        self.signals.refuse(refusal);
        self.signals.begin_exchange(false);
        self.signals.enter(Phase::Answer);
        self.held.clear();
        self.held.extend_from_slice(REFUSED);
        self.deliver = REFUSED.len();
        self.state = State::Refused;
    }

    fn note_write(&self, blocked: bool, flushed: bool) {
        self.signals.set_flushed(flushed);
        self.signals.set_write_blocked(blocked);
        if blocked && self.socket.take_moved() {
            // A client that takes a record in small pieces does take it.
            self.signals.step();
        }
    }

    fn poll_socket(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let read = self.socket.poll_read(cx, buf);
        self.signals.set_reading(read.is_pending());
        if let Poll::Ready(Ok(0) | Err(_)) = read {
            self.signals.set_hung_up();
        }
        read
    }
}

/// Whether these bytes are a whole head that passes.
#[cfg(test)]
pub(super) fn passes_as_head(bytes: &[u8]) -> bool {
    matches!(head::scan(bytes, 0, 1 << 15), Scan::Complete(Head { len, .. }) if len == bytes.len())
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_message(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.socket.poll_write(cx, bufs);
        self.note_write(written.is_pending(), false);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.socket.poll_flush(cx);
        self.note_write(flushed.is_pending(), flushed.is_ready());
        flushed
    }

    /// Closing is the connection's own: hyper only says that it has finished. A tunnel means it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closes { self.socket.poll_close_for_writing(cx).map(Ok) } else { Poll::Ready(Ok(())) }
    }
}
