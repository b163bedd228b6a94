//! Making an HTTP/1.1 connection.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::error::BoxError;
use super::pool::Connection;
use super::settings::Settings;
use super::socket_io::SocketIo;
use super::upload::Upload;
use crate::socket::Socket;

/// Resolves, connects and starts the task that drives the connection, on this worker.
pub(super) async fn connect<B>(settings: &Settings, home: usize) -> io::Result<Connection<B>>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let socket = timeout(settings.connect_timeout, dial(settings)).await.unwrap_or_else(|_| Err(too_slow(settings)))?;
    let (sender, connection) = http1::Builder::new()
        .handshake::<_, Upload<B>>(TokioIo::new(SocketIo(socket.clone())))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            // Whoever has an exchange on it hears of it there.
            tracing::trace!(%error, "an upstream connection ended");
        }
    });
    // There are fewer workers than that.
    let home = home as u32;
    Ok(Connection { sender, socket, home, reuse_for: settings.idle_timeout.unwrap_or(DEFAULT_IDLE), reused: false })
}

/// How long we keep an idle connection when neither the operator nor the upstream says: Node closes after 5 s.
const DEFAULT_IDLE: Duration = Duration::from_secs(4);

/// Resolves and connects. How long that may take is up to the caller.
pub(super) async fn dial(settings: &Settings) -> io::Result<Socket> {
    let endpoint = &settings.endpoint;
    let mut last = None;
    for address in lookup_host((endpoint.host.as_str(), endpoint.port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Socket::new(stream));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name resolves to no address")))
}

/// What is said of a connection that was not there in time.
pub(super) fn too_slow(settings: &Settings) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {:?}", settings.connect_timeout))
}
