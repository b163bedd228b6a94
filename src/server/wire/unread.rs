//! What is left of a request that has been answered.

use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::head::Framing;
use super::{Phase, State, Wire};

impl Wire {
    /// After hyper has finished: bytes were sent to us that nobody has read. Closing now would reset the connection,
    /// and the client might never see the answer.
    pub(crate) fn has_unread(&self) -> bool {
        !matches!(self.state, State::Head { .. } | State::Complete) || !self.held.is_empty()
    }

    /// After hyper has finished because a request's body was not read: whether it may be dropped, and the next request
    /// read. `most` bounds what a body of known length may have left, and all of a chunked one: how much of that came along
    /// with the head, and so is gone, is chance.
    pub(crate) fn can_resume(&self, most: u64) -> bool {
        self.keep_alive
            && self.chunked <= most
            && match &self.state {
                State::Body(Framing::Length(left)) => *left <= most,
                State::Body(_) => true,
                // hyper gave up reading a body that had come whole.
                State::Complete => !self.signals.in_exchange(),
                _ => false,
            }
    }

    /// Reads and drops the rest of a body after which it [can resume](Wire::can_resume). True once its end has been reached.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>, most: u64) -> Poll<bool> {
        let mut scratch = [0; 4096];
        loop {
            if self.chunked > most {
                return Poll::Ready(false);
            }
            if matches!(self.state, State::Complete) {
                self.state = State::Head { seen: 0 };
                self.signals.enter(Phase::Idle);
                return Poll::Ready(true);
            }
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(self.poll_message(cx, &mut buf)) {
                Ok(()) if buf.filled().is_empty() => return Poll::Ready(false),
                Ok(()) => {}
                Err(_) => return Poll::Ready(false),
            }
        }
    }
}
