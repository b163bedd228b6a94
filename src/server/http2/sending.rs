//! A body on its way into its stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};
use tokio::time::Instant;

use crate::proxy::{Body, Upload, remove_hop_by_hop};
use crate::timer::Timer;

/// What is sent behind the head of an answer. Nothing happens but by polling it.
pub(super) struct Sending {
    body: Body,
    stream: SendStream<Bytes>,
    /// That of a request which still waits.
    upload: Option<Arc<Upload>>,
    /// What was taken of the body and has not been sent.
    data: Bytes,
    /// Whether nothing comes behind that.
    end: bool,
    /// Runs while the client gives no window.
    stuck: Timer,
}

/// Why no more of a body is sent.
enum Stop {
    /// All of it has been.
    Done,
    /// It broke off; the client must not take it for complete.
    Broken,
    /// The client does not want it.
    Left,
}

impl Sending {
    pub(super) fn new(body: Body, stream: SendStream<Bytes>, upload: Option<Arc<Upload>>) -> Self {
        Sending { body, stream, upload, data: Bytes::new(), end: false, stuck: Timer::default() }
    }

    /// Sends what there is. Ready when no more of it is sent, whatever the reason, which may be that the client has given no
    /// window for `patience`.
    pub(super) fn poll(&mut self, patience: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(Stop::Broken) = ready!(self.poll_all(patience, cx)) {
            self.stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Poll::Ready(())
    }

    fn poll_all(&mut self, patience: Duration, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        loop {
            ready!(self.poll_send(patience, cx))?;
            if self.end {
                return Poll::Ready(Ok(()));
            }
            let frame = ready!(self.poll_frame(cx))?;
            self.end = self.body.is_end_stream();
            match frame.into_data() {
                Ok(data) if data.is_empty() => self.stream.send_data(data, self.end).map_err(|_| Stop::Left)?,
                Ok(data) => {
                    if !self.may_leave_out(&data, cx) {
                        self.data = data;
                    }
                }
                Err(frame) => {
                    if let Ok(mut trailers) = frame.into_trailers() {
                        // A peer takes those for malformed.
                        remove_hop_by_hop(&mut trailers);
                        self.stream.send_trailers(trailers).map_err(|_| Stop::Left)?;
                        return Poll::Ready(Err(Stop::Done));
                    }
                }
            }
        }
    }

    /// The next frame of the body.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<Bytes>, Stop>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(upload) = self.upload.take_if(|_| !self.body.is_waiting()) {
            upload.set_answered();
        }
        match frame {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(frame)),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Err(Stop::Broken)),
            Poll::Ready(None) => {
                let _ = self.stream.send_data(Bytes::new(), true);
                Poll::Ready(Err(Stop::Done))
            }
            Poll::Pending => self.stream.poll_reset(cx).map(|_| Err(Stop::Left)),
        }
    }

    /// Whoever waits for window does not poll the request that waits. A comment that there is no window for can be left out,
    /// and one that there is not enough for as well.
    fn may_leave_out(&mut self, data: &Bytes, cx: &mut Context<'_>) -> bool {
        if !self.body.is_waiting() {
            return false;
        }
        self.stream.reserve_capacity(data.len());
        let _ = self.stream.poll_capacity(cx);
        self.stream.capacity() < data.len()
    }

    /// Gives h2 as much as there is window for. Ready when all that was taken has been sent.
    fn poll_send(&mut self, patience: Duration, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        while !self.data.is_empty() {
            // No more than can be sent at once: what is reserved is kept from the other streams.
            let wanted = self.data.len().min(super::SEND_BUFFER);
            self.stream.reserve_capacity(wanted);
            let mut room = self.stream.capacity();
            if room < wanted {
                room = ready!(self.poll_room(patience, cx))?;
            }
            self.stuck.set(None);
            let piece = self.data.split_to(room.min(self.data.len()));
            self.stream.send_data(piece, self.end && self.data.is_empty()).map_err(|_| Stop::Left)?;
        }
        Poll::Ready(Ok(()))
    }

    /// How much there is window for.
    fn poll_room(&mut self, patience: Duration, cx: &mut Context<'_>) -> Poll<Result<usize, Stop>> {
        loop {
            match (self.stream.capacity(), self.stream.poll_capacity(cx)) {
                (0, Poll::Ready(Some(Ok(_)))) => {}
                (0, Poll::Pending) => break,
                (0, Poll::Ready(_)) => return Poll::Ready(Err(Stop::Left)),
                (room, _) => return Poll::Ready(Ok(room)),
            }
        }
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(Stop::Left));
        }
        if !self.stuck.is_set() {
            self.stuck.set(Instant::now().checked_add(patience));
        }
        ready!(self.stuck.poll(cx));
        Poll::Ready(Err(Stop::Left))
    }
}
