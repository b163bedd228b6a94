//! A connection to the upstream.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::request::Parts;
use tokio::io::{AsyncReadExt, ReadBuf};
use tokio::task::unconstrained;

use super::out::Out;
use super::receiving::Receiving;
use crate::socket::Socket;
use crate::timer::Timer;
use crate::upstream::room::Room;
use crate::upstream::socket_io::SocketIo;

/// A connection with its buffers, which are used again for each exchange.
#[derive(Debug)]
pub(in crate::upstream) struct Connection {
    /// `None` once somebody else has it.
    io: Option<SocketIo>,
    pub(super) out: Out,
    pub(super) receiving: Receiving,
    /// The request under way, until the head of its answer has come.
    pub(super) request: Option<Box<Parts>>,
    /// For whatever the exchange waits for. It stays set where it was, and moves for free.
    pub(in crate::upstream) timer: Timer,
    /// How much is read at once.
    step: usize,
    /// How much has come of the answer under way.
    came: usize,
    pub(in crate::upstream) room: Room,
    /// The worker that has it.
    pub(in crate::upstream) home: usize,
    /// How long it may idle and still be used.
    pub(in crate::upstream) reuse_for: Duration,
    /// Whether it has carried an exchange before.
    pub(in crate::upstream) reused: bool,
}

/// What is read at once: a small answer with its head at first, and more where there is more.
const STEP: usize = 8 << 10;
const MAX_STEP: usize = 32 << 10;
/// The most that is read at once before it is known that there is more.
const MAX_FIRST_STEP: usize = 16 << 10;
const PAGE: usize = 4 << 10;

const PRESENT: &str = "the socket is present until somebody else has it";

impl Connection {
    pub(in crate::upstream) fn new(socket: Socket, room: Room, home: usize, reuse_for: Duration) -> Box<Self> {
        Box::new(Connection {
            io: Some(SocketIo(socket)),
            out: Out::default(),
            receiving: Receiving::new(),
            request: None,
            timer: Timer::default(),
            step: STEP,
            came: 0,
            room,
            home,
            reuse_for,
            reused: false,
        })
    }

    pub(in crate::upstream) fn socket(&self) -> &Socket {
        &self.io.as_ref().expect(PRESENT).0
    }

    /// Whether whoever gets the next answer may hold on to it.
    pub(in crate::upstream) fn set_detached(&mut self, detached: bool) {
        self.receiving.detached = detached;
    }

    /// What there is to be sent, and where to.
    pub(super) fn sender(&mut self) -> (&mut Out, &Socket) {
        (&mut self.out, &self.io.as_ref().expect(PRESENT).0)
    }

    /// The socket itself, with what was read of it ahead.
    pub(super) fn hand_over(&mut self) -> (Bytes, SocketIo) {
        (self.receiving.input.split().freeze(), self.io.take().expect(PRESENT))
    }

    /// Believes the upstream's `Keep-Alive: timeout`, less a second for the way.
    pub(in crate::upstream) fn learn_idle_timeout(&mut self, headers: &HeaderMap) {
        let Some(value) = headers.get("keep-alive").and_then(|value| value.to_str().ok()) else { return };
        let timeout = value.split(',').find_map(|word| word.trim().strip_prefix("timeout=")?.parse().ok());
        if let Some(timeout) = timeout {
            self.reuse_for = Duration::from_secs(timeout).saturating_sub(Duration::from_secs(1));
        }
    }

    /// Whether it can idle: nothing is under way, and nothing has come. Where the runtime knows of no news, this costs no
    /// system call.
    pub(in crate::upstream) fn is_quiet(&self) -> bool {
        let mut byte = [0];
        // What TLS has to say to itself is no news. A task that has read a lot in one go is told that there is nothing,
        // whatever there is: this has to be true, and is no work.
        let read = unconstrained(poll_fn(|cx| self.socket().poll_read(cx, &mut ReadBuf::new(&mut byte))));
        pin!(read).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Gives back what a large answer needed. The next is taken to be as large, so that what is a little more than a step
    /// comes in one read the next time.
    pub(super) fn settle(&mut self) {
        if self.step > STEP {
            self.receiving.input = BytesMut::new();
        }
        self.step = self.came.min(MAX_FIRST_STEP).next_multiple_of(PAGE).max(STEP);
        self.came = 0;
    }

    /// Has this worker's runtime wake whoever waits for it.
    ///
    /// # Errors
    /// It can't be registered, and has closed.
    pub(in crate::upstream) fn move_to(&mut self, worker: usize) -> io::Result<()> {
        let SocketIo(socket) = self.io.take().expect(PRESENT);
        self.io = Some(SocketIo(socket.moved_here()?));
        self.timer = Timer::default();
        self.home = worker;
        Ok(())
    }

    /// Reads into the buffer; zero bytes are the end of the stream.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (io, input) = (self.io.as_mut().expect(PRESENT), &mut self.receiving.input);
        let wanted = self.step.saturating_sub(input.len()).max(self.step / 4);
        if input.capacity() - input.len() < wanted {
            // A request waits for its answer without room for it. What is made only now was in use a moment ago, by the
            // answer before, and is in the processor's cache.
            ready!(io.0.poll_may_read(cx));
            input.reserve(wanted);
        }
        let room = input.capacity() - input.len();
        let polled = pin!(io.read_buf(input)).poll(cx);
        if let Poll::Ready(Ok(n)) = polled {
            self.came = self.came.saturating_add(n);
            if n == room {
                self.step = (self.step * 2).min(MAX_STEP);
            }
        }
        polled
    }

    /// Reads and drops what comes, whatever that is, until the upstream has closed.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        while ready!(self.socket().poll_read_raw(cx, &mut ReadBuf::new(&mut scratch))).is_ok_and(|n| n > 0) {}
        Poll::Ready(())
    }
}

impl Drop for Connection {
    /// A peer that speaks TLS is told.
    fn drop(&mut self) {
        self.io.iter().for_each(|SocketIo(socket)| socket.say_goodbye());
    }
}
