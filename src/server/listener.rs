//! Listening sockets, one per worker and place.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::sync::watch;

use super::listen::Listen;
use super::passed::Passed;
use super::settings::Settings;
use super::socket_file::SocketFile;
use crate::socket::Stream;

/// How many connections the kernel keeps for us until we accept them; it caps this at its own limit.
const BACKLOG: i32 = 4096;

/// How many bytes the kernel holds that it could not send yet. It asks for more when half of them are gone, which is how
/// we know that a client reads.
const UNSENT: u32 = 16 << 10;

/// The socket's file may be written, and so connected to, by everybody, as a port may.
const SOCKET_MODE: u32 = 0o666;

/// Where a client's connection is from that has no address: it is on this machine.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A place that is listened at.
#[derive(Debug)]
pub(super) struct Bound {
    /// Where it is, with the real port.
    pub(super) listening: Listening,
    /// Whether TLS is spoken there.
    pub(super) tls: Arc<AtomicBool>,
    /// Tells the listeners to close, and when all have.
    pub(super) closing: watch::Sender<()>,
    /// One for each worker, until they have them.
    pub(super) listeners: Vec<Listener>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// The place that was asked for.
    pub listen: Listen,
    /// The address, where it has one, with the real port.
    pub address: Option<SocketAddr>,
}

impl std::fmt::Display for Listening {
    /// As a URL, or as near to one as there is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.listen.is_tls() { "https" } else { "http" };
        match (self.listen.place(), self.address) {
            (Listen::Passed(_), Some(address)) => write!(f, "{scheme}://{address} ({})", self.listen),
            (_, Some(address)) => write!(f, "{scheme}://{address}"),
            (_, None) => self.listen.fmt(f),
        }
    }
}

/// One worker's listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) incoming: Incoming,
    pub(super) tls: Arc<AtomicBool>,
    /// Changes when it is to close.
    pub(super) closing: watch::Receiver<()>,
    /// Shared by the workers, who remove it before they close.
    pub(super) file: Option<Arc<SocketFile>>,
}

/// A listening socket of either kind, which does not block.
#[derive(Debug)]
pub(super) enum Incoming {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The same, as the runtime has it.
pub(super) enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// Binds sockets for `workers` workers to each of the places. Those that are `leaving` are ours, and still held; `later`
/// is whether the server listens already.
///
/// # Errors
/// The place that can't be listened at, and why. Nothing is left of the others then.
pub(super) fn bind_all(
    places: &[Listen],
    leaving: &[&Listening],
    settings: &Settings,
    workers: usize,
    later: bool,
) -> Result<Vec<Bound>, (Listen, io::Error)> {
    let mut passed = None;
    let mut bound = Vec::new();
    for listen in places {
        let failed = |error| (listen.clone(), error);
        match listen.place() {
            Listen::Tcp(address) => bound.push(bind(listen, *address, leaving, workers, settings).map_err(failed)?),
            Listen::Unix(path) => {
                let (listener, file) = SocketFile::listen(path, SOCKET_MODE).map_err(failed)?;
                let listening = Listening { listen: listen.clone(), address: None };
                let file = Some(Arc::new(file));
                bound.push(share(listening, Incoming::Unix(listener), file, workers).map_err(failed)?);
            }
            Listen::Tls(_) => unreachable!("a place alone is without TLS"),
            Listen::Passed(_) if later => return Err(failed(only_at_the_start())),
            Listen::Passed(name) => {
                let passed = passed.get_or_insert_with(Passed::from_env);
                for incoming in passed.take(name).map_err(failed)? {
                    let address = incoming.prepare(settings).map_err(failed)?;
                    let listening = Listening { listen: listen.clone(), address };
                    bound.push(share(listening, incoming, None, workers).map_err(failed)?);
                }
            }
        }
    }
    Ok(bound)
}

/// Whether a running server could listen at the place, as far as that can be told without doing so.
///
/// # Errors
/// Why it could not.
pub(super) fn can_bind(listen: &Listen, leaving: &[&Listening]) -> io::Result<()> {
    match listen.place() {
        Listen::Tcp(address) => probe(*address, leaving),
        Listen::Unix(path) => SocketFile::can_listen(path),
        Listen::Tls(_) => unreachable!("a place alone is without TLS"),
        Listen::Passed(_) => Err(only_at_the_start()),
    }
}

fn only_at_the_start() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "sockets are passed on at the start only, so this takes a restart")
}

/// Binds a socket for each worker to `address`, among which the kernel spreads the connections. Port 0 becomes a free
/// port.
fn bind(
    listen: &Listen,
    address: SocketAddr,
    leaving: &[&Listening],
    workers: usize,
    settings: &Settings,
) -> io::Result<Bound> {
    probe(address, leaving)?;
    let first = listener(address, settings)?;
    let address = first.local_addr()?;
    let mut sockets = vec![Incoming::Tcp(first)];
    for _ in 1..workers {
        sockets.push(Incoming::Tcp(listener(address, settings)?));
    }
    Ok(Bound::new(Listening { listen: listen.clone(), address: Some(address) }, sockets, None))
}

/// One socket for all workers: whoever is first accepts.
fn share(listening: Listening, incoming: Incoming, file: Option<Arc<SocketFile>>, workers: usize) -> io::Result<Bound> {
    incoming.set_nonblocking()?;
    let mut sockets = Vec::with_capacity(workers);
    for _ in 1..workers {
        sockets.push(incoming.try_clone()?);
    }
    sockets.push(incoming);
    Ok(Bound::new(listening, sockets, file))
}

impl Bound {
    fn new(listening: Listening, sockets: Vec<Incoming>, file: Option<Arc<SocketFile>>) -> Self {
        let tls = Arc::new(AtomicBool::new(listening.listen.is_tls()));
        let (closing, told) = watch::channel(());
        let listener = |incoming| Listener { incoming, tls: tls.clone(), closing: told.clone(), file: file.clone() };
        let listeners = sockets.into_iter().map(listener).collect();
        Bound { listening, tls, closing, listeners }
    }
}

/// SO_REUSEPORT would let us share a port with another process of the same user, which then takes half of the requests
/// past our limits. Without it the kernel says that the port is taken; where it is by one of ours that is `leaving`, we
/// have it already.
fn probe(address: SocketAddr, leaving: &[&Listening]) -> io::Result<()> {
    let overlap = |ours: SocketAddr| {
        let any = ours.ip().is_unspecified() || address.ip().is_unspecified();
        ours.port() == address.port() && (any || ours.ip() == address.ip())
    };
    let is_ours = |listening: &&Listening| listening.address.is_some_and(overlap);
    if address.port() == 0 || leaving.iter().any(is_ours) {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn listener(address: SocketAddr, settings: &Settings) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    set_options(&socket, settings)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepted sockets inherit all of these. The last one keeps what the kernel takes from us ahead of a slow reader small, so
/// that in-flight stays true, and a client that reads slowly is seen to read.
fn set_options(socket: &Socket, settings: &Settings) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(settings.tcp_keepalive))?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

impl Incoming {
    /// Makes a socket of others what one of ours would be, and says where it listens.
    fn prepare(&self, settings: &Settings) -> io::Result<Option<SocketAddr>> {
        match self {
            Incoming::Tcp(listener) => {
                set_options(&SockRef::from(listener), settings)?;
                listener.local_addr().map(Some)
            }
            Incoming::Unix(_) => Ok(None),
        }
    }

    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Incoming::Tcp(listener) => listener.set_nonblocking(true),
            Incoming::Unix(listener) => listener.set_nonblocking(true),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Incoming::Tcp(listener) => Incoming::Tcp(listener.try_clone()?),
            Incoming::Unix(listener) => Incoming::Unix(listener.try_clone()?),
        })
    }

    /// Hands it to the current runtime.
    pub(super) fn into_accepting(self) -> io::Result<Accepting> {
        Ok(match self {
            Incoming::Tcp(listener) => Accepting::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Incoming::Unix(listener) => Accepting::Unix(tokio::net::UnixListener::from_std(listener)?),
        })
    }

    /// Accepts what is there, without the runtime's knowledge.
    pub(super) fn accept(&self) -> io::Result<(Stream, IpAddr)> {
        match self {
            Incoming::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((tokio::net::TcpStream::from_std(stream)?.into(), peer.ip()))
            }
            Incoming::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((tokio::net::UnixStream::from_std(stream)?.into(), LOCAL))
            }
        }
    }
}

impl Accepting {
    /// The next connection, and where it is from.
    pub(super) async fn accept(&self) -> io::Result<(Stream, IpAddr)> {
        match self {
            Accepting::Tcp(listener) => listener.accept().await.map(|(stream, peer)| (stream.into(), peer.ip())),
            Accepting::Unix(listener) => listener.accept().await.map(|(stream, _)| (stream.into(), LOCAL)),
        }
    }

    /// Takes it back from the runtime.
    pub(super) fn into_incoming(self) -> io::Result<Incoming> {
        Ok(match self {
            Accepting::Tcp(listener) => Incoming::Tcp(listener.into_std()?),
            Accepting::Unix(listener) => Incoming::Unix(listener.into_std()?),
        })
    }
}
