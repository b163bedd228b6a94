//! An answer that does not depend on its client's pace.
//!
//! A server takes a body's frames as its client takes them. So that the exchange can end before a slow client has read
//! its answer (`buffer_response`), a task of its own, the *keeper*, takes them from the upstream, and the client's
//! connection takes them from here. The keeper stops where the buffer is full: beyond it, the client's pace is the
//! upstream's as always.
//!
//! Both are on one thread, so that their lock is never waited for. Whoever ends the exchange takes the upstream's body
//! out and drops it after unlocking; that abandons it if it has not ended.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::body::UpstreamBody;
use super::pieces::Pieces;
use crate::upstream::Failure;

/// The client's end of it. Dropping it means that the client has left.
#[derive(Debug)]
pub(super) struct Relay(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// `None` once it has ended, whoever ended it.
    upstream: Option<UpstreamBody>,
    /// What was read and not taken.
    ahead: Pieces,
    most: usize,
    /// How many bytes are still to be taken, if that is known.
    left: Option<u64>,
    /// How it broke off, until the client's side has been told.
    failure: Option<Failure>,
    client: Option<Waker>,
    keeper: Option<Waker>,
}

impl Relay {
    /// Reads `upstream` up to `most` bytes ahead of the client.
    pub(super) fn new(upstream: UpstreamBody, most: usize) -> Self {
        let left = upstream.size_hint().exact();
        let ahead = Pieces::new(most);
        let state = State { upstream: Some(upstream), ahead, most, left, failure: None, client: None, keeper: None };
        let shared = Arc::new(Mutex::new(state));
        tokio::spawn(Keeper { shared: shared.clone() });
        Relay(shared)
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let mut state = lock(&self.0);
        let full = state.ahead.len() >= state.most;
        if let Some(frame) = state.ahead.next() {
            let taken = frame.data_ref().map_or(0, Bytes::len) as u64;
            state.left = state.left.map(|left| left.saturating_sub(taken));
            // It waits for room, or for the upstream.
            let keeper = full.then(|| state.keeper.take()).flatten();
            drop(state);
            keeper.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(Ok(frame)));
        }
        if state.failure.is_some() || state.upstream.is_none() {
            return Poll::Ready(state.failure.take().map(Err));
        }
        state.client = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let state = lock(&self.0);
        state.upstream.is_none() && state.ahead.is_empty() && state.failure.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let state = lock(&self.0);
        match state.left {
            Some(left) => SizeHint::with_exact(left),
            None => {
                let mut hint = SizeHint::new();
                hint.set_lower(state.ahead.len() as u64);
                hint
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        let (upstream, keeper) = (state.upstream.take(), state.keeper.take());
        drop(state);
        drop(upstream);
        keeper.into_iter().for_each(Waker::wake);
    }
}

/// Reads ahead, until there is nothing more to read.
struct Keeper {
    shared: Arc<Mutex<State>>,
}

impl Future for Keeper {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.shared);
        let (ended, client) = (state.read_ahead(cx), state.news());
        let over = state.upstream.is_none();
        state.keeper = (!over).then(|| cx.waker().clone());
        drop(state);
        drop(ended);
        client.into_iter().for_each(Waker::wake);
        if over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl State {
    /// Reads as far as there is room. Returns the upstream's body once that has ended.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Option<UpstreamBody> {
        while self.ahead.len() < self.most {
            let upstream = self.upstream.as_mut()?;
            match Pin::new(&mut *upstream).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let more = !frame.is_trailers() && !upstream.is_end_stream();
                    self.ahead.push(frame, self.client.is_some());
                    if more {
                        continue;
                    }
                }
                Poll::Ready(Some(Err(failure))) => self.failure = Some(failure),
                Poll::Ready(None) => {}
                Poll::Pending => return None,
            }
            return self.upstream.take();
        }
        None
    }

    /// Whom to wake, if there is anything for the client.
    fn news(&mut self) -> Option<Waker> {
        let news = !self.ahead.is_empty() || self.failure.is_some() || self.upstream.is_none();
        news.then(|| self.client.take()).flatten()
    }
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
