//! What comes before HTTP on a connection: who the client is, where a balancer says so, and TLS.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::ReadBuf;
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::{Connection, DRAIN_IDLE};
use super::drain::Stage;
use super::proxy_protocol::{Introduction, ProxyProtocol, parse};
use crate::proxy::Client;
use crate::socket::Socket;

/// How much is read at a time of what is before TLS.
const PIECE: usize = 512;

/// Why nothing becomes of a connection.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it closed before it said anything")]
    Silent,
    #[error("its PROXY header is missing or broken: {0}")]
    Introduction(&'static str),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("the drain has begun")]
    Drained,
}

impl Connection {
    /// Whether anything comes before HTTP.
    pub(super) fn is_greeted(&self) -> bool {
        self.client.is_secured() || self.expects_introduction()
    }

    /// Has the client introduced, and agrees with it on TLS. Both together have as long as a head; a drain has less
    /// patience. Returns what was read of HTTP, or `None` if nothing becomes of the connection.
    pub(super) async fn greet(&mut self) -> Option<Vec<u8>> {
        let control = self.worker.control.clone();
        let mut stage = control.changes();
        let drained = async {
            drop(stage.wait_for(|stage| *stage >= Stage::Draining).await);
            sleep(DRAIN_IDLE).await;
        };
        let greeted = tokio::select! {
            greeted = self.steps() => greeted,
            () = drained => Err(Failed::Drained),
        };
        match greeted {
            Ok(rest) => return Some(rest),
            Err(Failed::Introduction(why)) => control.introductions.note_failed(self.client.peer(), why),
            Err(failed) => tracing::debug!(client = %self.client.peer(), %failed, "a connection did not begin"),
        }
        None
    }

    async fn steps(&mut self) -> Result<Vec<u8>, Failed> {
        let deadline = Instant::now() + self.worker.settings.header_timeout;
        let mut rest = Vec::new();
        if self.expects_introduction() {
            let late = |_| Failed::Introduction("it took too long");
            let required = self.worker.settings.proxy_protocol == ProxyProtocol::Required;
            let source;
            (source, rest) = timeout_at(deadline, introduction(&self.socket, required)).await.map_err(late)??;
            if let Some(source) = source {
                let client = Client::new(source, &self.worker.settings.trusted_proxies);
                self.client = Arc::new(if self.client.is_secured() { client.secured() } else { client });
            }
        }
        if self.client.is_secured() {
            let late = |_| Failed::Tls(io::ErrorKind::TimedOut.into());
            let read = std::mem::take(&mut rest);
            timeout_at(deadline, self.socket.handshake(&read)).await.map_err(late)?.map_err(Failed::Tls)?;
        }
        Ok(rest)
    }

    /// Nobody else is believed where a header may be missing: clients could send one of their own.
    fn expects_introduction(&self) -> bool {
        match self.worker.settings.proxy_protocol {
            ProxyProtocol::Off => false,
            ProxyProtocol::Optional => self.worker.settings.trusted_proxies.contains(self.client.peer()),
            ProxyProtocol::Required => true,
        }
    }
}

/// The source of the connection, if it says one, and what was read behind the header.
async fn introduction(socket: &Socket, required: bool) -> Result<(Option<IpAddr>, Vec<u8>), Failed> {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes) {
            Introduction::Header { len, source } => {
                bytes.drain(..len);
                return Ok((source, bytes));
            }
            Introduction::Absent if required => return Err(Failed::Introduction("there is none")),
            Introduction::Absent => return Ok((None, bytes)),
            Introduction::Broken(why) => return Err(Failed::Introduction(why)),
            Introduction::Incomplete => {}
        }
        let mut piece = [0; PIECE];
        let mut buf = ReadBuf::new(&mut piece);
        let read = poll_fn(|cx| socket.poll_read_raw(cx, &mut buf)).await;
        match read {
            // A balancer that looks whether somebody listens does no more than this.
            Ok(0) | Err(_) if bytes.is_empty() => return Err(Failed::Silent),
            Ok(0) | Err(_) => return Err(Failed::Introduction("it ends too soon")),
            Ok(_) => bytes.extend_from_slice(buf.filled()),
        }
    }
}
