//! How clients are served, once the configuration has been checked.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::listen::Listen;
use crate::proxy::TrustedProxies;

/// The client side: addresses, patience and bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Worker threads, each with a runtime, a listening socket and upstream pools of its own.
    pub threads: NonZeroUsize,
    /// TCP keep-alive probes start after this much silence. Default 30 s.
    pub tcp_keepalive: Duration,
    /// From a head's first byte to its last. Default 10 s.
    pub header_timeout: Duration,
    /// A kept-alive connection without a request. Default 75 s.
    pub idle_timeout: Duration,
    /// Silence inside a request body that we are waiting for. Default 30 s.
    pub body_idle_timeout: Duration,
    /// A client that takes no byte of an answer. Default 30 s.
    pub write_idle_timeout: Duration,
    /// Largest request head, in bytes. Default 32 KiB.
    pub max_header_bytes: usize,
    /// How many requests of one HTTP/2 connection may be open at once. Default 128.
    pub h2_max_streams: u32,
    /// Peers whose forwarded fields are believed.
    pub trusted_proxies: TrustedProxies,
    /// How long a drain only says that it is coming. Default 0 s.
    pub drain_delay: Duration,
    /// How long a drain may take, delay included. Default 25 s.
    pub drain_timeout: Duration,
}

impl Settings {
    /// The defaults: one address, one worker per processor that we may use.
    pub fn new(listen: SocketAddr) -> Self {
        Settings {
            listen: vec![Listen::Tcp(listen)],
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            tcp_keepalive: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_idle_timeout: Duration::from_secs(30),
            write_idle_timeout: Duration::from_secs(30),
            max_header_bytes: 32 << 10,
            h2_max_streams: 128,
            trusted_proxies: TrustedProxies::default(),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(25),
        }
    }
}
