//! Listening sockets, one per worker and address.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::settings::Settings;

/// How many connections the kernel keeps for us until we accept them; it caps this at its own limit.
const BACKLOG: i32 = 4096;

/// How many bytes the kernel holds that it could not send yet. It asks for more when half of them are gone, which is how
/// we know that a client reads.
const UNSENT: u32 = 16 << 10;

/// Binds `count` sockets to `address`, among which the kernel spreads the connections, and says where: port 0 becomes
/// a free port.
pub(super) fn bind(
    address: SocketAddr,
    count: usize,
    settings: &Settings,
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    if address.port() != 0 {
        // SO_REUSEPORT would let us share a port with another process of the same user, which then takes half of the
        // requests past our limits. Without it the kernel says that the port is taken.
        probe(address)?;
    }
    let first = listener(address, settings)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(listener(address, settings)?);
    }
    Ok((address, listeners))
}

fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn listener(address: SocketAddr, settings: &Settings) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit all of these. The last one keeps what the kernel takes from us ahead of a slow reader
    // small, so that in-flight stays true, and a client that reads slowly is seen to read.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(settings.tcp_keepalive))?;
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
