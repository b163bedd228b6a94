//! A client's connection that carries HTTP/2.
//!
//! The h2 crate frames, multiplexes and keeps the windows. hyper's own server would do what is here and no more: it hands
//! h2 whole frames whatever the client has window for, takes a reset without an error for the end of a request, answers
//! HEAD with a body, and sends no `100 Continue`. Here every stream is a request with a task of its own (`stream.rs`),
//! and this file looks after the connection: one that idles or takes no byte is closed, a client that resets what it asks
//! for over and over is sent away, and a drain is told by GOAWAY.

mod request;
mod resets;
mod sending;
mod stream;
mod streams;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Handshake};

use self::stream::Stream;
use self::streams::Streams;
use super::connection::{Connection, DRAIN_IDLE, LINGER, linger};
use super::drain::Stage;
use super::wire::Wire;

/// What a client may send on a stream before we read it. The connection's window has room for all its streams: bodies
/// that nobody reads must not keep others from being sent.
const STREAM_WINDOW: u32 = 64 << 10;
/// So many streams that we have reset are remembered, for a second: a client may have sent more of an upload before it
/// heard that it was rejected. What comes for one that was forgotten counts as an error of the client, and a thousand of
/// those end its connection.
const REMEMBERED_RESETS: usize = 2048;
/// What h2 holds of an answer on its way to the socket.
const SEND_BUFFER: usize = 16 << 10;

/// The connection, as far as h2 has come with it.
enum Http2 {
    Greeting(Box<Handshake<Wire, Bytes>>),
    Serving(Box<h2::server::Connection<Wire, Bytes>>),
}

/// How far we are from letting the client go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// It is to be told, as soon as h2 can.
    Decided,
    /// GOAWAY has been sent, and what is open is finished.
    Told,
}

impl Connection {
    /// Serves a connection whose client speaks HTTP/2, to its end.
    pub(super) async fn run_http2(mut self, wire: Wire) {
        let settings = &self.worker.settings;
        // Twice ours, so that what is somewhat too large gets our answer; beyond that it is h2's.
        let max_header_list = u32::try_from(settings.max_header_bytes * 2).unwrap_or(u32::MAX);
        let window = STREAM_WINDOW.saturating_mul(settings.h2_max_streams).min(i32::MAX as u32);
        let greeting = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(window)
            .max_concurrent_streams(settings.h2_max_streams)
            .max_header_list_size(max_header_list)
            .max_send_buffer_size(SEND_BUFFER)
            .max_concurrent_reset_streams(REMEMBERED_RESETS)
            .handshake(wire);
        let streams = Arc::new(Streams::new(self.signals.clone()));
        let mut driver = Driver { http2: Http2::Greeting(Box::new(greeting)), streams, leaving: Leaving::No };
        let orderly = poll_fn(|cx| self.poll_http2(&mut driver, cx)).await;
        if orderly {
            // Frames of the client may be on their way: closing over them would be a reset.
            let patience = if self.stage() == Stage::Serving { LINGER } else { DRAIN_IDLE };
            linger(&self.socket, patience).await;
        }
    }

    /// Ready when the connection has ended; true if h2 has said all that it had to say.
    fn poll_http2(&mut self, driver: &mut Driver, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if self.poll_requests(driver, cx).is_ready() {
                return Poll::Ready(true);
            }
            // Before anything is looked at that is told by it.
            self.signals.task.register(cx.waker());
            let stage = self.stage();
            if stage >= Stage::Cut {
                self.worker.control.lost.fetch_add(driver.streams.unanswered(), Relaxed);
                return Poll::Ready(false);
            }
            if (stage >= Stage::Draining || driver.streams.resets_too_much()) && driver.leaving == Leaving::No {
                driver.leaving = Leaving::Decided;
                self.timed = None;
                continue;
            }
            if driver.streams.floods_with_resets() {
                driver.abort(Reason::ENHANCE_YOUR_CALM, cx);
                return Poll::Ready(false);
            }
            // While h2 can't write, it may not read either.
            if self.signals.is_write_blocked() && self.poll_watch(cx).is_ready() {
                return Poll::Ready(false);
            }
            ready!(self.poll_http2_overdue(driver, stage, cx));
            match driver.leaving {
                _ if self.signals.is_write_blocked() => return Poll::Ready(false),
                Leaving::No => driver.leaving = Leaving::Decided,
                // It does not answer GOAWAY's ping, or never ended its preface.
                Leaving::Decided | Leaving::Told => return Poll::Ready(false),
            }
            self.timed = None;
        }
    }

    /// Takes requests as they come. Ready when the connection has ended.
    fn poll_requests(&self, driver: &mut Driver, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut driver.http2 {
                Http2::Greeting(greeting) => match ready!(Pin::new(&mut **greeting).poll(cx)) {
                    Ok(connection) => driver.http2 = Http2::Serving(Box::new(connection)),
                    Err(_) => return Poll::Ready(()),
                },
                Http2::Serving(connection) => {
                    if driver.leaving == Leaving::Decided {
                        connection.graceful_shutdown();
                        driver.leaving = Leaving::Told;
                    }
                    match ready!(connection.poll_accept(cx)) {
                        Some(Ok(request)) => {
                            tokio::spawn(Stream::new(&driver.streams, request, &self.worker, &self.client));
                        }
                        Some(Err(error)) => {
                            tracing::trace!(%error, "a client's connection ended");
                            return Poll::Ready(());
                        }
                        None => return Poll::Ready(()),
                    }
                }
            }
        }
    }

    /// Ready when the connection has been without a stream, or without taking a byte, for too long.
    fn poll_http2_overdue(&mut self, driver: &Driver, stage: Stage, cx: &mut Context<'_>) -> Poll<()> {
        let now = (self.signals.progress(), stage);
        if self.timed != Some(now) {
            self.timed = Some(now);
            let settings = &self.worker.settings;
            let patience = match (driver.streams.open(), driver.leaving) {
                _ if self.signals.is_write_blocked() => Some(settings.write_idle_timeout),
                (0, Leaving::No) => Some(settings.idle_timeout),
                (0, _) => Some(settings.idle_timeout.min(DRAIN_IDLE)),
                _ => None,
            };
            let idle = driver.streams.open() == 0 && !self.signals.is_write_blocked();
            self.wait_for(patience, idle);
        }
        if self.signals.is_asked_to_go() {
            if self.signals.idle_since() == 0 {
                // Also while it goes: a stream that it has begun meanwhile may last, and another connection can make room.
                self.worker.control.crowd.note_busy(&self.signals);
            } else if driver.leaving == Leaving::No {
                return Poll::Ready(());
            }
        }
        self.timer.poll(cx)
    }
}

/// h2, and what we know of its streams.
struct Driver {
    http2: Http2,
    streams: Arc<Streams>,
    leaving: Leaving,
}

impl Driver {
    /// Ends the connection at once, and says why.
    fn abort(&mut self, reason: Reason, cx: &mut Context<'_>) {
        if let Http2::Serving(connection) = &mut self.http2 {
            connection.abrupt_shutdown(reason);
            let _ = connection.poll_closed(cx);
        }
    }
}
