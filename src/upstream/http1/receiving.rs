//! Reading an answer: bytes in, a head and frames out. It knows no socket.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Frame, SizeHint};

use super::chunked::{self, Chunked};
use super::framing::{Framing, Malformed, framing};
use super::head::{self, Begun, Known};
use super::input::{take, taken};

/// What has come of an answer, and what is still to come.
#[derive(Debug)]
pub(super) struct Receiving {
    /// What was read and not taken.
    pub(super) input: BytesMut,
    /// Whether whoever takes it may hold on to it.
    pub(super) detached: bool,
    known: Known,
    left: Left,
    /// Whether the connection can go on behind it.
    keep_alive: bool,
    interim: u16,
    /// How much of the input has been looked at in vain.
    seen: usize,
}

#[derive(Debug)]
enum Left {
    Head,
    Length(u64),
    // Boxed: few answers are, and all have room for it.
    Chunked(Box<Chunked>),
    UntilClose,
    Nothing,
    /// It is none, and nobody can tell where what comes ends but for the close.
    Broken,
}

/// What there is of a body.
#[derive(Debug)]
pub(super) enum Next {
    Frame(Frame<Bytes>),
    End,
    /// Nothing before more has been read.
    More,
}

/// One comes each second, say, for as long as anybody waits.
const MAX_INTERIM: u16 = 1000;

impl Receiving {
    pub(super) fn new() -> Self {
        let (input, known) = (BytesMut::new(), Known::default());
        Receiving { input, detached: false, known, left: Left::Nothing, keep_alive: true, interim: 0, seen: 0 }
    }

    /// From here on an answer is to come.
    pub(super) fn begin(&mut self) {
        (self.left, self.interim, self.seen) = (Left::Head, 0, 0);
    }

    /// Whether no head has come yet.
    pub(super) fn is_before_head(&self) -> bool {
        matches!(self.left, Left::Head)
    }

    /// The head, if it is there, with `fields`, emptied, for its fields. A request of HEAD wants it only.
    ///
    /// # Errors
    /// There will be none. What [comes next](Receiving::next) is dropped until the close.
    pub(super) fn head(&mut self, head_only: bool, fields: &mut HeaderMap) -> Result<Option<Response<()>>, Malformed> {
        self.read_head(head_only, fields).inspect_err(|_| self.left = Left::Broken)
    }

    fn read_head(&mut self, head_only: bool, fields: &mut HeaderMap) -> Result<Option<Response<()>>, Malformed> {
        while self.input.len() > self.seen {
            match head::read(&mut self.input, self.detached, &mut self.known, fields)? {
                Begun::Head(head) => {
                    self.seen = 0;
                    let framing = framing(head.status, head.version, fields, head_only)?;
                    self.keep_alive = head.keep_alive && head.status != StatusCode::SWITCHING_PROTOCOLS;
                    self.left = match framing {
                        Framing::Length(0) => Left::Nothing,
                        Framing::Length(length) => Left::Length(length),
                        Framing::Chunked => Left::Chunked(Box::default()),
                        Framing::UntilClose => Left::UntilClose,
                    };
                    let mut response = Response::new(());
                    *response.status_mut() = head.status;
                    *response.version_mut() = head.version;
                    *response.headers_mut() = std::mem::take(fields);
                    if let Some(reason) = head.reason {
                        response.extensions_mut().insert(reason);
                    }
                    return Ok(Some(response));
                }
                Begun::Interim => {
                    self.seen = 0;
                    self.interim += 1;
                    if self.interim > MAX_INTERIM {
                        return Err(Malformed::Interim);
                    }
                }
                Begun::Partial => self.seen = self.input.len(),
            }
        }
        Ok(None)
    }

    /// Looks at what has come of the body with the head.
    ///
    /// # Errors
    /// It is none, as when [`next`](Receiving::next) says so.
    pub(super) fn look_ahead(&mut self) -> Result<(), Malformed> {
        match &mut self.left {
            Left::Chunked(chunked) if !self.input.is_empty() => {
                chunked.look_ahead(&mut self.input).inspect_err(|_| self.left = Left::Broken)
            }
            _ => Ok(()),
        }
    }

    /// What is next of the body.
    ///
    /// # Errors
    /// What comes is no body. From then on there is nothing of it, and what was read is dropped.
    pub(super) fn next(&mut self) -> Result<Next, Malformed> {
        Ok(match &mut self.left {
            Left::Nothing => Next::End,
            Left::Head => Next::More,
            Left::Length(_) | Left::UntilClose if self.input.is_empty() => Next::More,
            Left::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                *left -= here as u64;
                if *left == 0 {
                    self.left = Left::Nothing;
                }
                Next::Frame(Frame::data(take(&mut self.input, here, self.detached)))
            }
            Left::UntilClose => Next::Frame(Frame::data(self.input.split().freeze())),
            Left::Broken => {
                self.input.clear();
                Next::More
            }
            Left::Chunked(chunked) => {
                let next = match chunked.next(&mut self.input) {
                    Ok(next) => next,
                    Err(malformed) => {
                        self.left = Left::Broken;
                        return Err(malformed);
                    }
                };
                if chunked.is_over() {
                    self.left = Left::Nothing;
                }
                match next {
                    chunked::Next::Data(data) => Next::Frame(Frame::data(taken(data, self.detached))),
                    chunked::Next::Trailers(trailers) => Next::Frame(Frame::trailers(trailers)),
                    chunked::Next::End => Next::End,
                    chunked::Next::More => Next::More,
                }
            }
        })
    }

    /// Nothing more will come. Whether that is the end of the body.
    pub(super) fn close(&mut self) -> bool {
        self.keep_alive = false;
        if let Left::UntilClose = self.left {
            self.left = Left::Nothing;
        }
        self.is_over()
    }

    /// Whether all of the answer has been taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    /// Whether another answer can follow.
    pub(super) fn can_go_on(&self) -> bool {
        self.is_over() && self.keep_alive && self.input.is_empty()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.left {
            Left::Nothing => SizeHint::with_exact(0),
            Left::Length(left) => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }
}
