//! What the wire passes on, hyper parses to the same messages.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Empty};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::chunked::Chunked;
use super::head::{Framing, Head, Scan, scan};
use crate::fuzz::fuzz;

const SEEDS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b?c=%20 HTTP/1.1\r\nHost: b\r\nX-A: \u{e9}\t\"\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx-a: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET http://a:80/b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
];

const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    "\0",
    ":",
    ": ",
    ",",
    ";",
    "0\r\n\r\n",
    "chunked",
    "gzip",
    "close",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: a\r\n",
    "Connection: ",
    "HTTP/1.1",
    "HTTP/1.0",
    "GET / HTTP/1.1\r\n",
    "http://",
    "/",
    "?",
    "#",
    "%",
    "*",
    "upgrade",
    "Upgrade: a\r\n",
    "+",
    "-",
    "0x",
    "ffffffffffffffff",
    "10000000000000005\r\n",
    "\u{e9}",
    "Trailer: a\r\n",
];

#[test]
fn hyper_parses_what_passes_to_the_same_messages() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    fuzz("wire", SEEDS, WORDS, |bytes| {
        let ours = messages(bytes);
        let end = ours.last().map_or(0, |message| message.end);
        let theirs = runtime.block_on(hypers(bytes[..end].to_vec()));
        let of_ours: Vec<_> = ours.iter().map(|message| (message.line.clone(), message.body.clone())).collect();
        assert_eq!(theirs, Ok(of_ours));
        // Wherever the bytes are cut, they are the same messages.
        for at in [1, end / 2, end.saturating_sub(1)] {
            assert_eq!(boundaries_in_two(&bytes[..end], at), boundaries_in_two(&bytes[..end], end), "cut at {at}");
        }
        ours.iter().map(|message| message.end - message.body.len()).collect::<Vec<_>>()
    });
}

/// A message that has come whole.
struct Message {
    /// Method and target.
    line: String,
    /// With chunks taken out of their framing.
    body: Vec<u8>,
    end: usize,
}

/// The messages of `bytes` as the wire follows them, up to the first that is refused, incomplete, or the last.
fn messages(bytes: &[u8]) -> Vec<Message> {
    let (mut messages, mut at) = (Vec::new(), 0);
    while let Scan::Complete(Head { len, framing, keep_alive, old }) = scan(&bytes[at..], 0, 1 << 15) {
        let head = String::from_utf8_lossy(&bytes[at..at + len]).into_owned();
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // An absolute target may lack the slash of its path.
        let target = target.parse().map_or(target.to_owned(), |uri: http::Uri| uri.to_string());
        let line = format!("{method} {target}");
        let rest = &bytes[at + len..];
        let (length, body) = match framing {
            Framing::Bodiless => (0, Vec::new()),
            Framing::Length(length) => match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
                Some(body) => (body.len(), body.to_vec()),
                None => break,
            },
            Framing::Chunked(mut chunks) => match chunks.advance(rest) {
                Ok(length) if chunks.is_end() => (length, without_framing(&rest[..length])),
                _ => break,
            },
        };
        at += len + length;
        messages.push(Message { line, body, end: at });
        // hyper reads no further where the client does not want to go on, or may want to.
        if !keep_alive || old {
            break;
        }
    }
    messages
}

/// The data of a chunked body that is whole.
fn without_framing(mut chunks: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let line = chunks.windows(2).position(|two| two == b"\r\n").expect("a whole body has a size line");
        let digits = chunks[..line].split(|byte| *byte == b';').next().unwrap_or_default();
        let size = usize::from_str_radix(str::from_utf8(digits).expect("digits"), 16).expect("a size");
        if size == 0 {
            return data;
        }
        data.extend_from_slice(&chunks[line + 2..line + 2 + size]);
        chunks = &chunks[line + 2 + size + 2..];
    }
}

/// Where messages end if the bytes come in two pieces.
fn boundaries_in_two(bytes: &[u8], cut: usize) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), 0);
    loop {
        let cut = cut.clamp(at, bytes.len());
        let seen = match scan(&bytes[at..cut], 0, 1 << 15) {
            Scan::Incomplete(seen) => seen,
            _ => 0,
        };
        let Scan::Complete(head) = scan(&bytes[at..], seen, 1 << 15) else { return ends };
        let body = at + head.len;
        let length = match head.framing {
            Framing::Bodiless => 0,
            Framing::Length(length) => length as usize,
            Framing::Chunked(mut chunks) => {
                let cut = cut.clamp(body, bytes.len());
                let first = chunks.advance(&bytes[body..cut]).unwrap_or(0);
                let more = if chunks.is_end() { 0 } else { chunks.advance(&bytes[body + first..]).unwrap_or(0) };
                first + more
            }
        };
        at = (body + length).min(bytes.len());
        ends.push(at);
        if at == bytes.len() {
            return ends;
        }
    }
}

/// The messages that hyper makes of `bytes`: method and target, and the body.
async fn hypers(bytes: Vec<u8>) -> Result<Vec<(String, Vec<u8>)>, String> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let seen = seen.clone();
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let body = request.into_body().collect().await.map(|body| body.to_bytes().to_vec());
            seen.borrow_mut().push((line, body.map_err(|error| error.to_string())));
            Ok::<_, Infallible>(http::Response::new(Empty::<bytes::Bytes>::new()))
        }
    });
    let io = TokioIo::new(Memory { bytes, at: 0 });
    let served = http1::Builder::new().half_close(true).serve_connection(io, service).await;
    served.map_err(|error| error.to_string())?;
    let seen = seen.take();
    seen.into_iter().map(|(line, body)| Ok((line, body?))).collect()
}

/// A connection on which these bytes come, and whatever is sent is taken.
struct Memory {
    bytes: Vec<u8>,
    at: usize,
}

impl AsyncRead for Memory {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let now = buf.remaining().min(self.bytes.len() - self.at);
        buf.put_slice(&self.bytes[self.at..self.at + now]);
        self.at += now;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn chunks_are_followed_alike_wherever_they_are_cut() {
    let seeds = &["5\r\nhello\r\n0\r\n\r\n", "5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nx-a: b\r\ny: z\r\n\r\nrest"];
    fuzz("chunked", seeds, &["\r\n", "\n", "\r", ";", "0\r\n\r\n", "f", " ", "x-a: b\r\n"], |bytes| {
        let mut whole = Chunked::default();
        let used = whole.advance(bytes);
        let mut in_bytes = Chunked::default();
        let mut followed = Ok(0);
        for byte in bytes.chunks(1) {
            match (followed, in_bytes.advance(byte)) {
                (Ok(so_far), Ok(used)) => followed = Ok(so_far + used),
                (_, error) => {
                    followed = error;
                    break;
                }
            }
        }
        assert_eq!(used, followed);
        used.map(|used| (used, whole.is_end()))
    });
}
