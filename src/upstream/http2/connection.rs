//! One connection, and the places for streams on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use h2::client::SendRequest;
use tokio::time::Instant;

use super::watched::{Seen, Watched};
use crate::socket::Socket;
use crate::upstream::room::Room;

/// Streams at once on one connection, if the peer allows as many: what servers commonly allow (RFC 9113 §6.5.2 asks
/// for no fewer). The connection's window is this many times a stream's.
pub(super) const MAX_STREAMS: usize = 100;

/// Whoever had a connection made gets to it within that time, however short the timeout.
const FIRST_USE: Duration = Duration::from_secs(1);

/// A connection that a task drives. It closes when it has neither streams nor handles any more.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    state: Arc<State>,
    room: Room,
}

/// What the pool, the streams and the driving task know of each other.
#[derive(Debug)]
pub(super) struct State {
    usage: Mutex<Usage>,
    seen: Arc<Seen>,
    /// The driving task, which wants to know when the last stream has ended.
    driver: AtomicWaker,
}

#[derive(Debug)]
struct Usage {
    open: usize,
    /// When the last stream ended, or the connection was made.
    idle_since: Instant,
    used: bool,
    /// No new stream goes here any more; what runs goes on.
    retired: bool,
    /// To be looked at. The driving task takes it away at its end, so that the socket closes with that.
    socket: Option<Socket>,
}

/// The right to open one stream.
#[derive(Debug)]
pub(in crate::upstream) struct Lease {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) place: Place,
}

/// The place of one stream among those of its connection. Dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    connection: Arc<Connection>,
    reused: bool,
}

impl Connection {
    pub(super) fn new(sender: SendRequest<Bytes>, state: Arc<State>, room: Room) -> Self {
        Connection { sender, state, room }
    }

    /// A place on it, if there is one. A connection that has idled for too long is retired by being asked.
    pub(super) fn lease(self: &Arc<Self>, idle_timeout: Duration) -> Option<Lease> {
        let mut usage = self.state.lock();
        if usage.retired || usage.open >= MAX_STREAMS {
            return None;
        }
        let mut sender = self.sender.clone();
        // An error here is a GOAWAY, a failure or an end that the driving task has read. What it has not, the socket says.
        let gone = usage.socket.as_ref().is_none_or(Socket::is_hung_up)
            || matches!(sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)));
        // Unlike with HTTP/1.1, a request that must not be sent twice goes on a connection that has idled: one that is
        // closed just now says which requests it has not looked at.
        let longest = if usage.used { idle_timeout } else { idle_timeout.max(FIRST_USE) };
        if gone || usage.has_idled_for(longest) {
            usage.retired = true;
            return None;
        }
        if usage.open >= sender.current_max_send_streams() {
            return None;
        }
        usage.open += 1;
        let reused = std::mem::replace(&mut usage.used, true);
        Some(Lease { sender, place: Place { connection: self.clone(), reused } })
    }

    /// How many streams it takes at once.
    pub(super) fn room(&self) -> usize {
        self.sender.current_max_send_streams().min(MAX_STREAMS)
    }

    /// Whether it is worth keeping for streams to come.
    pub(super) fn is_usable(&self, idle_timeout: Duration) -> bool {
        let usage = self.state.lock();
        !usage.retired && !usage.has_idled_for(idle_timeout)
    }

    /// Takes no stream any more if it has none, and somebody has had the time to begin one. Whether that has changed.
    pub(super) fn retire_if_idle(&self) -> bool {
        let mut usage = self.state.lock();
        let idle = !usage.retired && usage.open == 0 && (usage.used || usage.has_idled_for(FIRST_USE));
        usage.retired |= idle;
        idle
    }

    /// Whether it has no stream.
    pub(super) fn is_idle(&self) -> bool {
        self.state.lock().open == 0
    }

    pub(super) fn is_retired(&self) -> bool {
        self.state.lock().retired
    }
}

impl Lease {
    /// Whether the connection had carried another exchange before.
    pub(in crate::upstream) fn reused(&self) -> bool {
        self.place.reused()
    }
}

impl Place {
    pub(super) fn reused(&self) -> bool {
        self.reused
    }

    /// What has been seen of the connection's socket.
    pub(super) fn seen(&self) -> &Arc<Seen> {
        self.connection.state.seen()
    }
}

impl State {
    pub(super) fn new(io: &Watched) -> Self {
        let socket = Some(io.socket.clone());
        let usage = Usage { open: 0, idle_since: Instant::now(), used: false, retired: false, socket };
        State { usage: Mutex::new(usage), seen: io.seen().clone(), driver: AtomicWaker::new() }
    }

    pub(super) fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }

    /// For the driving task: whether it has nothing left to do but to get rid of what the peer does not read. Wakes it
    /// when the last stream ends.
    pub(super) fn poll_left_behind(&self, cx: &Context<'_>) -> bool {
        self.driver.register(cx.waker());
        self.lock().is_left_behind(&self.seen)
    }

    /// Takes no new stream any more, unless one has come meanwhile.
    pub(super) fn retire_if_vacant(&self) -> bool {
        let mut usage = self.lock();
        usage.retired |= usage.open == 0;
        usage.open == 0
    }

    /// The driving task has ended.
    pub(super) fn end(&self) {
        let mut usage = self.lock();
        usage.retired = true;
        usage.socket = None;
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Usage {
    fn has_idled_for(&self, time: Duration) -> bool {
        self.open == 0 && self.idle_since.elapsed() >= time
    }

    fn is_left_behind(&self, seen: &Seen) -> bool {
        self.open == 0 && (self.retired || seen.is_blocked())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The sender, which is dropped after this, wakes the driving task.
        self.state.lock().retired = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let state = &self.connection.state;
        let mut usage = state.lock();
        usage.open -= 1;
        if usage.open > 0 {
            drop(usage);
            return self.connection.room.freed();
        }
        usage.idle_since = Instant::now();
        let left_behind = usage.is_left_behind(&state.seen);
        drop(usage);
        if left_behind {
            state.driver.wake();
        }
        self.connection.room.freed();
    }
}
