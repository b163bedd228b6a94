//! How far the body of a request has come on its way to the upstream.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;

use super::error::BoxError;

/// How far an upload has come, for the one who waits for the answer to it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    complete: AtomicBool,
    /// The client owes us bytes, the upstream owes us nothing.
    starved: AtomicBool,
    /// How often the upstream has taken some of it, or the client had none: it stands still when the upstream takes
    /// nothing.
    polls: AtomicU32,
    stopped: AtomicBool,
    error: Mutex<Option<BoxError>>,
    exchange: AtomicWaker,
    upload: AtomicWaker,
}

impl Progress {
    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    pub(super) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    pub(super) fn polls(&self) -> u32 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Whom to wake when the upload completes or fails.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.exchange.register(cx.waker());
    }

    /// The client's error, once.
    pub(super) fn take_error(&self) -> Option<BoxError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends the upload. Its stream or its connection is ended by whoever ends the exchange.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.upload.wake();
    }

    /// For the sending side: whether it is to end. Wakes it if that comes later.
    pub(super) fn poll_stopped(&self, cx: &Context<'_>) -> bool {
        self.upload.register(cx.waker());
        self.stopped.load(Ordering::Acquire)
    }

    /// The upstream takes, and `starved` says whether the client has nothing to give.
    pub(super) fn moved(&self, starved: bool) {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.starved.store(starved, Ordering::Relaxed);
    }

    /// The last of it is on its way.
    pub(super) fn finish(&self) {
        self.complete.store(true, Ordering::Release);
        self.exchange.wake();
    }

    /// The client's side has failed.
    pub(super) fn fail(&self, error: BoxError) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.exchange.wake();
    }
}
