//! The task of a connection: reads and writes for all of its streams.
//!
//! It has no opinion of a peer that is silent. How long a request may take is up to its own timeouts, and a peer that is
//! gone is found by the kernel (`connect.rs`). PINGs of ours would be answered by a peer whose application hangs, and
//! gRPC's C-core servers end a connection that sends more than two in five minutes of silence.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::connection::State;
use super::watched::Watched;

/// Drives a connection to its end.
pub(super) struct Drive {
    connection: h2::client::Connection<Watched, Bytes>,
    state: Arc<State>,
}

impl Drive {
    pub(super) fn new(connection: h2::client::Connection<Watched, Bytes>, state: Arc<State>) -> Self {
        Drive { connection, state }
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.state.clone()
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ended = ready!(Pin::new(&mut self.connection).poll(cx));
        // Whoever has a stream on it hears of it there.
        tracing::trace!(?ended, "an upstream connection ended");
        Poll::Ready(())
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.state.end();
    }
}
