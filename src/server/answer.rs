//! The answer to one request of a connection, as hyper asks for it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;

use super::body::WireBody;
use super::drain::Stage;
use super::wire::{InExchange, Signals};
use super::worker::Worker;
use crate::proxy::{Body, Client, Passage, RequestBody};

/// The answer to one request.
///
/// Written out, as [`Passage`] is: every connection has room for one.
pub(super) struct Answering {
    answer: Answer,
    /// Present until the answer is.
    exchange: Option<InExchange>,
    worker: Arc<Worker>,
}

enum Answer {
    /// Boxed, since few requests are answered so.
    AtOnce(Option<Box<Response<Body>>>),
    Handled(Passage),
}

impl Answering {
    pub(super) fn begin(
        worker: &Arc<Worker>,
        client: &Arc<Client>,
        signals: &Arc<Signals>,
        request: Request<Incoming>,
    ) -> Self {
        let exchange = InExchange(signals.clone());
        let answer = match signals.take_refusal() {
            Some(refusal) => Answer::AtOnce(Some(Box::new(worker.proxy.refuse(client, refusal)))),
            None => {
                let mut request = Some(request.map(|body| RequestBody::http1(body).at_most(worker.settings.max_body)));
                match request.as_ref().and_then(|request| worker.answer_at_once(client, request)) {
                    Some(response) => Answer::AtOnce(Some(Box::new(response))),
                    None => Answer::Handled(worker.proxy.handle(client, &mut request)),
                }
            }
        };
        Answering { answer, exchange: Some(exchange), worker: worker.clone() }
    }
}

impl Future for Answering {
    type Output = Result<Response<WireBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut response = match &mut this.answer {
            Answer::AtOnce(response) => *response.take().expect("polled after completion"),
            Answer::Handled(passage) => ready!(Pin::new(passage).poll(cx)),
        };
        let exchange = this.exchange.take().expect("polled after completion");
        if let Some(tunnel) = response.body_mut().take_tunnel() {
            exchange.0.agree_to_tunnel(tunnel);
        } else if this.worker.control.stage() != Stage::Serving {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        exchange.0.begin_response(response.headers().contains_key(CONNECTION));
        Poll::Ready(Ok(response.map(|body| WireBody::new(body, exchange))))
    }
}
