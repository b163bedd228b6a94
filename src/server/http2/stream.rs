//! One request and its answer on a stream.

use std::mem::replace;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;

use super::super::worker::Worker;
use super::request;
use super::sending::Sending;
use super::streams::{Counted, Streams};
use crate::clock;
use crate::proxy::{Body, Client, Passage, RequestBody, Upload};

/// What the task of a stream does: it answers the request, unless its client takes it back. It ends early, and so resets the
/// stream, where the client takes nothing of the answer for too long.
///
/// Written out, as [`Passage`] is: every request is moved into a task of its own, and an `async fn` would have it there
/// beside what has become of it.
pub(super) struct Stream {
    step: Step,
    worker: Arc<Worker>,
    client: Arc<Client>,
    counted: Counted,
}

/// How far it has come.
enum Step {
    Arrived(Request<RecvStream>, SendResponse<Bytes>),
    Answering(Answering),
    /// Boxed: most answers are sent as they come, and never wait here.
    Sending(Box<Sending>),
    Over,
}

/// A request, and where its answer goes.
struct Answering {
    answer: Answer,
    respond: SendResponse<Bytes>,
    /// Of the request's body, if it has one.
    upload: Option<Arc<Upload>>,
    /// Whether its client waits for `100 Continue`.
    continues: bool,
    head_only: bool,
}

enum Answer {
    /// Boxed, since few requests are answered so.
    AtOnce(Option<Box<Response<Body>>>),
    Handled(Passage),
}

impl Stream {
    pub(super) fn new(
        streams: &Arc<Streams>,
        (request, respond): (Request<RecvStream>, SendResponse<Bytes>),
        worker: &Arc<Worker>,
        client: &Arc<Client>,
    ) -> Self {
        let step = Step::Arrived(request, respond);
        Stream { step, worker: worker.clone(), client: client.clone(), counted: streams.count() }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Stream { step, worker, client, counted } = self;
        // Arrived => Answering. Not before its turn: those that were reset before it came leave first.
        if let Step::Arrived(..) = step
            && let Step::Arrived(request, respond) = replace(step, Step::Over)
        {
            *step = Step::Answering(Answering::begin(request, respond, worker, client));
        }
        let patience = worker.settings.write_idle_timeout;
        let answering = match step {
            Step::Answering(answering) => answering,
            Step::Sending(sending) => return sending.poll(patience, cx),
            Step::Arrived(..) | Step::Over => panic!("polled after completion"),
        };
        let Some(response) = ready!(answering.poll(cx)) else {
            counted.reset();
            return Poll::Ready(());
        };
        let Some(mut sending) = answering.send_head(response, counted, cx) else { return Poll::Ready(()) };
        let sent = sending.poll(patience, cx);
        if sent.is_pending() {
            // Answering => Sending
            *step = Step::Sending(Box::new(sending));
        }
        sent
    }
}

impl Future for Stream {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        clock::turn(|| {
            ready!(this.poll_step(cx));
            // Its end is noted when it is dropped.
            this.step = Step::Over;
            Poll::Ready(())
        })
    }
}

impl Answering {
    /// Takes a request as far as it comes without waiting.
    fn begin(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        worker: &Arc<Worker>,
        client: &Arc<Client>,
    ) -> Self {
        let settings = &worker.settings;
        let head_only = request.method() == Method::HEAD;
        let (parts, data) = request.into_parts();
        let (body, upload) = RequestBody::http2(data, &parts.headers, settings.body_idle_timeout);
        let continues = upload.is_some() && parts.headers.contains_key(EXPECT);
        let mut taken = Some(Request::from_parts(parts, body.at_most(settings.max_body)));
        let request = taken.as_mut().expect("it was just put there");
        let at_once = match request::accept(request, settings.max_header_bytes) {
            Ok(()) => worker.answer_at_once(client, request),
            Err(refusal) => Some(worker.proxy.refuse_request(client, request, refusal)),
        };
        let answer = match at_once {
            Some(response) => Answer::AtOnce(Some(Box::new(response))),
            None => Answer::Handled(worker.proxy.handle(client, &mut taken)),
        };
        Answering { answer, respond, upload, continues, head_only }
    }

    /// The answer, or `None` if the client has left before there was one.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Response<Body>>> {
        let answer = match &mut self.answer {
            Answer::AtOnce(response) => Poll::Ready(*response.take().expect("polled after completion")),
            Answer::Handled(passage) => Pin::new(passage).poll(cx),
        };
        if let Poll::Ready(response) = answer {
            // A reset may have been seen as a body that broke off.
            let left = self.upload.is_some() && self.respond.poll_reset(cx).is_ready();
            return Poll::Ready((!left).then_some(response));
        }
        if self.continues && self.upload.as_ref().is_some_and(|upload| upload.poll_read_begun(cx).is_ready()) {
            self.continues = false;
            let mut interim = Response::new(());
            *interim.status_mut() = StatusCode::CONTINUE;
            let _ = self.respond.send_informational(interim);
        }
        self.respond.poll_reset(cx).map(|_| None)
    }

    /// Sends the head of the answer. Returns what is to be sent behind it, if anything is.
    fn send_head(
        &mut self,
        mut response: Response<Body>,
        counted: &mut Counted,
        cx: &mut Context<'_>,
    ) -> Option<Sending> {
        complete_head(&mut response);
        let waiting = response.body().is_waiting();
        if !waiting && let Some(upload) = &self.upload {
            upload.set_answered();
        }
        let end = self.head_only || response.body().is_end_stream();
        let (parts, body) = response.into_parts();
        match self.respond.send_response(Response::from_parts(parts, ()), end) {
            Ok(stream) => {
                counted.answered();
                (!end).then(|| Sending::new(body, stream, self.upload.take().filter(|_| waiting)))
            }
            Err(_) => {
                if self.respond.poll_reset(cx).is_ready() {
                    counted.reset();
                }
                None
            }
        }
    }
}

/// What HTTP/1's server would do to a head, and what HTTP/2 has no place for.
fn complete_head(response: &mut Response<Body>) {
    // One look at the names: most have few of them, and the three take as long to look for.
    let (mut connection, mut length, mut date) = (false, false, false);
    for name in response.headers().keys() {
        match *name {
            CONNECTION => connection = true,
            CONTENT_LENGTH => length = true,
            DATE => date = true,
            _ => {}
        }
    }
    if connection {
        // What an answer of ours says of its connection is meant for HTTP/1.
        response.headers_mut().remove(CONNECTION);
    }
    if !length
        && !response.body().is_end_stream()
        && let Some(length) = response.body().size_hint().exact()
    {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !date {
        let now = httpdate::fmt_http_date(SystemTime::now());
        response.headers_mut().insert(DATE, HeaderValue::try_from(now).expect("a date is visible ASCII"));
    }
}
