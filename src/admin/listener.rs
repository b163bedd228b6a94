//! The socket of the admin listener, and its connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use super::board::FOLLOWERS_MAX;
use super::context::Connection;
use super::peers::Peers;
use super::settings::{Listen, Settings};
use crate::server::SocketFile;

/// A place that is listened on, before anybody is served.
#[derive(Debug)]
pub struct Listener {
    incoming: Incoming,
    listen: Listen,
}

#[derive(Debug)]
enum Incoming {
    Tcp(TcpListener, SocketAddr),
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
pub(super) struct Running {
    address: Option<SocketAddr>,
    closing: watch::Sender<bool>,
    connections: Arc<Semaphore>,
    accepting: JoinHandle<()>,
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
/// How long an answer that is under way may take where the listener moves: all but that of a reload are faster.
const LAST_ANSWER: Duration = Duration::from_secs(10);
/// Connections that the kernel keeps until there is room for them.
const BACKLOG: i32 = 1024;
/// Who connects to the socket's file may do everything, so only our own user may.
const SOCKET_MODE: u32 = 0o600;
/// Both ends of a connection through a socket's file: this machine.
const LOCAL: Connection = {
    let address = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    Connection { peer: address, local: address, unix: true }
};

impl Listener {
    /// Listens where the settings say; `None` where they say nowhere.
    ///
    /// # Errors
    /// When the address or the socket's file is taken, or the address none of this machine's.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(settings: &Settings) -> Result<Option<Self>, BindError> {
        Self::bind_beside(settings, None)
    }

    /// The same for a process whose admin listener is at `ours`, and about to leave.
    pub(super) fn bind_beside(settings: &Settings, ours: Option<SocketAddr>) -> Result<Option<Self>, BindError> {
        let Some(listen) = &settings.listen else { return Ok(None) };
        let incoming = Incoming::bind(listen, ours).map_err(|source| BindError { listen: listen.clone(), source })?;
        Ok(Some(Listener { incoming, listen: listen.clone() }))
    }

    /// Whether that would do, as far as it can be told without listening.
    pub(super) fn can_bind(settings: &Settings, ours: Option<SocketAddr>) -> Result<(), BindError> {
        let Some(listen) = &settings.listen else { return Ok(()) };
        let can = match listen {
            Listen::Tcp(address) => can_listen(*address, ours),
            Listen::Unix(path) => SocketFile::can_listen(path),
        };
        can.map_err(|source| BindError { listen: listen.clone(), source })
    }

    /// Where it listens, as the commands take it: `http://` and an address with the real port, or `unix:` and a path.
    pub fn url(&self) -> String {
        match &self.incoming {
            Incoming::Tcp(_, address) => format!("http://{address}"),
            Incoming::Unix(..) => self.listen.to_string(),
        }
    }

    /// Serves on the current runtime.
    pub(super) fn serve(self, router: Arc<ArcSwap<Router>>) -> Running {
        let address = match &self.incoming {
            Incoming::Tcp(_, address) => Some(*address),
            Incoming::Unix(..) => None,
        };
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
        let closing = watch::Sender::new(false);
        let accepting = tokio::spawn(accept(self.incoming, router, connections.clone(), closing.subscribe()));
        Running { address, closing, connections, accepting }
    }
}

impl Running {
    /// Where it listens, unless that is a socket's file.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Accepts no more once this is over. Answers that are under way are given.
    pub(super) async fn leave(&mut self) {
        self.closing.send_replace(true);
        let _ = timeout(LAST_WORDS, &mut self.accepting).await;
    }

    /// Accepts no more, and lets the answers under way be sent.
    pub(super) async fn close(mut self) {
        self.leave().await;
        let _ = timeout(LAST_WORDS, self.connections.acquire_many(MAX_CONNECTIONS)).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Another configuration may want the port that we have, at another address: sockets that share it let one begin before
/// the other one ends. Nobody else gets into it, and neither do we get into the port of others.
fn can_listen(address: SocketAddr, ours: Option<SocketAddr>) -> io::Result<()> {
    let any = |ours: SocketAddr| ours.ip().is_unspecified() || address.ip().is_unspecified();
    if address.port() == 0 || ours.is_some_and(|ours| ours.port() == address.port() && any(ours)) {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn listen_at(address: SocketAddr, ours: Option<SocketAddr>) -> io::Result<std::net::TcpListener> {
    can_listen(address, ours)?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Incoming {
    fn bind(listen: &Listen, ours: Option<SocketAddr>) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::from_std(listen_at(*address, ours)?)?;
                let address = listener.local_addr()?;
                Ok(Incoming::Tcp(listener, address))
            }
            Listen::Unix(path) => {
                let (listener, file) = SocketFile::listen(path, SOCKET_MODE)?;
                listener.set_nonblocking(true)?;
                Ok(Incoming::Unix(UnixListener::from_std(listener)?, file))
            }
        }
    }
}

/// A connection of either kind.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Incoming {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Incoming::Tcp(listener, _) => listener.accept().await.map(|(stream, peer)| Accepted::Tcp(stream, peer)),
            Incoming::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }

    /// Accepts what is there, without the runtime's knowledge, and closes.
    fn rest(self, mut begin: impl FnMut(Accepted)) {
        match self {
            Incoming::Tcp(listener, _) => {
                let Ok(listener) = listener.into_std() else { return };
                while let Ok((stream, peer)) = listener.accept() {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    stream.into_iter().for_each(|stream| begin(Accepted::Tcp(stream, peer)));
                }
            }
            Incoming::Unix(listener, _file) => {
                let Ok(listener) = listener.into_std() else { return };
                while let Ok((stream, _)) = listener.accept() {
                    let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
                    stream.into_iter().for_each(|stream| begin(Accepted::Unix(stream)));
                }
            }
        }
    }
}

async fn accept(
    incoming: Incoming,
    router: Arc<ArcSwap<Router>>,
    connections: Arc<Semaphore>,
    mut closing: watch::Receiver<bool>,
) {
    let peers = Peers::new();
    let told = closing.clone();
    let begin = |number: u64, accepted: Accepted, place: OwnedSemaphorePermit| {
        let (router, closing) = (router.clone(), told.clone());
        match accepted {
            Accepted::Tcp(stream, peer) => {
                let _ = stream.set_nodelay(true);
                // Else it is gone already.
                let Ok(local) = stream.local_addr() else { return };
                peers.serve(number, stream, |stream| async move {
                    serve(stream, Connection { peer, local, unix: false }, router, closing).await;
                    drop(place);
                });
            }
            Accepted::Unix(stream) => peers.serve(number, stream, |stream| async move {
                serve(stream, LOCAL, router, closing).await;
                drop(place);
            }),
        }
    };
    let mut numbers = 0..;
    let mut number = || numbers.next().expect("there are enough numbers");
    loop {
        // What the channel lends out must not live on in the other branch.
        let closed = async { drop(closing.wait_for(|closing| *closing).await) };
        let accepted = tokio::select! {
            accepted = incoming.accept() => accepted,
            () = closed => break,
        };
        match accepted {
            Ok(accepted) => begin(number(), accepted, place(&connections, &peers).await),
            Err(error) => {
                tracing::debug!(%error, "accepting an admin connection failed");
                sleep(BACK_OFF).await;
            }
        }
    }
    // Who has been let in by the kernel gets an answer here.
    incoming.rest(|accepted| {
        if let Ok(place) = connections.clone().try_acquire_owned() {
            begin(number(), accepted, place);
        }
    });
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

async fn serve<S>(stream: S, between: Connection, router: Arc<ArcSwap<Router>>, mut closing: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(between);
        Router::clone(&router.load()).call(request)
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
            // Who follows the events has no last answer to wait for.
            match timeout(LAST_ANSWER, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %between.by(), %error, "an admin connection failed");
    }
}
