//! How clients are served, once the configuration has been checked.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::listen::Listen;
use super::proxy_protocol::ProxyProtocol;
use crate::proxy::TrustedProxies;
use crate::tls;

/// The client side: addresses, patience and bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// What clients are shown where TLS is spoken. There must be one if a place says so.
    pub tls: Option<tls::Server>,
    /// Worker threads, each with a runtime, a listening socket and upstream pools of its own.
    pub threads: NonZeroUsize,
    /// TCP keep-alive probes start after this much silence. Default 30 s.
    pub tcp_keepalive: Duration,
    /// How many connections may be open. Beyond it the longest idle one closes, or nobody is accepted. Default 10,000.
    pub max_connections: NonZeroUsize,
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
    /// Largest request body, in bytes. Default: as large as may be.
    pub max_body: u64,
    /// How many requests of one HTTP/2 connection may be open at once. Default 128.
    pub h2_max_streams: u32,
    /// Where a GET or HEAD is told whether requests are welcome, before anything else is looked at. Default: nowhere.
    pub health_path: Option<String>,
    /// Peers whose forwarded fields are believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether connections begin with a PROXY header. Default: they do not.
    pub proxy_protocol: ProxyProtocol,
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
            tls: None,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            tcp_keepalive: Duration::from_secs(30),
            max_connections: const { NonZeroUsize::new(10_000).unwrap() },
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_idle_timeout: Duration::from_secs(30),
            write_idle_timeout: Duration::from_secs(30),
            max_header_bytes: 32 << 10,
            max_body: u64::MAX,
            h2_max_streams: 128,
            health_path: None,
            trusted_proxies: TrustedProxies::default(),
            proxy_protocol: ProxyProtocol::default(),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(25),
        }
    }
}
