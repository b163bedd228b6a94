//! The socket of the admin listener, and its connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use super::board::{Board, FOLLOWERS_MAX};
use super::context::{Connection, Context};
use super::peers::Peers;
use super::router::router;
use super::settings::{Listen, Settings, Token};
use crate::server::{Handle, SocketFile};

/// A place that is listened on, before anybody is served.
#[derive(Debug)]
pub struct Listener {
    incoming: Incoming,
    listen: Listen,
    token: Option<Token>,
    dashboard: bool,
}

#[derive(Debug)]
enum Incoming {
    Tcp(std::net::TcpListener, SocketAddr),
    Unix(UnixListener, SocketFile),
}

/// Why there is no admin listener.
#[derive(Debug, thiserror::Error)]
#[error("the admin listener cannot listen on {listen}")]
pub struct BindError {
    /// Where.
    pub listen: Listen,
    /// Why.
    pub source: io::Error,
}

/// An admin listener that serves. It does so until it is closed, or dropped.
#[derive(Debug)]
pub struct Running {
    closing: watch::Sender<bool>,
    connections: Arc<Semaphore>,
    tasks: [AbortHandle; 3],
    /// Removed with this.
    _file: Option<SocketFile>,
}

/// How many are served at once; whoever comes then takes the place of the one that has been quiet for the longest time.
/// Followers of the events don't use up what the others need.
const MAX_CONNECTIONS: u32 = 256 + FOLLOWERS_MAX as u32;
/// From the end of an answer to the end of the next request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// When accepting fails for want of files or memory, waiting is all that can be done.
const BACK_OFF: Duration = Duration::from_millis(100);
/// What answers under way get to be sent when all is over.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Who connects to the socket's file may do everything, so only our own user may.
const SOCKET_MODE: u32 = 0o600;
/// Both ends of a connection through a socket's file: this machine.
const LOCAL: Connection = {
    let address = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    Connection { peer: address, local: address }
};

impl Listener {
    /// Listens where the settings say; `None` where they say nowhere.
    ///
    /// # Errors
    /// When the address or the socket's file is taken, or the address none of this machine's.
    pub fn bind(settings: &Settings) -> Result<Option<Self>, BindError> {
        let Some(listen) = &settings.listen else { return Ok(None) };
        let incoming = Incoming::bind(listen).map_err(|source| BindError { listen: listen.clone(), source })?;
        let (token, dashboard) = (settings.token.clone(), settings.dashboard);
        Ok(Some(Listener { incoming, listen: listen.clone(), token, dashboard }))
    }

    /// Where it listens, as the commands take it: `http://` and an address with the real port, or `unix:` and a path.
    pub fn url(&self) -> String {
        match &self.incoming {
            Incoming::Tcp(_, address) => format!("http://{address}"),
            Incoming::Unix(..) => self.listen.to_string(),
        }
    }

    /// Serves on the current runtime, which must be none of the workers'.
    ///
    /// # Errors
    /// When the socket can't be registered with the runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve(self, server: Handle) -> io::Result<Running> {
        let (listener, file) = self.incoming.into_accepting()?;
        let (board, teller) = Board::new();
        let sampling = tokio::spawn(board.clone().run(server.clone(), teller));
        // There is somebody who can look.
        server.proxy().registry().open();
        let context = Context::new(server, self.token, board);
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
        let closing = watch::Sender::new(false);
        let expiry = tokio::spawn(context.overrides.clone().expire());
        let router = router(context, self.dashboard);
        let accepting = tokio::spawn(accept(listener, router, connections.clone(), closing.subscribe()));
        let tasks = [expiry, accepting, sampling].map(|task| task.abort_handle());
        Ok(Running { closing, connections, tasks, _file: file })
    }
}

impl Running {
    /// Accepts no more, and lets the answers under way be sent.
    pub async fn close(self) {
        self.closing.send_replace(true);
        self.tasks.iter().for_each(AbortHandle::abort);
        let _ = timeout(LAST_WORDS, self.connections.acquire_many(MAX_CONNECTIONS)).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Incoming {
    fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                Ok(Incoming::Tcp(listener, address))
            }
            Listen::Unix(path) => {
                let (listener, file) = SocketFile::listen(path, SOCKET_MODE)?;
                listener.set_nonblocking(true)?;
                Ok(Incoming::Unix(listener, file))
            }
        }
    }

    fn into_accepting(self) -> io::Result<(Accepting, Option<SocketFile>)> {
        Ok(match self {
            Incoming::Tcp(listener, _) => (Accepting::Tcp(TcpListener::from_std(listener)?), None),
            Incoming::Unix(listener, file) => {
                (Accepting::Unix(tokio::net::UnixListener::from_std(listener)?), Some(file))
            }
        })
    }
}

/// A listening socket of either kind, as the runtime has it.
enum Accepting {
    Tcp(TcpListener),
    Unix(tokio::net::UnixListener),
}

async fn accept(listener: Accepting, router: Router, connections: Arc<Semaphore>, closing: watch::Receiver<bool>) {
    let peers = Peers::new();
    for number in 0.. {
        let accepted = match &listener {
            Accepting::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                let _ = stream.set_nodelay(true);
                stream.local_addr().ok().map(|local| (Stream::Tcp(stream), Connection { peer, local }))
            }),
            Accepting::Unix(listener) => listener.accept().await.map(|(stream, _)| Some((Stream::Unix(stream), LOCAL))),
        };
        match accepted {
            Ok(Some((stream, between))) => {
                let place = place(&connections, &peers).await;
                let (router, closing) = (router.clone(), closing.clone());
                match stream {
                    Stream::Tcp(stream) => peers.serve(number, stream, |stream| async move {
                        serve(stream, between, router, closing).await;
                        drop(place);
                    }),
                    Stream::Unix(stream) => peers.serve(number, stream, |stream| async move {
                        serve(stream, between, router, closing).await;
                        drop(place);
                    }),
                }
            }
            // It is gone already.
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "accepting an admin connection failed");
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// A connection of either kind.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A place for one more, which somebody has to leave if there is none.
async fn place(connections: &Arc<Semaphore>, peers: &Peers) -> OwnedSemaphorePermit {
    match connections.clone().try_acquire_owned() {
        Ok(place) => place,
        Err(_) => {
            peers.make_room();
            connections.clone().acquire_owned().await.expect("nobody closes the semaphore")
        }
    }
}

async fn serve<S>(stream: S, between: Connection, router: Router, mut closing: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(between);
        router.clone().call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // What the channel lends out must not live on in the other branch.
    let closed = async { drop(closing.wait_for(|closing| *closing).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closed => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %between.peer, %error, "an admin connection failed");
    }
}
