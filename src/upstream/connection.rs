//! What one exchange has of a connection, and what can be done with it when the exchange ends.

use super::endpoint::Seat;
use super::http2;
use super::pool;

/// All of an HTTP/1.1 connection, or one stream of an HTTP/2 connection.
#[derive(Debug)]
pub(super) enum Connection<B> {
    Http1(pool::Connection<B>),
    Stream(http2::Stream),
}

impl<B> Connection<B> {
    /// Whether it had carried another exchange before.
    pub(super) fn reused(&self) -> bool {
        match self {
            Connection::Http1(connection) => connection.reused,
            Connection::Stream(stream) => stream.reused(),
        }
    }

    /// Tells the upstream that nobody waits for it any more. Whether its own end can still be heard after that: a stream
    /// can only be reset, and of a stream that is reset nothing is heard.
    #[must_use]
    pub(super) fn tell(&self) -> bool {
        match self {
            Connection::Http1(connection) => {
                connection.socket.close_for_writing();
                true
            }
            Connection::Stream(_) => false,
        }
    }

    /// It has become something else, in which the timeouts of an exchange say nothing.
    pub(super) fn upgraded(&self) {
        if let Connection::Http1(connection) = self {
            // It fails only where the connection is gone already.
            let _ = connection.socket.set_user_timeout(None);
        }
    }

    /// The exchange has ended on both sides.
    pub(super) fn give_back(self, seat: &Seat<B>) {
        match self {
            Connection::Http1(connection) => seat.put(connection),
            // Its place is free for the next stream with this.
            Connection::Stream(stream) => drop(stream),
        }
    }

    /// Ends it for our side. From here on hyper's writes succeed and vanish, so that it closes the connection even if
    /// the upstream takes nothing of what it wants to write first.
    pub(super) fn stop(&self) {
        match self {
            Connection::Http1(connection) => connection.socket.close_for_writing(),
            Connection::Stream(stream) => stream.reset(),
        }
    }

    /// Ends it for both sides, without waiting for what is still on its way.
    pub(super) fn reset(&self) {
        if let Connection::Http1(connection) = self {
            connection.socket.reset_on_close();
        }
        self.stop();
    }
}
