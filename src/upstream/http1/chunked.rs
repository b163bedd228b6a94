//! A chunked body's frames (RFC 9112 §7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::framing::Malformed;

/// Where in a chunked body we are.
///
/// A space behind a size is taken, as some servers pad it; a lone line feed is not.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    digits: u8,
    /// Bytes between the size of this chunk and what is behind it, where some servers fill up a field of fixed width. As
    /// many as can be counted are far more than that.
    padding: u8,
    /// Bytes of extensions so far, less what came of data since.
    extension: u16,
    /// The trailers so far, with their line ends.
    trailers: Vec<u8>,
    /// What was taken ahead of whoever asks.
    first: Option<Next>,
    /// What was found wrong right behind the last data, which comes first.
    broken: Option<Malformed>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    SizeStart,
    Size(u64),
    Padding(u64),
    Extension(u64),
    SizeLineFeed(u64),
    Data(u64),
    DataCarriageReturn,
    DataLineFeed,
    LineStart,
    Line,
    LineFeed,
    EndLineFeed,
    End,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Data(Bytes),
    /// They are the last.
    Trailers(HeaderMap),
    End,
    More,
}

/// Of extensions beyond what comes of data, and of trailers: far more than anybody sends.
const MAX_EXTENSION: u16 = 16 << 10;
const MAX_TRAILERS: usize = 16 << 10;
const MAX_FIELDS: usize = 100;

impl Chunked {
    /// Takes what is next off `input` for whoever asks later.
    ///
    /// # Errors
    /// It is no chunked body, or there is something wrong right behind its first data.
    pub(super) fn look_ahead(&mut self, input: &mut BytesMut) -> Result<(), Malformed> {
        match self.next(input)? {
            Next::More => {}
            next => self.first = Some(next),
        }
        self.broken.map_or(Ok(()), Err)
    }

    /// Takes what is next off `input`.
    ///
    /// # Errors
    /// It is no chunked body, or too much of it is for nobody.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Next, Malformed> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        if let Some(malformed) = self.broken {
            return Err(malformed);
        }
        if let State::Data(left) = self.state
            && !input.is_empty()
        {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
            let data = input.split_to(here).freeze();
            let left = left - here as u64;
            self.state = if left == 0 { State::DataCarriageReturn } else { State::Data(left) };
            if left == 0 {
                // The end, if it is there already, needs nobody to ask for it.
                self.broken = self.advance(input).err();
            }
            return Ok(Next::Data(data));
        }
        self.advance(input)?;
        match self.state {
            State::Data(_) if !input.is_empty() => self.next(input),
            State::End if self.trailers.is_empty() => Ok(Next::End),
            State::End => trailers(std::mem::take(&mut self.trailers)).map(Next::Trailers),
            _ => Ok(Next::More),
        }
    }

    /// Whether all of it has been taken.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::End && self.trailers.is_empty() && self.first.is_none()
    }

    /// Goes on to the next data or to the end.
    fn advance(&mut self, input: &mut BytesMut) -> Result<(), Malformed> {
        let mut at = 0;
        while at < input.len() && !matches!(self.state, State::Data(_) | State::End) {
            self.state = self.step(input[at])?;
            at += 1;
        }
        input.advance(at);
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        Ok(match (self.state, byte) {
            (State::SizeStart, byte) => {
                (self.digits, self.padding) = (1, 0);
                State::Size(digit(byte)?)
            }
            (State::Size(size) | State::Padding(size) | State::Extension(size), b'\r') => State::SizeLineFeed(size),
            (State::Size(size) | State::Padding(size), b' ' | b'\t') => {
                self.padding = self.padding.checked_add(1).ok_or(Malformed::Extension)?;
                State::Padding(size)
            }
            (State::Size(size) | State::Padding(size), b';') => State::Extension(size),
            (State::Size(size), byte) => {
                self.digits += 1;
                if self.digits > 16 {
                    return Err(Malformed::Chunk);
                }
                State::Size(size << 4 | digit(byte)?)
            }
            (State::Extension(_), b'\n') => return Err(Malformed::Chunk),
            (State::Extension(size), _) => {
                self.count_extension()?;
                State::Extension(size)
            }
            (State::SizeLineFeed(0), b'\n') => State::LineStart,
            (State::SizeLineFeed(size), b'\n') => {
                self.extension = self.extension.saturating_sub(size.try_into().unwrap_or(u16::MAX));
                State::Data(size)
            }
            (State::DataCarriageReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::SizeStart,
            (State::LineStart, b'\r') => State::EndLineFeed,
            (State::EndLineFeed, b'\n') => State::End,
            (State::Line, b'\r') => {
                self.keep(byte)?;
                State::LineFeed
            }
            (State::LineFeed, b'\n') => {
                self.keep(byte)?;
                State::LineStart
            }
            (State::LineStart | State::Line, byte) if byte != b'\n' => {
                self.keep(byte)?;
                State::Line
            }
            (State::LineStart | State::Line | State::LineFeed | State::EndLineFeed, _) => {
                return Err(Malformed::Trailers);
            }
            _ => return Err(Malformed::Chunk),
        })
    }

    fn count_extension(&mut self) -> Result<(), Malformed> {
        self.extension += 1;
        if self.extension < MAX_EXTENSION { Ok(()) } else { Err(Malformed::Extension) }
    }

    fn keep(&mut self, byte: u8) -> Result<(), Malformed> {
        self.trailers.push(byte);
        if self.trailers.len() < MAX_TRAILERS { Ok(()) } else { Err(Malformed::Trailers) }
    }
}

fn digit(byte: u8) -> Result<u64, Malformed> {
    char::from(byte).to_digit(16).map(u64::from).ok_or(Malformed::Chunk)
}

/// The fields of these lines.
fn trailers(mut lines: Vec<u8>) -> Result<HeaderMap, Malformed> {
    lines.extend_from_slice(b"\r\n");
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let Ok(httparse::Status::Complete((len, fields))) = httparse::parse_headers(&lines, &mut fields) else {
        return Err(Malformed::Trailers);
    };
    if len < lines.len() {
        return Err(Malformed::Trailers);
    }
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed::Trailers)?;
        trailers.append(name, HeaderValue::from_bytes(field.value).map_err(|_| Malformed::Trailers)?);
    }
    Ok(trailers)
}
