//! Sending what is no client's: a document now and then, to somebody who collects them.

use std::io;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connect::{dial, too_slow};
use super::error::BoxError;
use super::settings::Settings;
use super::site::Site;
use super::socket_io::SocketIo;

/// Sends requests to the first endpoint of an upstream, one after the other over HTTP/1.1, on one connection that is kept.
/// They take no permit, and nothing counts them.
#[derive(Debug)]
pub struct Poster {
    settings: Settings,
    sender: Option<SendRequest<Full<Bytes>>>,
    /// The task of the connection, which ends with this.
    driving: JoinSet<()>,
}

/// What is read of an answer. One that is longer is a failure.
const ANSWER_MAX: usize = 64 << 10;

impl Poster {
    /// Connects to nobody yet. Of the settings, those of the connection count: endpoint, TLS, `connect_timeout`.
    pub fn new(settings: Settings) -> Self {
        Poster { settings, sender: None, driving: JoinSet::new() }
    }

    /// Sends a request, whose target is a path, and returns its answer. A request that a kept connection did not take is
    /// sent once more on a new one. How long it may take is up to the caller, but for connecting.
    ///
    /// # Errors
    /// Whatever keeps the answer from coming.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection; the request may have arrived.
    pub async fn post(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let mut request = request.map(Full::new);
        let authority = self.settings.endpoints[0].authority(self.settings.protocol);
        request.headers_mut().insert(HOST, authority);
        // Taken for the time of the exchange: a half-read answer is no beginning for the next one.
        let kept = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let was_kept = kept.is_some();
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let answer = match sender.try_send_request(request).await {
            Ok(answer) => answer,
            Err(mut failed) => match failed.take_message().filter(|_| was_kept) {
                Some(unsent) => {
                    sender = self.connect().await?;
                    sender.send_request(unsent).await?
                }
                None => return Err(failed.into_error().into()),
            },
        };
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok(Response::from_parts(head, body))
    }

    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, BoxError> {
        let settings = &self.settings;
        let site = Site::new(&settings.endpoints[0]);
        let dialled = timeout(settings.connect_timeout, dial(settings, &site, false)).await;
        let socket = dialled.unwrap_or_else(|_| Err(too_slow(settings)))?;
        let (sender, connection) = http1::handshake(TokioIo::new(SocketIo(socket))).await.map_err(io::Error::other)?;
        // One at a time: that of a connection before has nobody left.
        self.driving.abort_all();
        self.driving.spawn(async { drop(connection.await) });
        while self.driving.try_join_next().is_some() {}
        Ok(sender)
    }
}
