//! Following a chunked body to its end (RFC 9112 §7.1).

use super::head::is_token;

/// Where in a chunked body we are. It only finds the end: the bytes go on to hyper as they are.
///
/// Stricter than hyper where hyper is lenient (spaces after a size, lone line feeds): what can be read in two ways is
/// an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chunked {
    state: State,
    /// Bytes of the current size line's digits, of extensions and of trailers so far: all of them are bounded.
    digits: u8,
    extension: u16,
    trailer: u16,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    SizeStart,
    Size(u64),
    Extension(u64),
    SizeLineFeed(u64),
    Data(u64),
    DataCarriageReturn,
    DataLineFeed,
    TrailerLineStart,
    TrailerName,
    TrailerLine,
    TrailerLineFeed,
    EndLineFeed,
    End,
}

/// Bytes that no chunked body has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadChunk;

/// Of all extensions of a body together, and of its trailers: far more than anybody sends, below hyper's own bounds.
const MAX_EXTENSION: u16 = 8 << 10;
const MAX_TRAILER: u16 = 8 << 10;

impl Chunked {
    pub(super) fn is_end(&self) -> bool {
        self.state == State::End
    }

    /// Goes on through `bytes`, and returns how many of them belong to the body: all, unless it ends within them.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::End {
            if let State::Data(left) = self.state {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += here;
                let left = left - here as u64;
                self.state = if left == 0 { State::DataCarriageReturn } else { State::Data(left) };
            } else {
                self.state = self.step(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, BadChunk> {
        Ok(match (self.state, byte) {
            (State::SizeStart, byte) => {
                self.digits = 1;
                State::Size(digit(byte)?)
            }
            (State::Size(size), b'\r') => State::SizeLineFeed(size),
            (State::Size(size), b';') => State::Extension(size),
            (State::Size(size), byte) => {
                self.digits += 1;
                if self.digits > 16 {
                    return Err(BadChunk);
                }
                State::Size(size << 4 | digit(byte)?)
            }
            (State::Extension(size), b'\r') => State::SizeLineFeed(size),
            (State::Extension(size), b'\t' | 0x20..=0x7e | 0x80..) => {
                self.extension += 1;
                if self.extension > MAX_EXTENSION {
                    return Err(BadChunk);
                }
                State::Extension(size)
            }
            (State::SizeLineFeed(0), b'\n') => State::TrailerLineStart,
            (State::SizeLineFeed(size), b'\n') => State::Data(size),
            (State::DataCarriageReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::SizeStart,
            (State::TrailerLineStart, b'\r') => State::EndLineFeed,
            (State::EndLineFeed, b'\n') => State::End,
            // A folded line would begin with a space.
            (State::TrailerLineStart | State::TrailerName, byte) if is_token(byte) => {
                self.count_trailer()?;
                State::TrailerName
            }
            (State::TrailerName, b':') | (State::TrailerLine, b'\t' | 0x20..=0x7e | 0x80..) => {
                self.count_trailer()?;
                State::TrailerLine
            }
            (State::TrailerLine, b'\r') => State::TrailerLineFeed,
            (State::TrailerLineFeed, b'\n') => State::TrailerLineStart,
            _ => return Err(BadChunk),
        })
    }

    fn count_trailer(&mut self) -> Result<(), BadChunk> {
        self.trailer += 1;
        if self.trailer > MAX_TRAILER { Err(BadChunk) } else { Ok(()) }
    }
}

fn digit(byte: u8) -> Result<u64, BadChunk> {
    char::from(byte).to_digit(16).map(u64::from).ok_or(BadChunk)
}

#[cfg(test)]
impl Chunked {
    /// How many of these bytes belong to a body, and whether it has ended; `None` if it is none.
    pub(crate) fn follow(bytes: &[u8]) -> Option<(usize, bool)> {
        let mut body = Chunked::default();
        let used = body.advance(bytes).ok()?;
        Some((used, body.is_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes belong to the body, or `None` if it is bad. Unfinished bodies give their whole length.
    fn follow(bytes: &[u8], cut: usize) -> Option<(usize, bool)> {
        let mut body = Chunked::default();
        let mut used = 0;
        for part in [&bytes[..cut], &bytes[cut..]] {
            used += body.advance(part).ok()?;
        }
        Some((used, body.is_end()))
    }

    #[test]
    fn bodies_and_where_they_end() {
        for (body, expected) in [
            ("0\r\n\r\nGET", Some((5, true))),
            ("5\r\nhello\r\n0\r\n\r\n", Some((15, true))),
            ("00a;x=\"y\"\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\nrest", Some((38, true))),
            ("5\r\nhel", Some((6, false))),
            ("5 \r\nhello\r\n", None),
            ("5\nhello\r\n", None),
            ("5\r\nhelloX\r\n", None),
            ("5\r\nhello\n0\r\n", None),
            ("\r\n", None),
            ("x\r\n", None),
            ("-1\r\n", None),
            ("0x5\r\n", None),
            ("11111111111111111\r\n", None),
            ("5;a\nb\r\n", None),
            ("0\r\n folded\r\n\r\n", None),
            ("0\r\nx: a\nb\r\n\r\n", None),
        ] {
            for cut in 0..=body.len() {
                assert_eq!(follow(body.as_bytes(), cut), expected, "{body:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let many = "x".repeat(usize::from(MAX_EXTENSION) + 1);
        assert_eq!(follow(format!("5;{many}").as_bytes(), 0), None);
        assert_eq!(follow(format!("0\r\n{many}").as_bytes(), 0), None);
    }
}
