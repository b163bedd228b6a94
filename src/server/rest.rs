//! A connection on which nothing is under way.
//!
//! hyper needs some 20 KiB for a connection whether anything goes on there or not, and most connections idle most of the
//! time. So one that has idled for a while is taken apart, down to its socket and what its times need, and put together
//! again when something comes. One that has just been accepted begins like that. Nothing is read meanwhile, so nothing that
//! comes in between is lost.
//!
//! Not where TLS is spoken: most of what such a connection needs is the session's.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::connection::Connection;
use super::drain::Stage;

impl Connection {
    /// Whether the connection is one that can rest.
    pub(super) fn may_rest(&self) -> bool {
        !self.client.is_secured()
    }

    /// Waits until there is something to read. False if the connection has come to its end instead: it was idle for too
    /// long, has made room for another, or the client has left.
    pub(super) async fn rest(&mut self) -> bool {
        tracing::trace!(client = %self.client.peer(), "a connection rests");
        poll_fn(|cx| self.poll_rest(cx)).await
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.socket.poll_readable(cx).is_ready() {
            return Poll::Ready(!self.socket.is_hung_up() || self.socket.has_unread());
        }
        // Before the stage is looked at, so that no change of it is missed.
        self.signals.task.register(cx.waker());
        let stage = self.stage();
        if stage >= Stage::Cut || self.poll_overdue(cx, stage).is_ready() {
            return Poll::Ready(false);
        }
        Poll::Pending
    }
}
