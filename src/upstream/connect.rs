//! Making a connection.

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
use super::upload::Upload;
use crate::socket::Socket;

/// Resolves, connects and starts the task that drives the connection, on this worker.
pub(super) async fn connect<B>(settings: &Settings, home: usize) -> io::Result<Connection<B>>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let stream = timeout(settings.connect_timeout, dial(settings)).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {:?}", settings.connect_timeout)))
    })?;
    stream.set_nodelay(true)?;
    let socket = Socket::new(stream);
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
    Ok(Connection { sender, socket, home, reuse_for: settings.idle_timeout.unwrap_or(DEFAULT_IDLE), reused: false })
}

/// How long we keep an idle connection when neither the operator nor the upstream says: Node closes after 5 s.
const DEFAULT_IDLE: Duration = Duration::from_secs(4);

async fn dial(settings: &Settings) -> io::Result<TcpStream> {
    let endpoint = &settings.endpoint;
    let mut last = None;
    for address in lookup_host((endpoint.host.as_str(), endpoint.port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name resolves to no address")))
}

/// hyper's view of the socket.
struct SocketIo(Socket);

mod io_impl {
    use std::io::{self, IoSlice};
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::SocketIo;

    impl AsyncRead for SocketIo {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.0.poll_read(cx, buf).map_ok(drop)
        }
    }

    impl AsyncWrite for SocketIo {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.0.poll_write(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.0.poll_write(cx, bufs)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.close_for_writing();
            Poll::Ready(Ok(()))
        }
    }
}
