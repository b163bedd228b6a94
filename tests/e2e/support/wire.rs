//! A socket with a read buffer, used by both ends.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use super::message::{Body, Framing, Head, field};

pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an open socket takes options");
        Wire { stream, buffer: Vec::new() }
    }

    /// The next head, or none if the peer closed before one began. Cancelling it loses nothing.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some((head, len)) = Head::parse(&self.buffer) {
                self.buffer.drain(..len);
                return Ok(Some(head));
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut("in a head")) };
            }
        }
    }

    /// The next piece of a body: a whole chunk, or what has arrived. None at its end. Cancelling it loses nothing.
    pub async fn piece(&mut self, framing: &mut Framing, trailers: &mut Vec<(String, Vec<u8>)>) -> Chunk {
        match *framing {
            Framing::Done => Ok(None),
            Framing::Length(left) => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    return Err(cut("in a body with a length"));
                }
                let len = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - len as u64;
                *framing = if left == 0 { Framing::Done } else { Framing::Length(left) };
                Ok(Some(self.buffer.drain(..len).collect()))
            }
            Framing::UntilClose => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    *framing = Framing::Done;
                    return Ok(None);
                }
                Ok(Some(std::mem::take(&mut self.buffer)))
            }
            Framing::Chunked => self.chunk(framing, trailers).await,
        }
    }

    /// All of a body that is left.
    pub async fn body(&mut self, framing: &mut Framing) -> io::Result<Body> {
        let mut body = Body::default();
        while let Some(piece) = self.piece(framing, &mut body.trailers).await? {
            body.bytes.extend(piece);
        }
        Ok(body)
    }

    /// Waits until the peer has closed its side or the connection is broken; what comes before is dropped.
    pub async fn until_hung_up(&mut self) {
        loop {
            self.buffer.clear();
            if !matches!(self.fill().await, Ok(n) if n > 0) {
                return;
            }
        }
    }

    /// Waits for the same without reading anything: readiness for priority data carries the read-closed flag.
    pub async fn until_hung_up_unread(&self) {
        self.stream.ready(Interest::PRIORITY).await.expect("the runtime runs");
    }

    /// Reads to the end, a reset included.
    pub async fn rest(&mut self) -> (Vec<u8>, io::Result<()>) {
        loop {
            match self.fill().await {
                Ok(0) => return (std::mem::take(&mut self.buffer), Ok(())),
                Ok(_) => {}
                Err(error) => return (std::mem::take(&mut self.buffer), Err(error)),
            }
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    pub async fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Closes with RST.
    pub fn reset(self) {
        let linger = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        linger.expect("an open socket takes options");
    }

    /// Waits for more; none at the peer's FIN.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(16 * 1024);
        self.stream.read_buf(&mut self.buffer).await
    }

    pub fn has_unread_bytes(&self) -> bool {
        !self.buffer.is_empty()
    }

    async fn chunk(&mut self, framing: &mut Framing, trailers: &mut Vec<(String, Vec<u8>)>) -> Chunk {
        loop {
            match take_chunk(&mut self.buffer)? {
                Some(Taken::Data(data)) => return Ok(Some(data)),
                Some(Taken::End(fields)) => {
                    *framing = Framing::Done;
                    *trailers = fields;
                    return Ok(None);
                }
                None if self.fill().await? == 0 => return Err(cut("in a chunked body")),
                None => {}
            }
        }
    }
}

type Chunk = io::Result<Option<Vec<u8>>>;

enum Taken {
    Data(Vec<u8>),
    End(Vec<(String, Vec<u8>)>),
}

/// Takes one chunk, or the last one with its trailers, off the front if it is there in full.
fn take_chunk(buffer: &mut Vec<u8>) -> io::Result<Option<Taken>> {
    let Some(line) = buffer.windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
    let size = String::from_utf8_lossy(&buffer[..line]).into_owned();
    let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("not a chunk size: {size:?}")))?;
    let data = line + 2;
    if size > 0 {
        if buffer.len() < data + size + 2 {
            return Ok(None);
        }
        let chunk = buffer[data..data + size].to_vec();
        buffer.drain(..data + size + 2);
        return Ok(Some(Taken::Data(chunk)));
    }
    // The trailer section: lines up to an empty one.
    let mut fields = Vec::new();
    let mut at = data;
    loop {
        let Some(len) = buffer[at..].windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
        if len == 0 {
            buffer.drain(..at + 2);
            return Ok(Some(Taken::End(fields)));
        }
        fields.push(field(&buffer[at..at + len]));
        at += len + 2;
    }
}

fn cut(place: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("cut {place}"))
}
