//! Making a connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::time::timeout;

use super::connection::{Connection, MAX_STREAMS, State};
use super::drive::Drive;
use super::watched::Watched;
use crate::socket::Socket;
use crate::upstream::connect::{dial, too_slow};
use crate::upstream::error::Failure;
use crate::upstream::room::Spot;
use crate::upstream::settings::{Protocol, Settings};
use crate::upstream::site::Site;

/// Why there is no connection. Everybody who waited for it gets it.
#[derive(Debug, Clone)]
pub(super) enum NoConnection {
    Io(Arc<io::Error>),
    Http2(Arc<h2::Error>),
    /// It has ended after bytes that were no settings.
    NotHttp2(Arc<io::Error>),
    /// The peer has been asked, and chose HTTP/1.1.
    Http1,
}

/// What one stream may have on its way to us that its client has not taken.
const STREAM_WINDOW: u32 = 64 << 10;

/// What all streams may have on their way together: each its whole window, or those whose clients are slow would hold
/// up the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;

/// The same again for the way out, for each stream.
const SEND_BUFFER: usize = 64 << 10;

/// The fields of a head together, as RFC 9113 §6.5.2 counts them: twice the default of `max_header_bytes`.
const HEADER_LIST: u32 = 64 << 10;

/// Resets of ours that are remembered for a second, so that what the peer had sent before it saw them is no fault of its.
/// The crate's 50 are few for a proxy: every client that leaves is one.
const REMEMBERED_RESETS: usize = 1000;

/// What small frames may cost in bookkeeping before the connection is given up: each byte that a frame has less than 256
/// while it waits for its client. The crate's half of the window is less than a hundred slow clients of short events need.
const SMALL_FRAMES: usize = 16 << 20;

/// Connects, and starts the task that drives the connection on this worker. All of it within `connect_timeout`, the
/// peer's settings included: before them nobody knows how many streams there may be.
/// `spot` is the connection's own until it has closed.
pub(super) async fn connect(settings: &Settings, site: &Site, spot: Spot) -> Result<Connection, NoConnection> {
    let room = spot.room().clone();
    let connected = async move {
        let mut socket = dial(settings, site, true).await?;
        socket.hold(spot);
        handshake(socket, settings).await
    };
    let connected = timeout(settings.connect_timeout, connected);
    let (sender, driver) = connected.await.unwrap_or_else(|_| Err(too_slow(settings).into()))?;
    let connection = Connection::new(sender, driver.state(), room);
    tokio::spawn(driver);
    Ok(connection)
}

async fn handshake(socket: Socket, settings: &Settings) -> Result<(SendRequest<Bytes>, Drive), NoConnection> {
    if settings.protocol == Protocol::Tls && !socket.is_h2() {
        socket.close_for_writing();
        return Err(NoConnection::Http1);
    }
    let io = Watched::new(socket);
    let state = Arc::new(State::new(&io));
    let (sender, mut connection) = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        // Whoever sends on a stream that we have reset and forgotten gets another reset. Counting those over the life of
        // a connection, as the crate does, would take all its streams for what one client after the other has left.
        .max_local_error_reset_streams(None)
        .data_frame_budget(SMALL_FRAMES)
        .enable_push(false)
        // Until the peer's settings say otherwise: this is how we know that they have come.
        .initial_max_send_streams(0)
        .handshake(io.clone())
        .await?;
    let settled = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(closed())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
        // A peer that allows no stream at all is as good as one that has not said.
        Poll::Pending if sender.current_max_send_streams() == 0 => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
    });
    settled.await.map_err(|error| match error {
        // An HTTP/1.1 server may have closed before our word on its answer was written.
        NoConnection::Io(error) if state.seen().has_heard() => NoConnection::NotHttp2(error),
        error => error,
    })?;
    let driver = Drive::new(connection, io, state);
    Ok((sender, driver))
}

fn closed() -> NoConnection {
    io::Error::new(io::ErrorKind::UnexpectedEof, "closed before the peer's settings came").into()
}

impl From<io::Error> for NoConnection {
    fn from(error: io::Error) -> Self {
        NoConnection::Io(Arc::new(error))
    }
}

impl From<h2::Error> for NoConnection {
    fn from(error: h2::Error) -> Self {
        if error.is_io() { error.into_io().expect("just seen").into() } else { NoConnection::Http2(Arc::new(error)) }
    }
}

impl From<NoConnection> for Failure {
    fn from(error: NoConnection) -> Self {
        match error {
            NoConnection::Io(error) => Failure::Connect(io::Error::new(error.kind(), error)),
            NoConnection::Http2(error) => Failure::of_stream(&error),
            NoConnection::Http1 => {
                Failure::Connect(io::Error::new(io::ErrorKind::Unsupported, "the upstream chose HTTP/1.1"))
            }
            NoConnection::NotHttp2(error) => Failure::Protocol(Some(error.into())),
        }
    }
}
