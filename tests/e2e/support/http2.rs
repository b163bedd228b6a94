//! A client that speaks HTTP/2 by prior knowledge, stream by stream, and raw frames for what no library would send.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::soon;

/// A connection. Dropping it leaves.
pub struct Http2 {
    sender: SendRequest<Bytes>,
    address: SocketAddr,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A request under way.
pub struct Asked {
    pub response: ResponseFuture,
    /// What is left to send of it.
    pub body: SendStream<Bytes>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answered {
    pub head: Response<()>,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Http2 {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::with(address, &mut h2::client::Builder::new()).await
    }

    /// With settings of its own.
    pub async fn with(address: SocketAddr, builder: &mut h2::client::Builder) -> Self {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        let (sender, connection) = soon("the handshake", builder.handshake(stream)).await.expect("HTTP/2 is spoken");
        Http2 { sender, address, connection: tokio::spawn(connection) }
    }

    /// A request's head with these fields, for this server.
    pub fn request(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    /// Sends a head; `end` if nothing follows.
    pub async fn ask(&self, request: Request<()>, end: bool) -> Asked {
        self.try_ask(request, end).await.expect("the connection takes a request")
    }

    pub async fn try_ask(&self, request: Request<()>, end: bool) -> Result<Asked, h2::Error> {
        let mut sender = soon("room for a stream", self.sender.clone().ready()).await?;
        let (response, body) = sender.send_request(request, end)?;
        Ok(Asked { response, body })
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Asked {
        self.ask(self.request("GET", path, &[]), true).await
    }

    /// Sends a POST with all of its body.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)], body: &'static [u8]) -> Asked {
        let mut asked = self.ask(self.request("POST", path, fields), false).await;
        asked.body.send_data(Bytes::from_static(body), true).expect("the stream is open");
        asked
    }

    /// Waits until the server has ended the connection, and says how.
    pub async fn ended(&mut self) -> Result<(), h2::Error> {
        soon("the server to end the connection", &mut self.connection).await.expect("it does not panic")
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Asked {
    /// The head of the answer, and its body still to be read.
    pub async fn head(self) -> Result<(Response<RecvStream>, SendStream<Bytes>), h2::Error> {
        let response = soon("the head of an answer", self.response).await?;
        Ok((response, self.body))
    }

    pub async fn answer(self) -> Answered {
        self.try_answer().await.expect("an answer")
    }

    pub async fn try_answer(self) -> Result<Answered, h2::Error> {
        let (response, _body) = self.head().await?;
        let (head, mut stream) = response.into_parts();
        let mut body = Vec::new();
        while let Some(data) = soon("the rest of an answer", stream.data()).await {
            let data = data?;
            stream.flow_control().release_capacity(data.len())?;
            body.extend_from_slice(&data);
        }
        let trailers = soon("the trailers", stream.trailers()).await?;
        Ok(Answered { head: Response::from_parts(head, ()), body: body.into(), trailers })
    }

    /// Whether no answer comes for a moment.
    pub async fn hears_nothing(&mut self) -> bool {
        super::nothing_comes(&mut self.response).await
    }

    /// Resets the stream.
    pub fn cancel(mut self) {
        self.body.send_reset(Reason::CANCEL);
    }
}

impl Answered {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name).map(|value| value.to_str().expect("visible ASCII"))
    }

    /// Asserts status and reason of an answer of the proxy's own.
    pub fn expect(&self, status: u16, reason: &str) {
        let seen = (self.head.status().as_u16(), self.field("x-sluicegate-reason"));
        assert_eq!(seen, (status, Some(reason)), "{self:?}");
    }
}

/// What a client begins with, with empty settings.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Kinds of frames.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame, whatever it says.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).expect("a small frame").to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET http://a/` in HPACK: three entries of the static table, and an authority.
pub const GET: &[u8] = b"\x82\x86\x84\x41\x01a";

/// A connection on which frames are sent as they are.
pub struct Frames(pub TcpStream);

impl Frames {
    /// Connects and sends the preface.
    pub async fn connect(address: SocketAddr) -> Self {
        let mut this = Frames(TcpStream::connect(address).await.expect("somebody listens"));
        this.send(PREFACE).await;
        this
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the proxy takes the bytes");
    }

    /// The next frame: its kind, flags, stream and payload. None at the end.
    pub async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        soon("a frame", self.0.read_exact(&mut head)).await.ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        soon("the rest of a frame", self.0.read_exact(&mut payload)).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], head[4], stream, payload))
    }

    /// Skips to the next frame of this kind.
    pub async fn until(&mut self, kind: u8) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            match self.next().await? {
                frame if frame.0 == kind => return Some(frame),
                _ => {}
            }
        }
    }
}
