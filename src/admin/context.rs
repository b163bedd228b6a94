//! What the handlers share, and what they know of a connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::board::Board;
use super::configuration::Configuration;
use super::metrics;
use super::overrides::Overrides;
use super::token::{Secret, Token};
use crate::admission::Limiter;
use crate::server::Handle;

/// What the handlers share.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) server: Handle,
    pub(super) overrides: Arc<Overrides>,
    pub(super) metrics: Arc<Registry>,
    pub(super) board: Arc<Board>,
    token: Option<Secret>,
    pub(super) configuration: Arc<dyn Configuration>,
    pub(super) started: Instant,
}

/// The two ends of the connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    /// The address that the peer has connected to.
    pub(super) local: SocketAddr,
    /// Whether it came through a socket's file, where neither has an address: both are this machine's then.
    pub(super) unix: bool,
}

/// Who has changed something, as it is logged and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Address(IpAddr),
    /// Somebody on this machine, through the socket's file.
    Unix,
}

impl Context {
    pub(super) fn new(
        server: Handle,
        token: Option<Secret>,
        board: Arc<Board>,
        configuration: Arc<dyn Configuration>,
    ) -> Self {
        let overrides = Arc::default();
        let metrics = Arc::new(metrics::registry(server.clone()));
        Context { server, overrides, metrics, board, token, configuration, started: Instant::now() }
    }

    /// What opens the listener for those who are elsewhere, now.
    pub(super) fn token(&self) -> Option<Arc<Token>> {
        self.token.as_ref().map(Secret::token)
    }

    /// The same with another token and configuration.
    pub(super) fn with(&self, token: Option<Secret>, configuration: Arc<dyn Configuration>) -> Self {
        Context { token, configuration, ..self.clone() }
    }

    /// The limit of this name.
    pub(super) fn limiter(&self, name: &str) -> Option<Limiter> {
        self.server.proxy().limiters().iter().find(|limiter| limiter.name() == name).cloned()
    }
}

impl Connection {
    /// Who it is, also where IPv4 came through an IPv6 socket.
    pub(super) fn peer_ip(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }

    /// The same, for people.
    pub(super) fn by(&self) -> By {
        if self.unix { By::Unix } else { By::Address(self.peer_ip()) }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Address(address) => address.fmt(f),
            By::Unix => f.write_str("unix"),
        }
    }
}
