//! HTTP/1 heads and framing, read without judgement: what arrived is what a test sees.

/// A request's or an answer's head, byte for byte but for line ends.
#[derive(Clone)]
pub struct Head {
    pub start: String,
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Takes a head off the front of `bytes` if it is there in full. Returns it with its length.
    pub fn parse(bytes: &[u8]) -> Option<(Head, usize)> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let mut lines = bytes[..end].split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        Some((Head { start, fields: lines.map(field).collect() }, end + 4))
    }

    /// The first value of a field, by its name in any case.
    pub fn field(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// All values of a field, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.all_bytes(name).into_iter().map(|v| String::from_utf8_lossy(v).into_owned()).collect()
    }

    pub fn all_bytes(&self, name: &str) -> Vec<&[u8]> {
        let named = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, v)| v.as_slice()).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// Whether a list field has a member, such as `close` in `Connection`.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.all(name).iter().any(|v| v.split(',').any(|m| m.trim().eq_ignore_ascii_case(member)))
    }

    /// The words of the start line: `GET / HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub fn word(&self, n: usize) -> &str {
        self.start.split(' ').nth(n).unwrap_or_default()
    }

    /// The status, if this is the head of an answer.
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or_else(|_| panic!("no status line: {:?}", self.start))
    }

    /// How the body of a request with this head ends.
    pub fn request_framing(&self) -> Framing {
        self.declared_framing().unwrap_or(Framing::Done)
    }

    /// How the body of an answer with this head ends; `to` is the request's method.
    pub fn answer_framing(&self, to: &str) -> Framing {
        if to == "HEAD" || matches!(self.status(), 100..=199 | 204 | 304) {
            return Framing::Done;
        }
        self.declared_framing().unwrap_or(Framing::UntilClose)
    }

    fn declared_framing(&self) -> Option<Framing> {
        if self.lists("transfer-encoding", "chunked") {
            return Some(Framing::Chunked);
        }
        let length = self.field("content-length")?;
        match length.trim().parse() {
            Ok(0) => Some(Framing::Done),
            Ok(length) => Some(Framing::Length(length)),
            Err(_) => panic!("not a length: {length:?}"),
        }
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.start)?;
        for (name, value) in &self.fields {
            writeln!(f, "  {name}: {}", value.escape_ascii())?;
        }
        Ok(())
    }
}

/// What is left of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Done,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A body with what came after it.
#[derive(Debug, Clone, Default)]
pub struct Body {
    pub bytes: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl Body {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// One field line, split at its first colon.
pub fn field(line: &[u8]) -> (String, Vec<u8>) {
    let colon = line.iter().position(|&b| b == b':').unwrap_or(line.len());
    let value = line.get(colon + 1..).unwrap_or_default();
    (String::from_utf8_lossy(&line[..colon]).into_owned(), value.trim_ascii().to_vec())
}
