//! One request to the admin listener, one answer.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::target::Address;

/// Asks the admin listener at an address.
#[derive(Debug)]
pub(super) struct Client {
    address: Address,
    authorization: Option<HeaderValue>,
}

/// The listener answers at once or not at all; the image's health check waits for no longer either.
const PATIENCE: Duration = Duration::from_secs(5);
/// The state of ten thousand limits is smaller.
const ANSWER_MAX: usize = 16 << 20;

impl Client {
    pub(super) fn new(address: Address, token: Option<String>) -> Result<Self, String> {
        let authorization = match token {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                    .map_err(|_| "the token has characters that cannot be sent".to_owned())?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Client { address, authorization })
    }

    /// Sends a request, and returns what it was answered with if that is good news.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Vec<u8>, String> {
        block_on(self.ask_async(method, path, body))
    }

    /// The same for an answer in JSON.
    pub(super) fn ask_json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        block_on(self.ask_json_async(method, path, body))
    }

    /// The same for who has a runtime. Dropping the future closes the connection.
    pub(super) async fn ask_json_async(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let answer = self.ask_async(method, path, body).await?;
        serde_json::from_slice(&answer).map_err(|_| format!("what answers at {} is no sluicegate", self.address))
    }

    async fn ask_async(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Vec<u8>, String> {
        let (status, answer) = self.exchange(method, path, body).await?;
        if status.is_success() {
            return Ok(answer);
        }
        let problem: Option<Value> = serde_json::from_slice(&answer).ok();
        let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
        // The probes answer in a word.
        let word = str::from_utf8(&answer).map_or("", str::trim);
        let detail = detail.or(Some(word).filter(|word| !word.is_empty() && word.len() < 80));
        let detail = detail.map_or_else(|| format!("the answer was {status}"), str::to_owned);
        // A refused configuration comes with all that is wrong with it.
        let problems = problem.as_ref().and_then(|problem| problem["problems"].as_array()).into_iter().flatten();
        let detail = problems.filter_map(Value::as_str).fold(detail, |all, each| format!("{all}\n\n{each}"));
        Err(match status {
            StatusCode::UNAUTHORIZED if self.authorization.is_some() => {
                format!("the admin listener at {} takes another token than this one", self.address)
            }
            StatusCode::UNAUTHORIZED => {
                format!("the admin listener at {} wants a token: say where it is with --token-file FILE", self.address)
            }
            _ => detail,
        })
    }

    async fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(StatusCode, Vec<u8>), String> {
        let host = match &self.address {
            Address::Tcp(authority) => authority.as_str(),
            Address::Unix(_) => "localhost",
        };
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let address = &self.address;
        match timeout(PATIENCE, exchange(address, request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!(
                "the admin listener at {address} does not answer ({error}); is sluicegate running? \
                 Say where it is with --admin URL"
            )),
            Err(_) => Err(format!("the admin listener at {address} has not answered within {PATIENCE:?}")),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Whether something at this address takes connections.
pub(super) fn try_connect(address: &Address) -> Result<(), String> {
    let connect = async {
        match address {
            Address::Tcp(authority) => TcpStream::connect(authority.as_str()).await.map(drop),
            Address::Unix(path) => UnixStream::connect(path).await.map(drop),
        }
    };
    block_on(async {
        match timeout(PATIENCE, connect).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("nobody listens on {address} ({error}); say where with SLUICEGATE_LISTEN")),
            Err(_) => Err(format!("{address} has not taken a connection within {PATIENCE:?}")),
        }
    })
}

type Exchanged = Result<(StatusCode, Vec<u8>), Box<dyn std::error::Error + Send + Sync>>;

async fn exchange(address: &Address, request: Request<Full<Bytes>>) -> Exchanged {
    match address {
        Address::Tcp(authority) => exchange_on(TcpStream::connect(authority.as_str()).await?, request).await,
        Address::Unix(path) => exchange_on(UnixStream::connect(path).await?, request).await,
    }
}

async fn exchange_on<S: AsyncRead + AsyncWrite + Unpin>(stream: S, request: Request<Full<Bytes>>) -> Exchanged {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let receive = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
        Ok((head.status, body.to_vec()))
    };
    tokio::select! {
        answer = receive => answer,
        // It only ends this early if it fails, and then the answer has failed as well; or it is whole.
        Err(error) = connection => Err(error.into()),
    }
}

fn block_on<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("cannot start a runtime: {error}"))?.block_on(future)
}
