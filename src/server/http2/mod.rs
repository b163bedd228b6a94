//! A client's connection that carries HTTP/2.
//!
//! hyper and h2 frame, multiplex and keep the windows; every stream has a task of its own, which a reset ends. What they
//! leave undone is here: a connection that idles or takes no byte is closed, a client that resets what it asks for over
//! and over is sent away, and a drain is told by GOAWAY.

mod body;
mod request;
mod streams;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use http::header::CONNECTION;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use self::body::StreamBody;
use self::streams::{Spawn, Stream, Streams};
use super::connection::{Connection, DRAIN_IDLE, LINGER, linger};
use super::drain::Stage;
use super::wire::Wire;
use super::worker::Worker;
use crate::proxy::{Client, RequestBody};

/// What a stream's client may send before we read it, and what all of a connection's may: waiting bodies are on the
/// account of `queue_bytes` as soon as they are read, and these are the bytes before that.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// What is held of an answer that the client has no window for.
const SEND_BUFFER: usize = 64 << 10;

/// What is asked of hyper.
enum Ask {
    /// To go on.
    Poll,
    /// To say GOAWAY, and to finish what is open.
    Leave,
}

impl Connection {
    /// Serves a connection whose client speaks HTTP/2, to its end.
    pub(super) async fn run_http2(mut self, wire: Wire) {
        let settings = self.worker.settings.clone();
        let streams =
            Arc::new(Streams::new(self.signals.clone(), settings.write_idle_timeout, settings.h2_max_streams));
        let service = {
            let (worker, client, streams) = (self.worker.clone(), self.client.clone(), streams.clone());
            // The stream is opened here, not in the future: hyper spawns it next, and the two are put together there.
            service_fn(move |request| answer(worker.clone(), client.clone(), streams.open(), request))
        };
        // Twice ours, so that what is somewhat too large gets our answer; beyond that it is h2's.
        let max_header_list = u32::try_from(settings.max_header_bytes * 2).unwrap_or(u32::MAX);
        let http = http2::Builder::new(Spawn(streams.clone()))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(settings.h2_max_streams)
            .max_header_list_size(max_header_list)
            .max_send_buf_size(SEND_BUFFER)
            .serve_connection(TokioIo::new(wire), service);
        let orderly = {
            let mut http = pin!(http);
            let ask = |ask: Ask, cx: &mut Context<'_>| match ask {
                Ask::Poll => http.as_mut().poll(cx).map(drop),
                Ask::Leave => {
                    http.as_mut().graceful_shutdown();
                    Poll::Pending
                }
            };
            self.drive(&streams, ask).await
        };
        if orderly {
            // Frames of the client may be on their way: closing over them would be a reset.
            let patience = if self.stage() == Stage::Serving { LINGER } else { DRAIN_IDLE };
            linger(&self.socket, patience).await;
        }
    }

    /// Polls hyper until the connection has ended. True if hyper ended it: then there may be last words on their way.
    async fn drive(&mut self, streams: &Streams, mut http: impl FnMut(Ask, &mut Context<'_>) -> Poll<()>) -> bool {
        let mut leaving = false;
        poll_fn(|cx| {
            loop {
                if http(Ask::Poll, cx).is_ready() {
                    return Poll::Ready(true);
                }
                // Before anything is looked at that is told by it.
                self.signals.task.register(cx.waker());
                let stage = self.stage();
                if stage >= Stage::Cut {
                    self.worker.control.lost.fetch_add(streams.unanswered(), Relaxed);
                    return Poll::Ready(false);
                }
                if stage >= Stage::Draining && !std::mem::replace(&mut leaving, true) {
                    let _ = http(Ask::Leave, cx);
                    self.timed = None;
                    continue;
                }
                if streams.are_reset_too_often() {
                    tracing::debug!("a client resets what it asks for: its connection is closed");
                    return Poll::Ready(false);
                }
                // While hyper can't write, it may not read either.
                if self.signals.is_write_blocked() && self.poll_watch(cx).is_ready() {
                    return Poll::Ready(false);
                }
                ready!(self.poll_http2_overdue(cx, streams, stage, leaving));
                if self.signals.is_write_blocked() || std::mem::replace(&mut leaving, true) {
                    return Poll::Ready(false);
                }
                let _ = http(Ask::Leave, cx);
                self.timed = None;
            }
        })
        .await
    }

    /// Ready when the connection has been without a stream, or without taking a byte, for too long.
    fn poll_http2_overdue(&mut self, cx: &mut Context<'_>, streams: &Streams, stage: Stage, leaving: bool) -> Poll<()> {
        let now = (self.signals.progress(), stage);
        if self.timed != Some(now) {
            self.timed = Some(now);
            let settings = &self.worker.settings;
            let patience = match streams.open_now() {
                _ if self.signals.is_write_blocked() => Some(settings.write_idle_timeout),
                0 if leaving => Some(settings.idle_timeout.min(DRAIN_IDLE)),
                0 => Some(settings.idle_timeout),
                _ => None,
            };
            self.timer.set(patience.and_then(|patience| Instant::now().checked_add(patience)));
        }
        self.timer.poll(cx)
    }
}

/// Answers one request.
async fn answer(
    worker: Arc<Worker>,
    client: Arc<Client>,
    stream: Arc<Stream>,
    request: Request<Incoming>,
) -> Result<Response<StreamBody>, Infallible> {
    let settings = &worker.settings;
    let mut request = request.map(|body| RequestBody::patient(body, settings.body_idle_timeout));
    let mut response = match request::accept(&mut request, settings.max_header_bytes) {
        Ok(()) => worker.proxy.handle(&client, request).await,
        Err(refusal) => worker.proxy.refuse_request(&client, &request, refusal),
    };
    // What it says of the connection is meant for HTTP/1.
    response.headers_mut().remove(CONNECTION);
    stream.begin_response();
    Ok(response.map(|body| StreamBody::new(body, stream)))
}
