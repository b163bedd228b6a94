//! An answer that does not depend on its client's pace.
//!
//! A server takes a body's frames as its client takes them. So that the exchange can end before a slow client has read
//! its answer (`buffer_response`), a task of its own, the *keeper*, takes them from the upstream, and the client's
//! connection takes them from here. The keeper stops where the buffer is full: beyond it, the client's pace is the
//! upstream's as always. Without a buffer, the client's connection takes them from the upstream itself.
//!
//! The keeper keeps the exchange's deadline as well. What has not ended by then is abandoned, and the client's answer
//! breaks off.
//!
//! Both are on one thread, so that their lock is never waited for. Whoever ends the exchange takes the upstream's body
//! out and drops it after unlocking; that abandons it if it has not ended.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::body::UpstreamBody;
use super::deadline::{Due, timer};
use super::pieces::Pieces;
use crate::timer::Timer;
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
    /// What becomes of it at the deadline.
    due: Option<Due>,
    /// How it broke off, until the client's side has been told.
    failure: Option<Failure>,
    client: Option<Waker>,
    keeper: Option<Waker>,
}

impl Relay {
    /// Reads `upstream` up to `most` bytes ahead of the client, until the deadline.
    pub(super) fn new(upstream: UpstreamBody, most: usize, due: Option<Due>) -> Self {
        let left = upstream.size_hint().exact();
        let ahead = Pieces::new(most);
        let state =
            State { upstream: Some(upstream), ahead, most, left, due, failure: None, client: None, keeper: None };
        let shared = Arc::new(Mutex::new(state));
        tokio::spawn(Keeper { shared: shared.clone(), deadline: timer(due.map(|due| due.at)) });
        Relay(shared)
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let mut state = lock(&self.0);
        let full = state.most > 0 && state.ahead.len() >= state.most;
        let polled = match state.ahead.next() {
            Some(frame) => Poll::Ready((Some(Ok(frame)), None)),
            None if state.failure.is_some() => Poll::Ready((state.failure.take().map(Err), None)),
            None if state.most > 0 && state.upstream.is_some() => Poll::Pending,
            None => state.poll_upstream(cx),
        };
        let Poll::Ready((frame, ended)) = polled else {
            state.client = Some(cx.waker().clone());
            return Poll::Pending;
        };
        if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
            let taken = data.map_or(0, Bytes::len) as u64;
            state.left = state.left.map(|left| left.saturating_sub(taken));
        }
        // It waits for room, or for the end.
        let keeper = (full || state.is_over()).then(|| state.keeper.take()).flatten();
        drop(state);
        drop(ended);
        keeper.into_iter().for_each(Waker::wake);
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let state = lock(&self.0);
        state.is_over() && state.failure.is_none()
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
        state.ahead = Pieces::new(0);
        drop(state);
        drop(upstream);
        keeper.into_iter().for_each(Waker::wake);
    }
}

/// Reads ahead, until there is nothing more to read, and waits for the deadline, until there is nothing more to cut.
struct Keeper {
    shared: Arc<Mutex<State>>,
    deadline: Timer,
}

impl Future for Keeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Keeper { shared, deadline } = &mut *self;
        let mut state = lock(shared);
        let ended = if deadline.poll(cx).is_ready() { state.cut() } else { state.read_ahead(cx) };
        let client = state.news();
        let done = state.is_over() || state.upstream.is_none() && !deadline.is_set();
        state.keeper = (!done).then(|| cx.waker().clone());
        drop(state);
        drop(ended);
        client.into_iter().for_each(Waker::wake);
        if done { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// What the upstream's body said, and the body itself once it has ended.
type Polled = (Option<Result<Frame<Bytes>, Failure>>, Option<UpstreamBody>);

impl State {
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        let Some(upstream) = &mut self.upstream else { return Poll::Ready((None, None)) };
        let frame = ready!(Pin::new(&mut *upstream).poll_frame(cx));
        let more = matches!(&frame, Some(Ok(frame)) if !frame.is_trailers()) && !upstream.is_end_stream();
        Poll::Ready((frame, if more { None } else { self.upstream.take() }))
    }

    /// Reads as far as there is room. Returns the upstream's body once that has ended.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Option<UpstreamBody> {
        while self.ahead.len() < self.most && self.upstream.is_some() {
            let Poll::Ready((frame, ended)) = self.poll_upstream(cx) else { break };
            match frame {
                Some(Ok(frame)) => self.ahead.push(frame, self.client.is_some()),
                Some(Err(failure)) => self.failure = Some(failure),
                None => {}
            }
            if ended.is_some() {
                return ended;
            }
        }
        None
    }

    /// Ends it. Returns the upstream's body, if that had not ended.
    fn cut(&mut self) -> Option<UpstreamBody> {
        if !self.is_over() {
            self.failure = self.due.map(Due::failure);
            self.ahead = Pieces::new(0);
        }
        self.upstream.take()
    }

    /// Whether the client has taken all that there is.
    fn is_over(&self) -> bool {
        self.upstream.is_none() && self.ahead.is_empty()
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
