//! One request and its response, and how it ends when nobody waits for it any more.
//!
//! The permit of a request bounds what the *upstream* works on. A client that leaves does not make the upstream stop, so
//! the permit stays with the exchange: dropping an [`Exchange`]'s owner abandons it, and the exchange ends on its own
//! task, see [`abandon`](super::abandon).

use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::endpoint::Seat;
use super::faults::Faults;
use super::upload::Progress;

/// What happens upstream when the client has left, or a timeout of ours has ended its wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnClientGone {
    /// Tell the upstream (our side of the connection is closed for writing) and hold on until it ends. Over HTTP/2 this
    /// is [`Reset`](OnClientGone::Reset): nobody can hear the end of a stream that has been reset.
    #[default]
    Abort,
    /// Close the connection (over HTTP/2 the stream, with CANCEL), and hold on no longer.
    Reset,
    /// Do not tell the upstream; hold on until it ends.
    Finish,
}

/// How an abandoned exchange ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// What the upstream is told.
    pub on_client_gone: OnClientGone,
    /// How long it may take before its connection, or its stream, is reset.
    pub abort_grace: Duration,
}

/// An exchange under way. `H` is held until it has ended.
#[derive(Debug)]
pub(super) struct Exchange<B, H> {
    pub(super) connection: Connection<B>,
    /// `None` for a request without a body.
    pub(super) upload: Option<Arc<Progress>>,
    pub(super) ending: Ending,
    /// Whether the request asked for another protocol.
    pub(super) upgrade: bool,
    pub(super) faults: Arc<Faults>,
    // Behind the connection, and dropped after it.
    pub(super) seat: Seat,
    // The last to be dropped: whoever gets the permit next must find the seat free.
    pub(super) held: H,
}

impl<B, H> Exchange<B, H> {
    pub(super) fn is_upload_complete(&self) -> bool {
        self.upload.as_ref().is_none_or(|upload| upload.is_complete())
    }

    /// The response has ended. The connection is used again unless the upload has not ended with it.
    #[allow(clippy::boxed_local, reason = "only what is used again is moved out of the box")]
    pub(super) fn finish(mut self: Box<Self>) -> H {
        if self.is_upload_complete() {
            let Exchange { connection, seat, held, .. } = *self;
            connection.give_back(&seat);
            return held;
        }
        // The answer is complete, and nothing else of it can be lost. What the upstream does not read would stand
        // before an orderly end for as long as it likes.
        self.reset();
        self.held
    }

    /// Sends no more of the request, and tells the upstream that nobody waits for it. Whether its own end can be heard.
    #[must_use]
    pub(super) fn tell(&mut self) -> bool {
        let heard = self.connection.tell();
        if heard {
            self.stop_upload();
        }
        heard
    }

    /// Like [`stop`](Exchange::stop), without waiting for what is still on its way to the upstream.
    pub(super) fn reset(&mut self) {
        self.connection.reset();
        self.stop_upload();
    }

    /// Ends our side of it, even if an upload still waits for its client.
    pub(super) fn stop(&mut self) {
        self.connection.stop();
        self.stop_upload();
    }

    fn stop_upload(&self) {
        if let Some(upload) = &self.upload {
            upload.stop();
        }
    }
}
