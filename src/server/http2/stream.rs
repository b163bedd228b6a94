//! One request and its answer on a stream.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::time::Instant;

use super::super::worker::Worker;
use super::request;
use super::streams::{Counted, Streams};
use crate::proxy::{Body, Client, RequestBody, Upload, is_grpc};
use crate::timer::Timer;

/// What the task of a stream works with.
pub(super) struct Stream {
    respond: SendResponse<Bytes>,
    worker: Arc<Worker>,
    client: Arc<Client>,
    counted: Counted,
}

impl Stream {
    pub(super) fn new(
        streams: &Arc<Streams>,
        respond: SendResponse<Bytes>,
        worker: &Arc<Worker>,
        client: &Arc<Client>,
    ) -> Self {
        Stream { respond, worker: worker.clone(), client: client.clone(), counted: streams.count() }
    }

    /// Answers the request, unless its client takes it back. Ends early, and so resets the stream, where the client takes
    /// nothing of the answer for too long.
    pub(super) async fn serve(mut self, request: Request<RecvStream>) {
        let head_only = request.method() == Method::HEAD;
        let Some((response, upload)) = self.answer(request).await else {
            self.counted.reset();
            return;
        };
        self.counted.answered();
        let (mut parts, body) = response.into_parts();
        complete_head(&mut parts.headers, &body);
        let end = head_only || body.is_end_stream();
        let Ok(mut stream) = self.respond.send_response(Response::from_parts(parts, ()), end) else { return };
        if !end {
            let upload = body.is_waiting().then_some(upload);
            let sending = Sending { body, upload, stuck: Timer::default(), worker: &self.worker };
            sending.run(&mut stream).await;
        }
    }

    /// The answer, and the upload that may go on beside it, or `None` if the client has left before there was one.
    async fn answer(&mut self, request: Request<RecvStream>) -> Option<(Response<Body>, Arc<Upload>)> {
        let settings = &self.worker.settings;
        let expects = request.headers().contains_key(EXPECT);
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let (parts, data) = request.into_parts();
        let (body, upload) = RequestBody::http2(data, length, settings.body_idle_timeout, is_grpc(&parts.headers));
        let mut continues = (expects && !body.is_end_stream()).then(|| upload.clone());
        let mut request = Request::from_parts(parts, body.at_most(settings.max_body));
        let verdict = request::accept(&mut request, settings.max_header_bytes);
        let (worker, client, respond) = (&self.worker, &self.client, &mut self.respond);
        let mut answer = pin!(async move {
            let at_once = match verdict {
                Ok(()) => worker.answer_at_once(client, &request),
                Err(refusal) => Some(worker.proxy.refuse_request(client, &request, refusal)),
            };
            match at_once {
                Some(response) => response,
                None => {
                    let passage = worker.proxy.handle(client, &mut Some(request));
                    passage.await
                }
            }
        });
        let answer = poll_fn(|cx| {
            if let Poll::Ready(response) = answer.as_mut().poll(cx) {
                // A reset may have been seen as a body that broke off.
                return Poll::Ready(respond.poll_reset(cx).is_pending().then_some(response));
            }
            if continues.as_ref().is_some_and(|upload: &Arc<Upload>| upload.poll_read_begun(cx).is_ready()) {
                continues = None;
                let mut interim = Response::new(());
                *interim.status_mut() = StatusCode::CONTINUE;
                let _ = respond.send_informational(interim);
            }
            respond.poll_reset(cx).map(|_| None)
        });
        let answer = answer.await?;
        if !answer.body().is_waiting() {
            upload.set_answered();
        }
        Some((answer, upload))
    }
}

/// What HTTP/1's server would do to a head, and what HTTP/2 has no place for.
fn complete_head(headers: &mut HeaderMap, body: &Body) {
    // What an answer of ours says of its connection is meant for HTTP/1.
    headers.remove(CONNECTION);
    if !body.is_end_stream()
        && let Some(length) = body.size_hint().exact()
    {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    headers.entry(DATE).or_insert_with(|| {
        HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())).expect("a date is visible ASCII")
    });
}

/// A body on its way into its stream.
struct Sending<'a> {
    body: Body,
    /// That of a request which still waits.
    upload: Option<Arc<Upload>>,
    /// Runs while the client gives no window.
    stuck: Timer,
    worker: &'a Worker,
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

impl Sending<'_> {
    async fn run(mut self, stream: &mut SendStream<Bytes>) {
        loop {
            let frame = match poll_fn(|cx| self.poll_frame(stream, cx)).await {
                Ok(frame) => frame,
                Err(Stop::Broken) => return stream.send_reset(Reason::INTERNAL_ERROR),
                Err(Stop::Done | Stop::Left) => return,
            };
            let end = self.body.is_end_stream();
            let sent = match frame.into_data() {
                Ok(data) => self.send(data, end, stream).await,
                Err(frame) => match frame.into_trailers() {
                    Ok(mut trailers) => {
                        // A peer takes those for malformed.
                        crate::proxy::remove_hop_by_hop(&mut trailers);
                        stream.send_trailers(trailers).map_err(|_| Stop::Left).and(Err(Stop::Done))
                    }
                    Err(_) => Ok(()),
                },
            };
            match sent {
                Ok(()) if end => return,
                Ok(()) => {}
                Err(_) => return,
            }
        }
    }

    /// The next frame of the body.
    fn poll_frame(
        &mut self,
        stream: &mut SendStream<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<http_body::Frame<Bytes>, Stop>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(upload) = self.upload.take_if(|_| !self.body.is_waiting()) {
            upload.set_answered();
        }
        match frame {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(frame)),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Err(Stop::Broken)),
            Poll::Ready(None) => {
                let _ = stream.send_data(Bytes::new(), true);
                Poll::Ready(Err(Stop::Done))
            }
            Poll::Pending => stream.poll_reset(cx).map(|_| Err(Stop::Left)),
        }
    }

    /// Gives h2 as much as there is window for, until all of `data` has been sent.
    async fn send(&mut self, mut data: Bytes, end: bool, stream: &mut SendStream<Bytes>) -> Result<(), Stop> {
        if data.is_empty() {
            return stream.send_data(data, end).map_err(|_| Stop::Left);
        }
        if self.body.is_waiting() {
            // Whoever waits for window does not poll the request that waits. A comment can be left out.
            stream.reserve_capacity(data.len());
            if poll_fn(|cx| Poll::Ready(stream.poll_capacity(cx))).await.is_pending() && stream.capacity() < data.len()
            {
                return Ok(());
            }
        }
        while !data.is_empty() {
            // No more than can be sent at once: what is reserved is kept from the other streams.
            stream.reserve_capacity(data.len().min(super::SEND_BUFFER));
            let room = poll_fn(|cx| self.poll_room(stream, cx)).await?;
            self.stuck.set(None);
            let piece = data.split_to(room.min(data.len()));
            stream.send_data(piece, end && data.is_empty()).map_err(|_| Stop::Left)?;
        }
        Ok(())
    }

    /// How much there is window for.
    fn poll_room(&mut self, stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Result<usize, Stop>> {
        loop {
            match (stream.capacity(), stream.poll_capacity(cx)) {
                (0, Poll::Ready(Some(Ok(_)))) => {}
                (0, Poll::Pending) => break,
                (0, Poll::Ready(_)) => return Poll::Ready(Err(Stop::Left)),
                (room, _) => return Poll::Ready(Ok(room)),
            }
        }
        if stream.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(Stop::Left));
        }
        if !self.stuck.is_set() {
            self.stuck.set(Instant::now().checked_add(self.worker.settings.write_idle_timeout));
        }
        ready!(self.stuck.poll(cx));
        Poll::Ready(Err(Stop::Left))
    }
}
