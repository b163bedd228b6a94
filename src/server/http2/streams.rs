//! What a connection knows of its streams.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::wire::Signals;
use super::resets::{Resets, Verdict};

/// Counts, for the connection's task. A stream is counted as open while its task runs: from the request's head until its
/// answer has been given to h2, which takes no more of it than the client has window for.
#[derive(Debug)]
pub(super) struct Streams {
    signals: Arc<Signals>,
    open: AtomicUsize,
    unanswered: AtomicUsize,
    resets: Mutex<Resets>,
    resets_too_much: AtomicBool,
    floods: AtomicBool,
}

/// One stream's share in the counts.
#[derive(Debug)]
pub(super) struct Counted {
    streams: Arc<Streams>,
    answered: bool,
}

impl Streams {
    pub(super) fn new(signals: Arc<Signals>) -> Self {
        Streams {
            signals,
            open: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            resets: Mutex::new(Resets::new()),
            resets_too_much: AtomicBool::new(false),
            floods: AtomicBool::new(false),
        }
    }

    /// A request has come.
    pub(super) fn count(self: &Arc<Self>) -> Counted {
        self.unanswered.fetch_add(1, Relaxed);
        if self.open.fetch_add(1, Relaxed) == 0 {
            self.signals.step();
        }
        Counted { streams: self.clone(), answered: false }
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Requests whose answer has not begun.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.load(Relaxed)
    }

    /// Whether the client is to be told to go.
    pub(super) fn resets_too_much(&self) -> bool {
        self.resets_too_much.load(Relaxed)
    }

    /// Whether it goes on after that.
    pub(super) fn floods_with_resets(&self) -> bool {
        self.floods.load(Relaxed)
    }

    fn note_reset(&self) {
        let now = tokio::time::Instant::now().into_std();
        match self.resets.lock().unwrap_or_else(PoisonError::into_inner).count(now) {
            Verdict::Fine => return,
            Verdict::TooMuch => self.resets_too_much.store(true, Relaxed),
            Verdict::Flood => self.floods.store(true, Relaxed),
        }
        self.signals.task.wake();
    }
}

impl Counted {
    /// The answer has begun.
    pub(super) fn answered(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            self.streams.unanswered.fetch_sub(1, Relaxed);
        }
    }

    /// The client has taken the request back before there was an answer.
    pub(super) fn reset(&self) {
        if !self.answered {
            self.streams.note_reset();
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.answered();
        if self.streams.open.fetch_sub(1, Relaxed) == 1 {
            self.streams.signals.step();
            self.streams.signals.task.wake();
        }
    }
}
