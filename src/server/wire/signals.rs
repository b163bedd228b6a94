//! What the wire and the connection's own task tell each other.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::task::AtomicWaker;

use crate::proxy::{Refusal, Tunnel};

/// Shared by the wire (which hyper owns), the connection's task (which owns hyper), the service that hyper calls, and
/// the worker's register of connections.
///
/// All but the last run in one task, so the orderings are relaxed: the atomics only make it `Send`.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    phase: AtomicU8,
    /// Changes with every step of progress, so that the task knows when to wind its timer up again.
    progress: AtomicU32,
    /// hyper waits for the socket. If it does not, nobody but the task would see the client leave.
    reading: AtomicBool,
    /// The client takes none of our bytes.
    write_blocked: AtomicBool,
    /// All that was written has been flushed. Before anything is written, it has not.
    flushed: AtomicBool,
    /// A request has been handed to hyper, and its response has not ended.
    exchange: AtomicBool,
    /// Its response has begun.
    begun: AtomicBool,
    /// The response says that the connection closes.
    closing: AtomicBool,
    /// The response broke off.
    failed: AtomicBool,
    /// The client speaks HTTP/1.0.
    old: AtomicBool,
    /// It has begun with the preface of HTTP/2.
    http2: AtomicBool,
    /// The connection becomes something else behind its response.
    in_tunnel: AtomicBool,
    /// Boxed: all connections have room for it.
    tunnel: Mutex<Option<Box<Tunnel>>>,
    /// Bytes of the next message lie behind the current one.
    pipelined: AtomicBool,
    hung_up: AtomicBool,
    /// What we wait for has not come in time.
    overdue: AtomicBool,
    /// Since when the connection has been idle, as the crowd counts it; zero if it is not.
    idle_since: AtomicU64,
    /// Whether it has been asked to make room for another.
    asked: AtomicU8,
    refused: AtomicBool,
    refusal: Mutex<Option<Refusal>>,
    /// Wakes the connection's task. It is registered once: a task's waker does not change.
    pub(crate) task: AtomicWaker,
}

const NOT_ASKED: u8 = 0;
const ASKED: u8 = 1;
const GONE: u8 = 2;

/// What we are waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// For a request to begin.
    Idle = 0,
    /// For the rest of a head.
    Head = 1,
    /// For the rest of a body.
    Body = 2,
    /// For nothing: it is our turn.
    Answer = 3,
}

impl Signals {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Body,
            _ => Phase::Answer,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        if self.phase.swap(phase as u8, Relaxed) != phase as u8 {
            self.step();
        }
    }

    /// Something has moved.
    pub(crate) fn step(&self) {
        self.progress.store(self.progress.load(Relaxed).wrapping_add(1), Relaxed);
    }

    pub(crate) fn progress(&self) -> u32 {
        self.progress.load(Relaxed)
    }

    pub(super) fn set_reading(&self, reading: bool) {
        self.reading.store(reading, Relaxed);
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.reading.load(Relaxed)
    }

    pub(super) fn set_write_blocked(&self, blocked: bool) {
        if self.write_blocked.load(Relaxed) != blocked {
            self.write_blocked.store(blocked, Relaxed);
            self.step();
        }
    }

    pub(crate) fn is_write_blocked(&self) -> bool {
        self.write_blocked.load(Relaxed)
    }

    pub(super) fn set_flushed(&self, flushed: bool) {
        self.flushed.store(flushed, Relaxed);
    }

    /// Whether hyper waits for the next request, and for nothing else.
    pub(crate) fn is_at_rest(&self) -> bool {
        let waits = self.phase() == Phase::Idle && self.is_reading() && !self.in_exchange();
        waits && self.flushed.load(Relaxed) && !self.is_write_blocked()
    }

    pub(super) fn begin_exchange(&self, old: bool) {
        self.old.store(old, Relaxed);
        self.begun.store(false, Relaxed);
        self.exchange.store(true, Relaxed);
    }

    pub(crate) fn in_exchange(&self) -> bool {
        self.exchange.load(Relaxed)
    }

    pub(crate) fn begin_response(&self, closing: bool) {
        self.begun.store(true, Relaxed);
        self.closing.store(closing, Relaxed);
    }

    pub(crate) fn agree_to_tunnel(&self, tunnel: Box<Tunnel>) {
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
        self.in_tunnel.store(true, Relaxed);
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.in_tunnel.load(Relaxed)
    }

    /// The tunnel that was agreed to, for the one who runs it once hyper has finished.
    pub(crate) fn take_tunnel(&self) -> Option<Box<Tunnel>> {
        self.is_tunnel().then(|| self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()).flatten()
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Relaxed)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    /// Whether the client can't tell that its answer was cut: it ends where the connection does.
    pub(crate) fn is_cut_unseen(&self) -> bool {
        let unsent = self.is_write_blocked() || self.in_exchange() && self.has_begun();
        self.old.load(Relaxed) && (self.failed.load(Relaxed) || unsent)
    }

    pub(super) fn set_http2(&self) {
        self.http2.store(true, Relaxed);
    }

    /// Whether the wire has to be taken from HTTP/1, which has seen nothing of what came.
    pub(crate) fn is_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    pub(super) fn set_pipelined(&self, pipelined: bool) {
        self.pipelined.store(pipelined, Relaxed);
    }

    /// Whether hyper should look at the wire again: the next message is there, and it is its turn.
    pub(crate) fn is_next_ready(&self) -> bool {
        self.pipelined.load(Relaxed) && !self.in_exchange()
    }

    pub(crate) fn set_hung_up(&self) {
        self.hung_up.store(true, Relaxed);
    }

    pub(crate) fn is_hung_up(&self) -> bool {
        self.hung_up.load(Relaxed)
    }

    /// The task says that time is over; the wire reports it to hyper in its own words.
    pub(crate) fn set_overdue(&self) {
        self.overdue.store(true, Relaxed);
    }

    pub(super) fn take_overdue(&self) -> bool {
        self.overdue.swap(false, Relaxed)
    }

    /// Since when nothing has been asked for on the connection.
    pub(crate) fn set_idle_since(&self, moment: u64) {
        self.idle_since.store(moment, SeqCst);
    }

    pub(crate) fn set_busy(&self) {
        self.idle_since.store(0, Relaxed);
    }

    /// Zero if it is busy.
    pub(crate) fn idle_since(&self) -> u64 {
        self.idle_since.load(SeqCst)
    }

    /// Asks the connection to go, if it has not been and is there. Its task is to be woken.
    pub(crate) fn ask_to_go(&self) -> bool {
        self.asked.compare_exchange(NOT_ASKED, ASKED, SeqCst, SeqCst).is_ok()
    }

    pub(crate) fn is_asked_to_go(&self) -> bool {
        self.asked.load(Relaxed) == ASKED
    }

    /// It does not go. True if it was asked to.
    pub(crate) fn stay(&self) -> bool {
        self.asked.compare_exchange(ASKED, NOT_ASKED, SeqCst, SeqCst).is_ok()
    }

    /// It is gone. True if it was asked to go.
    pub(crate) fn go(&self) -> bool {
        self.asked.swap(GONE, SeqCst) == ASKED
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        self.refused.store(true, Relaxed);
    }

    /// Whether the request that hyper just passed on stands for one that was refused.
    pub(crate) fn take_refusal(&self) -> Option<Refusal> {
        if !self.refused.swap(false, Relaxed) {
            return None;
        }
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// An exchange on a connection, until its response has ended.
#[derive(Debug)]
pub(crate) struct InExchange(pub(crate) Arc<Signals>);

impl InExchange {
    /// The response broke off.
    pub(crate) fn set_failed(&self) {
        self.0.failed.store(true, Relaxed);
    }
}

impl Drop for InExchange {
    fn drop(&mut self) {
        self.0.exchange.store(false, Relaxed);
        if self.0.phase() == Phase::Answer {
            self.0.enter(Phase::Idle);
        }
    }
}
