//! What our reader makes of an answer, beside what hyper's client makes of it.

mod agreement;
mod bounds;
mod peer;
mod sent;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;

use super::receiving::{Next, Receiving};

/// What came of bytes that were to be an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    /// The status, the reason if it is its own, and the fields.
    pub(super) head: Option<(u16, Option<Vec<u8>>, Fields)>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<Fields>,
    pub(super) end: End,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum End {
    /// The answer is complete; whether another can follow on its connection.
    Complete { reusable: bool },
    /// It is none, or it was cut.
    #[default]
    Failed,
    /// There is to be more.
    Waits,
}

/// The values of each name, in their order.
pub(super) type Fields = BTreeMap<String, Vec<Vec<u8>>>;

/// All but what `Connection` says to the reader of the head alone: hyper leaves that in, and we do not.
fn fields(headers: &HeaderMap) -> Fields {
    let for_reader = |name: &str, value: &[u8]| {
        name == "connection" && [&b"close"[..], b"keep-alive"].iter().any(|word| value.eq_ignore_ascii_case(word))
    };
    let mut fields = Fields::new();
    for (name, value) in headers.iter().filter(|(name, value)| !for_reader(name.as_str(), value.as_bytes())) {
        fields.entry(name.to_string()).or_default().push(value.as_bytes().to_vec());
    }
    fields
}

fn head(response: &Response<()>) -> (u16, Option<Vec<u8>>, Fields) {
    let reason = response.extensions().get::<hyper::ext::ReasonPhrase>().map(|reason| reason.as_bytes().to_vec());
    (response.status().as_u16(), reason, fields(response.headers()))
}

/// What we make of `pieces`, read one after the other; `closes` says whether the end of the stream follows or silence.
pub(super) fn ours(method: &Method, pieces: &[&[u8]], closes: bool) -> Outcome {
    let mut receiving = Receiving::new();
    receiving.begin();
    let mut outcome = Outcome::default();
    let mut pieces = pieces.iter();
    loop {
        if outcome.head.is_none() {
            match receiving.head(*method == Method::HEAD, &mut HeaderMap::new()) {
                Ok(Some(response)) => outcome.head = Some(head(&response)),
                Ok(None) => {}
                Err(_) => return Outcome::default(),
            }
        }
        while outcome.head.is_some() {
            match receiving.next() {
                Ok(Next::Frame(frame)) => match frame.into_data() {
                    Ok(data) => outcome.body.extend_from_slice(&data),
                    Err(frame) => outcome.trailers = frame.into_trailers().ok().map(|trailers| fields(&trailers)),
                },
                Ok(Next::End) => {
                    // What comes behind it is seen before the connection is used again.
                    let reusable = receiving.can_go_on() && pieces.all(|piece| piece.is_empty()) && !closes;
                    return Outcome { end: End::Complete { reusable }, ..outcome };
                }
                Ok(Next::More) => break,
                Err(_) => return outcome,
            }
        }
        match pieces.next() {
            Some(piece) => receiving.input.extend_from_slice(piece),
            None if !closes => return Outcome { end: End::Waits, ..outcome },
            None if outcome.head.is_some() && receiving.close() => {
                return Outcome { end: End::Complete { reusable: false }, ..outcome };
            }
            None => return outcome,
        }
    }
}

/// A connection on which these pieces come, each of them with a read of its own.
struct Pieces {
    pieces: Vec<Vec<u8>>,
    closes: bool,
    /// Nothing comes before the request.
    written: bool,
    reader: Option<Waker>,
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.reader = Some(cx.waker().clone());
        if !self.written || (self.pieces.is_empty() && !self.closes) {
            return Poll::Pending;
        }
        if let Some(piece) = self.pieces.first_mut() {
            let now = piece.len().min(buf.remaining());
            buf.put_slice(&piece[..now]);
            piece.drain(..now);
            if piece.is_empty() {
                self.pieces.remove(0);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.written = true;
        self.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What hyper's client makes of it.
pub(super) fn hypers(method: &Method, pieces: &[&[u8]], closes: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect();
    runtime.block_on(async {
        let io = Pieces { pieces, closes, written: false, reader: None };
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(32 << 10).handshake(TokioIo::new(io)).await.unwrap();
        let driving = tokio::spawn(connection);
        let request = Request::builder().method(method).uri("/").body(Empty::<Bytes>::new()).unwrap();
        let mut outcome = Outcome::default();
        let Some(response) = settled(sender.send_request(request)).await else {
            return Outcome { end: End::Waits, ..outcome };
        };
        let Ok(response) = response else { return outcome };
        let (parts, mut body) = response.into_parts();
        outcome.head = Some(head(&Response::from_parts(parts, ())));
        loop {
            match settled(body.frame()).await {
                None => return Outcome { end: End::Waits, ..outcome },
                Some(Some(Err(_))) => return outcome,
                Some(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => outcome.body.extend_from_slice(&data),
                    Err(frame) => outcome.trailers = frame.into_trailers().ok().map(|trailers| fields(&trailers)),
                },
                Some(None) => break,
            }
        }
        for _ in 0..100 {
            yield_now().await;
        }
        let reusable = !driving.is_finished() && matches!(settled(sender.ready()).await, Some(Ok(())));
        Outcome { end: End::Complete { reusable }, ..outcome }
    })
}

/// What comes of a future for which nobody has to be waited for; `None` if somebody has.
async fn settled<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    for _ in 0..200 {
        if let Poll::Ready(result) = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(result);
        }
        yield_now().await;
    }
    None
}
