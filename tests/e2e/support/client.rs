//! A client on a bare socket: it can be slow, rude, half-closed or gone.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::message::{Body, Framing, Head};
use super::wire::Wire;
use super::{nothing_comes, soon};

pub struct Client {
    wire: Wire,
    /// Methods of the requests not answered yet; an answer's framing depends on it.
    methods: std::collections::VecDeque<String>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: Head,
    pub body: Body,
    /// Statuses of the 1xx answers that came before.
    pub interim: Vec<u16>,
    /// When its head had been read.
    pub at: Instant,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.expect("somebody listens")
    }

    pub async fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Client { wire: Wire::new(TcpStream::connect(address).await?), methods: Default::default() })
    }

    /// Sends bytes as they are. The first word of each request's head should be its method.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the proxy takes the bytes");
    }

    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.send(bytes).await
    }

    /// Sends a GET.
    pub async fn get(&mut self, target: &str) {
        self.request("GET", target, &[]).await;
    }

    /// Sends a head without a body.
    pub async fn request(&mut self, method: &str, target: &str, fields: &[&str]) {
        self.methods.push_back(method.to_owned());
        self.send(head_of(method, target, fields)).await;
    }

    /// Sends a whole request as it is.
    pub async fn send_request(&mut self, method: &str, bytes: impl AsRef<[u8]>) {
        self.methods.push_back(method.to_owned());
        self.send(bytes).await;
    }

    /// Sends a POST in one go.
    pub async fn post(&mut self, target: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        self.methods.push_back("POST".to_owned());
        let mut request = head_of("POST", target, &[&format!("Content-Length: {}", body.len())]).into_bytes();
        request.extend_from_slice(body);
        self.send(request).await;
    }

    /// The next whole answer.
    pub async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("an answer")
    }

    /// The next whole answer, or how it failed to come.
    pub async fn try_answer(&mut self) -> io::Result<Answer> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.try_head().await?;
            match head.status() {
                status @ 100..=199 if status != 101 => interim.push(status),
                _ => break head,
            }
        };
        let at = Instant::now();
        let method = self.methods.pop_front().unwrap_or_default();
        let mut framing = head.answer_framing(&method);
        let body = soon("the rest of an answer", self.wire.body(&mut framing)).await?;
        Ok(Answer { status: head.status(), head, body, interim, at })
    }

    /// The next head, 1xx included.
    pub async fn head(&mut self) -> Head {
        self.try_head().await.expect("a head")
    }

    pub async fn try_head(&mut self) -> io::Result<Head> {
        let head = soon("the head of an answer", self.wire.head()).await?;
        head.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer"))
    }

    /// The next piece of a body after [`Client::head`].
    pub async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Vec<u8>>> {
        soon("a piece of an answer", self.wire.piece(framing, &mut Vec::new())).await
    }

    /// The rest of a body after [`Client::head`].
    pub async fn body(&mut self, framing: &mut Framing) -> io::Result<Body> {
        soon("the rest of an answer", self.wire.body(framing)).await
    }

    /// Whether neither a byte nor an end comes for a moment.
    pub async fn hears_nothing(&mut self) -> bool {
        !self.wire.has_unread_bytes() && nothing_comes(self.wire.fill()).await
    }

    /// What comes until the proxy closes; a reset counts as its end.
    pub async fn rest(&mut self) -> Vec<u8> {
        soon("the proxy to close the connection", self.wire.rest()).await.0
    }

    /// Asserts that the proxy closes without a further byte.
    pub async fn expect_closed(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "more came before the end: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Says that no more will be sent, and keeps reading.
    pub async fn half_close(&mut self) {
        self.wire.half_close().await.expect("the connection is open");
    }

    pub async fn try_half_close(&mut self) -> io::Result<()> {
        self.wire.half_close().await
    }

    /// Leaves with FIN (or RST, as the system does it, if something is unread).
    pub fn leave(self) {}

    /// Leaves with RST.
    pub fn abort(self) {
        self.wire.reset();
    }

    /// Waits until the proxy has taken all that was sent, or takes no more of it. True if it has seen it take all.
    ///
    /// A gate where the system shows it (Linux), a pause where it does not.
    pub async fn settled(&mut self) -> bool {
        const STUCK: Duration = Duration::from_millis(100);
        let here = self.wire.stream.local_addr().expect("a connected socket has addresses");
        let there = self.wire.stream.peer_addr().expect("a connected socket has addresses");
        let mut unread = unread_bytes(there, here);
        let mut since = Instant::now();
        while unread != Some(0) && since.elapsed() < STUCK {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let now = unread_bytes(there, here);
            if now != unread {
                (unread, since) = (now, Instant::now());
            }
        }
        // From its socket's buffer to its queue is a matter of microseconds.
        tokio::time::sleep(Duration::from_millis(5)).await;
        unread == Some(0)
    }
}

impl Answer {
    /// The reason, if the answer is the proxy's own.
    pub fn reason(&self) -> Option<String> {
        self.head.field("x-sluicegate-reason")
    }

    /// The place in line on arrival and the seconds waited, if it waited.
    pub fn queue(&self) -> Option<(u32, f64)> {
        let value = self.head.field("x-sluicegate-queue")?;
        let parts = value.strip_prefix("position=").and_then(|v| v.split_once(";wait="));
        let (position, wait) = parts.unwrap_or_else(|| panic!("not position=N;wait=S: {value:?}"));
        Some((position.parse().expect("a position"), wait.parse().expect("seconds")))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body.bytes)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body.bytes)))
    }

    pub fn closes(&self) -> bool {
        self.head.lists("connection", "close")
    }

    /// Asserts status and reason of an answer of the proxy's own.
    pub fn expect(&self, status: u16, reason: &str) {
        assert_eq!((self.status, self.reason().as_deref()), (status, Some(reason)), "{:#?}", self.head.start);
    }
}

/// A request's head, with a host and these field lines.
pub fn head_of(method: &str, target: &str, fields: &[&str]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: api.test\r\n");
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

/// Bytes that wait in the receive buffer of the socket at `at` whose peer is `from`.
fn unread_bytes(at: SocketAddr, from: SocketAddr) -> Option<u64> {
    let (at, from) = (hex(at)?, hex(from)?);
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.len() > 4 && row[1] == at && row[2] == from)?;
    u64::from_str_radix(row[4].split_once(':')?.1, 16).ok()
}

fn hex(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port()))
}
