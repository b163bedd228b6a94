//! Making an HTTP/1.1 connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::ClientConnection;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

use super::http1::Connection;
use super::room::Spot;
use super::settings::{Endpoint, Settings};
use super::site::Site;
use crate::socket::Socket;

/// Connects, on this worker. `spot` is its own until it has closed.
pub(super) async fn connect(settings: &Settings, site: &Site, home: usize, spot: Spot) -> io::Result<Box<Connection>> {
    let mut socket = timeout(settings.connect_timeout, dial(settings, site, false))
        .await
        .unwrap_or_else(|_| Err(too_slow(settings)))?;
    let room = spot.room().clone();
    socket.hold(spot);
    let default_idle = if settings.tls.is_some() { DEFAULT_IDLE_TLS } else { DEFAULT_IDLE };
    Ok(Connection::new(socket, room, home, settings.idle_timeout.unwrap_or(default_idle)))
}

/// How long we keep an idle connection when neither the operator nor the upstream says: Node closes after 5 s.
const DEFAULT_IDLE: Duration = Duration::from_secs(4);
/// What speaks TLS is a server for the public, or in front of others, which commonly closes after 60 s.
const DEFAULT_IDLE_TLS: Duration = Duration::from_secs(55);

/// Connects, and agrees on TLS where that is spoken: `h2` says whether HTTP/2 is offered. How long all of it may take is up
/// to the caller.
pub(super) async fn dial(settings: &Settings, site: &Site, h2: bool) -> io::Result<Socket> {
    let Site { endpoint, address } = site;
    if let Some(path) = endpoint.as_unix() {
        return UnixStream::connect(path).await.map(Socket::new);
    }
    if let Some(address) = address {
        return dial_at(*address, settings, endpoint, h2).await;
    }
    // Its first look-up is under way.
    let mut last = None;
    for address in lookup_host((endpoint.host.as_str(), endpoint.port)).await? {
        match dial_at(address, settings, endpoint, h2).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name resolves to no address")))
}

async fn dial_at(address: SocketAddr, settings: &Settings, endpoint: &Endpoint, h2: bool) -> io::Result<Socket> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let session = match &settings.tls {
        None => None,
        Some(tls) => Some(tls.connection(&endpoint.host, h2).map_err(io::Error::other)?),
    };
    let socket = notice_a_dead_peer(stream, session, settings)?;
    socket.handshake(&[]).await?;
    Ok(socket)
}

/// Has the kernel find out that the peer is gone, so that nobody has to ask it. It asks a quiet peer, and gives up one that
/// acknowledges nothing of what was sent.
///
/// The kernel can't tell for us whether the peer is gone or only does not read: TCP_USER_TIMEOUT also ends a connection
/// whose peer has closed its window and says so again and again. A server that is busy may do that for as long as
/// `response_timeout` allows, so the kernel's patience is longer than ours.
fn notice_a_dead_peer(stream: TcpStream, session: Option<ClientConnection>, settings: &Settings) -> io::Result<Socket> {
    let probes = TcpKeepalive::new().with_time(QUIET).with_interval(PROBE).with_retries(PROBES);
    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    let socket = match session {
        Some(session) => Socket::secured(stream, session),
        None => Socket::new(stream),
    };
    let ours = settings.response_timeout.max(settings.read_idle_timeout).min(A_DAY);
    socket.set_user_timeout(Some(ours.max(QUIET) + PROBE * PROBES))?;
    Ok(socket)
}

/// Shorter than what routers on the way forget a connection after.
const QUIET: Duration = Duration::from_secs(30);

/// Three in a row are not lost by chance.
const PROBES: u32 = 3;
const PROBE: Duration = Duration::from_secs(5);

/// The kernel counts milliseconds in 32 bits.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// What is said of a connection that was not there in time.
pub(super) fn too_slow(settings: &Settings) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {:?}", settings.connect_timeout))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_looks_for_a_dead_peer_and_is_more_patient_than_we_are() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for seconds in [1, 60, 600, u64::MAX] {
            let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
            let ours = Duration::from_secs(seconds);
            let settings = Settings { response_timeout: ours, ..Settings::new("a", endpoint) };
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let handle = socket2::Socket::from(stream.into_std().unwrap());
            let stream = TcpStream::from_std(handle.try_clone().unwrap().into()).unwrap();
            let _socket = notice_a_dead_peer(stream, None, &settings).unwrap();
            assert!(handle.keepalive().unwrap());
            assert!(handle.tcp_user_timeout().unwrap().unwrap() > ours.min(A_DAY));
        }
    }
}
