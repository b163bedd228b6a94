//! The task of a connection: reads and writes for all of its streams.
//!
//! It has no opinion of a peer that is silent. How long a request may take is up to its own timeouts, and a peer that is
//! gone is found by the kernel (`connect.rs`). PINGs of ours would be answered by a peer whose application hangs, and
//! gRPC's C-core servers end a connection that sends more than two in five minutes of silence.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::connection::State;
use super::watched::Watched;
use crate::timer::Timer;

/// Drives a connection to its end.
pub(super) struct Drive {
    connection: h2::client::Connection<Watched, Bytes>,
    io: Watched,
    state: Arc<State>,
    linger: Timer,
}

/// How long a connection without streams may take to write its last words, or any. A peer that reads nothing would keep it,
/// with all that it was sent, for as long as the kernel has patience with it, which is more than ours with a request.
const LINGER: Duration = Duration::from_secs(5);

impl Drive {
    pub(super) fn new(connection: h2::client::Connection<Watched, Bytes>, io: Watched, state: Arc<State>) -> Self {
        Drive { connection, io, state, linger: Timer::default() }
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.state.clone()
    }

    /// Ready when a connection without streams is kept up by nothing but a peer that does not read. While there are
    /// streams, their own timeouts rule.
    fn poll_lingered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.state.poll_left_behind(cx) {
                self.linger.set(None);
                return Poll::Pending;
            }
            if !self.linger.is_set() {
                self.linger.set(Some(Instant::now() + LINGER));
            }
            ready!(self.linger.poll(cx));
            if self.state.retire_if_vacant() {
                return Poll::Ready(());
            }
        }
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(cx) {
            // Whoever has a stream on it hears of it there.
            tracing::trace!(?ended, "an upstream connection ended");
            return Poll::Ready(());
        }
        ready!(this.poll_lingered(cx));
        tracing::debug!("an upstream connection whose peer does not read was reset");
        this.io.socket.reset_on_close();
        Poll::Ready(())
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.state.end();
    }
}
