//! A request's body on its way to the upstream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http_body::Body;

use super::framing::digits;
use super::out::Out;
use crate::digits::push_hex;
use crate::socket::Socket;
use crate::upstream::error::BoxError;
use crate::upstream::source::{Piece, Source};
use crate::upstream::upload::Progress;

/// A body that is being sent, and how.
#[derive(Debug)]
pub(super) struct Sending<B> {
    source: Source<B>,
    progress: Arc<Progress>,
    coding: Coding,
    /// All of it is on its way.
    ended: bool,
    /// The client's side has failed: what was sent gets no end.
    failed: bool,
}

#[derive(Debug)]
enum Coding {
    /// So much is still to be sent.
    Length(u64),
    /// Trailers of these names may follow.
    Chunked(Vec<HeaderName>),
}

/// Pieces up to this size are copied behind what is before them, so that they go out with one write.
const SMALL: usize = 4 << 10;

/// Whether the head itself says how its body ends.
pub(super) fn is_framed(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || length(headers).is_some()
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH).and_then(|length| digits(length.as_bytes()))
}

impl<B> Sending<B> {
    /// The body of a request with these fields.
    pub(super) fn new(source: Source<B>, headers: &HeaderMap) -> Self {
        let coding = match length(headers).filter(|_| !headers.contains_key(TRANSFER_ENCODING)) {
            Some(length) => Coding::Length(length),
            None => Coding::Chunked(announced(headers)),
        };
        Sending { source, progress: Arc::default(), coding, ended: false, failed: false }
    }

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The body, of which nothing has been sent. `None` if what was taken of it can't be had again.
    pub(super) fn into_source(self) -> Option<Source<B>> {
        self.source.rewound()
    }

    /// Puts a piece behind what is in `out`.
    fn stage(&mut self, piece: Piece, out: &mut Out) -> Result<(), BoxError> {
        let last = piece.is_last();
        match (&mut self.coding, piece) {
            (Coding::Length(left), Piece::Data(data) | Piece::Last(data)) => {
                *left = left.checked_sub(data.len() as u64).ok_or("the body is longer than declared")?;
                if last && *left > 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                put(data, b"", out);
            }
            (Coding::Length(left), Piece::Trailers(_)) => {
                if *left > 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
            }
            (Coding::Chunked(_), Piece::Data(data)) => put_chunk(data, b"\r\n", out),
            (Coding::Chunked(_), Piece::Last(data)) if data.is_empty() => {
                out.stage().extend_from_slice(b"0\r\n\r\n");
            }
            (Coding::Chunked(_), Piece::Last(data)) => put_chunk(data, b"\r\n0\r\n\r\n", out),
            (Coding::Chunked(announced), Piece::Trailers(trailers)) => {
                let staged = out.stage();
                staged.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.iter().filter(|(name, _)| announced.contains(name)) {
                    super::head::write_field(name, value, staged);
                }
                staged.extend_from_slice(b"\r\n");
            }
        }
        self.ended = last;
        Ok(())
    }
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Sends what there is. Ready when the kernel has all of it, or takes no more. Once the client's side has failed, it
    /// is never ready: the upstream has to be told first, by whoever has the [`Progress`].
    pub(super) fn poll(&mut self, out: &mut Out, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut starved = false;
            while !self.ended && !self.failed && !starved && !out.has_piece() && out.staged() < SMALL {
                match self.source.poll_piece(cx) {
                    Poll::Pending => starved = true,
                    Poll::Ready(piece) => {
                        if let Err(error) = piece.and_then(|piece| self.stage(piece, out)) {
                            self.failed = true;
                            self.progress.fail(error);
                        }
                    }
                }
            }
            let before = out.written();
            let flushed = out.poll_flush(socket, cx);
            if out.written() > before {
                // What has been begun is never begun anew.
                self.source.forget();
                self.progress.moved(false);
            }
            ready!(flushed)?;
            if self.ended {
                self.progress.finish();
                return Poll::Ready(Ok(()));
            }
            if starved || self.failed {
                self.progress.moved(true);
                return Poll::Pending;
            }
        }
    }
}

fn put(data: Bytes, tail: &'static [u8], out: &mut Out) {
    if data.len() <= SMALL {
        let staged = out.stage();
        staged.extend_from_slice(&data);
        staged.extend_from_slice(tail);
    } else {
        out.put(data, tail);
    }
}

fn put_chunk(data: Bytes, tail: &'static [u8], out: &mut Out) {
    // An empty one would be the end.
    if data.is_empty() {
        return;
    }
    let staged = out.stage();
    push_hex(staged, data.len() as u64);
    staged.extend_from_slice(b"\r\n");
    put(data, tail, out);
}

/// The trailers that a head announces and that may be sent as such.
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let names = headers.get_all(TRAILER).iter().flat_map(|names| names.as_bytes().split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).filter(may_trail).collect()
}

/// What concerns the message as a whole is of no use behind it (RFC 9110 §6.5.1).
fn may_trail(name: &HeaderName) -> bool {
    const NEVER: [HeaderName; 12] = [
        AUTHORIZATION,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
        MAX_FORWARDS,
        SET_COOKIE,
        TRAILER,
        TRANSFER_ENCODING,
        TE,
    ];
    !NEVER.contains(name)
}

/// Sends the rest of a body whose answer has begun. It ends with the body, with the connection, or when it is told to.
#[derive(Debug)]
pub(super) struct Pump<B> {
    pub(super) sending: Box<Sending<B>>,
    pub(super) out: Out,
    pub(super) socket: Socket,
}

impl<B> Future for Pump<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Pump { sending, out, socket } = &mut *self;
        if sending.progress.poll_stopped(cx) {
            return Poll::Ready(());
        }
        // Whatever became of it, its reading half says so to the exchange.
        sending.poll(out, socket, cx).map(drop)
    }
}
