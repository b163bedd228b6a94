//! One request at the upstream, and what can be done with it.

use std::io;
use std::time::Duration;

use tokio::sync::oneshot;

use super::message::{Body, Framing, Head};
use super::upstream::Seat;
use super::wire::Wire;

/// A request inside the upstream, until it is answered, closed, reset or dropped.
pub struct Call {
    pub head: Head,
    wire: Wire,
    framing: Framing,
    seat: Seat,
    back: oneshot::Sender<Wire>,
}

impl Call {
    pub(super) fn new(head: Head, wire: Wire, seat: Seat, back: oneshot::Sender<Wire>) -> Self {
        let framing = head.request_framing();
        Call { head, wire, framing, seat, back }
    }

    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    pub fn path(&self) -> &str {
        self.head.word(1)
    }

    /// The rest of the body; an error if it is cut.
    pub async fn body(&mut self) -> io::Result<Body> {
        super::soon("the rest of a request body", self.wire.body(&mut self.framing)).await
    }

    /// The next piece of the body, none at its end.
    pub async fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.wire.piece(&mut self.framing, &mut Vec::new()).await
    }

    /// Waits until the peer has closed its side, or the connection is broken.
    pub async fn until_hung_up(&mut self) {
        self.wire.until_hung_up().await;
    }

    /// The same for an upstream that reads no more: what has come stays where it is, and holds up what is behind it.
    pub async fn until_hung_up_unread(&self) {
        self.wire.until_hung_up_unread().await;
    }

    /// Answers with a content length, and keeps the connection if the request's body has been read.
    pub async fn respond(self, status: u16, body: impl AsRef<[u8]>) {
        self.respond_with(status, &[], body).await;
    }

    pub async fn respond_with(self, status: u16, fields: &[(&str, &str)], body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let mut answer = head_of(status, fields);
        answer.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        answer.extend_from_slice(body);
        self.respond_raw(answer).await;
    }

    /// Answers with these very bytes, and keeps the connection if the request's body has been read.
    pub async fn respond_raw(mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.wire.send(bytes).await;
        self.end(sent.is_ok()).await;
    }

    /// Answers, then closes although the connection could have been kept. The FIN is out when this returns.
    pub async fn respond_then_close(mut self, status: u16, body: &str) {
        let mut answer = head_of(status, &[]);
        answer.extend_from_slice(format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
        let _ = self.wire.send(answer).await;
        let _ = self.wire.half_close().await;
    }

    /// Sends the head of a chunked answer.
    pub async fn start_streaming(&mut self, fields: &[(&str, &str)]) {
        let mut head = head_of(200, fields);
        head.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        self.send_raw(head).await.expect("the proxy takes the head");
    }

    /// Sends one chunk.
    pub async fn chunk(&mut self, data: impl AsRef<[u8]>) -> io::Result<()> {
        let data = data.as_ref();
        let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
        chunk.extend_from_slice(data);
        chunk.extend_from_slice(b"\r\n");
        self.send_raw(chunk).await
    }

    /// Ends a chunked answer.
    pub async fn finish(self) {
        self.respond_raw("0\r\n\r\n").await;
    }

    pub async fn send_raw(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.send(bytes).await
    }

    /// Ends without an answer, or without the rest of it, by FIN.
    pub fn close(self) {}

    /// The same by RST.
    pub fn reset(self) {
        self.wire.reset();
    }

    async fn end(self, sent: bool) {
        let Call { mut wire, mut framing, seat, back, .. } = self;
        drop(seat);
        if sent && framing == Framing::Done {
            let _ = back.send(wire);
        } else if sent {
            // Answered before all of the body came: read it away, so that closing does not destroy the answer.
            let _ = wire.half_close().await;
            tokio::spawn(async move { tokio::time::timeout(Duration::from_secs(5), wire.body(&mut framing)).await });
        }
    }
}

fn head_of(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Told\r\n").into_bytes();
    for (name, value) in fields {
        head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    head
}
