//! One request and its answer on a connection.

use std::io;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use http_body::{Body, Frame, SizeHint};

use super::connection::Connection;
use super::framing::Malformed;
use super::head;
use super::io::UpgradedIo;
use super::receiving::Next;
use super::sending::{Pump, Sending};
use crate::upstream::await_head::Unanswered;
use crate::upstream::error::{BoxError, Failure};
use crate::upstream::source::Source;
use crate::upstream::upload::Progress;

/// An exchange under way. Nothing happens but by polling it.
#[derive(Debug)]
pub(in crate::upstream) struct Exchange<B> {
    connection: Box<Connection>,
    /// The body of the request, while it is sent from here.
    sending: Option<Box<Sending<B>>>,
    sent: Sent,
    /// What comes is no TLS, or not what was sent. Nothing of it can be read any more but its end.
    garbled: bool,
}

/// How far the request has come.
#[derive(Debug)]
enum Sent {
    /// It is on its way.
    No,
    /// The kernel has all of it, or somebody else sends the rest.
    Yes,
    /// The upstream takes no more of it. It may still answer.
    Refused(io::Error),
}

impl<B> Exchange<B> {
    /// Begins an exchange; nothing is sent before it is polled. With a body, there is progress to watch.
    pub(in crate::upstream) fn new(
        mut connection: Box<Connection>,
        parts: Box<Parts>,
        body: Option<Source<B>>,
    ) -> (Self, Option<Arc<Progress>>) {
        head::write(&parts, body.is_some(), connection.out.begin());
        let sending = body.map(|body| Box::new(Sending::new(body, &parts.headers)));
        let progress = sending.as_ref().map(|sending| sending.progress().clone());
        connection.receiving.begin();
        connection.request = Some(parts);
        (Exchange { connection, sending, sent: Sent::No, garbled: false }, progress)
    }

    pub(in crate::upstream) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub(in crate::upstream) fn reused(&self) -> bool {
        self.connection.reused
    }

    /// Sends no more of the body, and tells the upstream that nothing more will come.
    pub(in crate::upstream) fn close_for_writing(&mut self) {
        self.sending = None;
        self.connection.socket().close_for_writing();
    }

    /// Makes the coming close a reset.
    pub(in crate::upstream) fn reset_on_close(&self) {
        self.connection.socket().reset_on_close();
    }

    /// The connection, if it can carry another exchange. All of this one has come to its end.
    pub(in crate::upstream) fn into_connection(self) -> Option<Box<Connection>> {
        let mut connection = self.connection;
        let usable = matches!(self.sent, Sent::Yes) && connection.receiving.can_go_on();
        connection.settle();
        usable.then_some(connection)
    }

    /// What the connection has become, after a 101.
    pub(in crate::upstream) fn into_upgraded(mut self) -> UpgradedIo {
        // It fails only where the connection is gone already. The timeouts of an exchange say nothing from here on.
        let _ = self.connection.socket().set_user_timeout(None);
        let (ahead, io) = self.connection.hand_over();
        UpgradedIo::new(ahead, io)
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        loop {
            match self.connection.receiving.next() {
                Ok(Next::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(Next::End) => return Poll::Ready(None),
                Ok(Next::More) => {}
                Err(malformed) => return Poll::Ready(Some(Err(protocol(malformed)))),
            }
            match ready!(self.connection.poll_read(cx)) {
                Ok(0) if self.connection.receiving.close() => return Poll::Ready(None),
                Ok(0) => return Poll::Ready(Some(Err(Failure::Reset(Cut.into())))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(self.unread(error)))),
            }
        }
    }

    pub(in crate::upstream) fn is_end_stream(&self) -> bool {
        self.connection.receiving.is_over()
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        self.connection.receiving.size_hint()
    }

    /// Reads and drops the answer, and sends what is left of the request's head. Ready when the upstream has sent all of it,
    /// or has closed. What turns out to be no answer has no other end than the close, so an upstream that has not been told yet
    /// that nobody waits is told then.
    pub(in crate::upstream) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.garbled {
            return self.connection.poll_closed(cx);
        }
        if let Sent::No = self.sent {
            let (out, socket) = self.connection.sender();
            if let Poll::Ready(sent) = out.poll_flush(socket, cx) {
                self.sent = sent.map_or_else(Sent::Refused, |()| Sent::Yes);
            }
        }
        if self.connection.receiving.is_before_head()
            && let Err(failure) = ready!(self.poll_response(cx))
        {
            if !matches!(failure, Failure::Protocol(_)) {
                return Poll::Ready(());
            }
            self.close_for_writing();
        }
        while !self.garbled {
            match ready!(self.poll_frame(cx)) {
                Some(Ok(_)) => {}
                Some(Err(Failure::Protocol(_))) => self.close_for_writing(),
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        }
        self.connection.poll_closed(cx)
    }

    /// Why nothing more can be read. What comes may be no TLS: then the connection has not been closed by the upstream, which
    /// may be working.
    fn unread(&mut self, error: io::Error) -> Failure {
        self.garbled = is_garbled(&error);
        let error = error.into();
        if self.garbled { Failure::Protocol(Some(error)) } else { Failure::Reset(error) }
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Failure>> {
        let connection = &mut *self.connection;
        loop {
            let request = connection.request.as_mut().expect("the request is present until the head has come");
            match connection.receiving.head(request.method == Method::HEAD, &mut request.headers) {
                Ok(Some(response)) => {
                    // What is wrong at once can still be told.
                    if let Err(malformed) = connection.receiving.look_ahead() {
                        return Poll::Ready(Err(protocol(malformed)));
                    }
                    connection.request = None;
                    return Poll::Ready(Ok(response));
                }
                Ok(None) => {}
                Err(malformed) => return Poll::Ready(Err(protocol(malformed))),
            }
            match ready!(connection.poll_read(cx)) {
                Ok(0) => return Poll::Ready(Err(Failure::Reset(Cut.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.unread(error))),
            }
        }
    }

    /// The request as it was, of which the upstream has seen nothing.
    fn unprocessed(&mut self, failure: Failure) -> Unanswered<B> {
        let parts = self.connection.request.take();
        match self.sending.take().map(|sending| sending.into_source()) {
            None => Unanswered::Unprocessed { parts, body: None, failure, refused: false },
            Some(Some(body)) => Unanswered::Unprocessed { parts, body: Some(body), failure, refused: false },
            // Too much of it is gone.
            Some(None) => Unanswered::Ended(failure),
        }
    }
}

impl<B> Exchange<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends the request, and resolves to the head of its answer. What is left of the body then, a task sends.
    pub(in crate::upstream) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Unanswered<B>>> {
        if let Sent::No = self.sent {
            let (out, socket) = self.connection.sender();
            let sent = match &mut self.sending {
                Some(sending) => sending.poll(out, socket, cx),
                None => out.poll_flush(socket, cx),
            };
            match sent {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    self.sent = Sent::Yes;
                    self.sending = None;
                }
                Poll::Ready(Err(error)) if out.written() == 0 => {
                    return Poll::Ready(Err(self.unprocessed(Failure::Reset(error.into()))));
                }
                Poll::Ready(Err(error)) => self.sent = Sent::Refused(error),
            }
        }
        match ready!(self.poll_response(cx)) {
            Ok(response) => {
                self.send_the_rest();
                Poll::Ready(Ok(response))
            }
            Err(failure @ Failure::Protocol(_)) => Poll::Ready(Err(Unanswered::Ended(failure))),
            Err(failure) => Poll::Ready(Err(self.closed(failure))),
        }
    }

    /// The answer has begun before the request had ended. A client that sends all before it reads anything would have
    /// neither go on if both were done by whoever reads.
    fn send_the_rest(&mut self) {
        if let Some(sending) = self.sending.take()
            && let Sent::No = self.sent
        {
            let (out, socket) = (mem::take(&mut self.connection.out), self.connection.socket().clone());
            tokio::spawn(Pump { sending, out, socket });
            // Whether it has come to its end is said by its progress.
            self.sent = Sent::Yes;
        }
    }

    /// There will be no answer.
    fn closed(&mut self, failure: Failure) -> Unanswered<B> {
        let failure = match mem::replace(&mut self.sent, Sent::Yes) {
            Sent::Refused(error) => Failure::Reset(error.into()),
            Sent::No if self.connection.out.written() == 0 => return self.unprocessed(failure),
            _ => failure,
        };
        if failure.is_of_the_upstream() {
            let parts = self.connection.request.take();
            Unanswered::Closed { parts, failure }
        } else {
            Unanswered::Ended(failure)
        }
    }
}

fn protocol(malformed: Malformed) -> Failure {
    Failure::Protocol(Some(malformed.into()))
}

/// Whether what comes can't be read, as TLS says it. An alert can: with that, the peer has ended the connection.
fn is_garbled(error: &io::Error) -> bool {
    let said = error.get_ref().and_then(|error| error.downcast_ref());
    said.is_some_and(|error| !matches!(error, rustls::Error::AlertReceived(_)))
}

/// The upstream has closed the connection in the middle of an answer, or before it.
#[derive(Debug, thiserror::Error)]
#[error("the connection ended before the answer did")]
struct Cut;
