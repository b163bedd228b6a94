//! What an upstream is, once the configuration has been checked.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::balance::Balance;
use super::eject::Eject;
use super::health::Health;
use super::resolve::Resolve;
use super::secret::SecretHeader;
use crate::tls;

/// One upstream: where it is and how patient we are with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration (`[upstreams.NAME]`).
    pub name: String,
    /// What is spoken there. Default HTTP/1.1.
    pub protocol: Protocol,
    /// Where to connect: one endpoint at least.
    pub endpoints: Vec<Endpoint>,
    /// How many requests each of them takes at once, in the same order. Empty: as many as come.
    pub slots: Vec<NonZeroU32>,
    /// Which of them gets the next request. Default: the one of two that has less in flight.
    pub balance: Balance,
    /// How their certificates are judged, where TLS is spoken: [`Protocol::Tls`] needs one.
    pub tls: Option<tls::Client>,
    /// A path put before the path of every request: empty, or `/api` without a slash at its end.
    pub base_path: String,
    /// Which `Host` the upstream sees.
    pub host: HostHeader,
    /// Longest time for name resolution, TCP connect and the TLS handshake together, and with HTTP/2 the peer's settings.
    /// Default 2 s.
    pub connect_timeout: Duration,
    /// Longest time from the last byte of the request sent to the response head. Default 60 s.
    pub response_timeout: Duration,
    /// Longest silence inside a response body. Default 60 s.
    pub read_idle_timeout: Duration,
    /// Longest silence of a connection that has been upgraded, both ways together. Default 1 h.
    pub upgrade_idle_timeout: Duration,
    /// How long an idle connection may be reused. `None`: the upstream's `Keep-Alive: timeout` less a
    /// second, else 4 s; with HTTP/2 or TLS 55 s. Zero: connections are not reused.
    pub idle_timeout: Option<Duration>,
    /// How many connections there may be, to all of its endpoints and from all workers. Default: as many as the limits in
    /// front of it let requests through.
    pub max_connections: MaxConnections,
    /// When an endpoint that fails gets no requests for a while. `None`: never.
    pub eject: Option<Eject>,
    /// How endpoints are asked how they are. `None`: they are not.
    pub health: Option<Health>,
    /// How long requests wait where no endpoint gets any. Default: not at all.
    pub wait_for_endpoint: Duration,
    /// For how long at most an endpoint is left alone that asks for it by `Retry-After`. `None`, the default: it is not.
    pub respect_retry_after: Option<Duration>,
    /// How often the names of endpoints are looked up. Default: every 30 s.
    pub resolve: Resolve,
    /// How often a request may be sent again (only where that is safe). Default 1.
    pub retries: u32,
    /// Fields that every request gets, in place of the client's of the same name.
    pub set_headers: Vec<(HeaderName, HeaderValue)>,
    /// The same with values from files. They come last.
    pub secret_headers: Vec<SecretHeader>,
    /// What the upstream hears of the client's address. Default append.
    pub forwarded: Forwarded,
    /// Whether we add ourselves to `Via`. Default true.
    pub via: bool,
}

impl Settings {
    /// The defaults around an endpoint.
    pub fn new(name: impl Into<String>, endpoint: Endpoint) -> Self {
        Settings {
            name: name.into(),
            protocol: Protocol::default(),
            endpoints: vec![endpoint],
            slots: Vec::new(),
            balance: Balance::default(),
            tls: None,
            base_path: String::new(),
            host: HostHeader::Preserve,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(60),
            read_idle_timeout: Duration::from_secs(60),
            upgrade_idle_timeout: Duration::from_secs(3600),
            idle_timeout: None,
            max_connections: MaxConnections::default(),
            eject: Some(Eject::default()),
            health: None,
            wait_for_endpoint: Duration::ZERO,
            respect_retry_after: None,
            resolve: Resolve::default(),
            retries: 1,
            set_headers: Vec::new(),
            secret_headers: Vec::new(),
            forwarded: Forwarded::default(),
            via: true,
        }
    }

    /// Where it is, as the configuration has it; several endpoints are joined with commas.
    pub fn url(&self) -> String {
        let all: Vec<String> = self.endpoints.iter().map(ToString::to_string).collect();
        let all = all.join(",");
        match self.endpoints.first().and_then(Endpoint::as_unix) {
            Some(_) => all,
            None => format!("{}://{all}{}", self.protocol.scheme(), self.base_path),
        }
    }
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaxConnections {
    /// As many as requests can need, or any number where no limit bounds those.
    #[default]
    Limit,
    /// So many. Requests beyond that wait for a connection.
    Fixed(NonZeroU32),
}

/// What is spoken with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1, one exchange at a time on a connection (`http://`).
    #[default]
    Http1,
    /// HTTP/2 by prior knowledge in the clear, many exchanges at once on a connection (`h2c://`).
    H2c,
    /// HTTP/2 or HTTP/1.1 over TLS, as the server chooses (`https://`).
    Tls,
}

impl Protocol {
    /// The port of a URL that names none.
    pub fn default_port(self) -> u16 {
        match self {
            Protocol::Http1 | Protocol::H2c => 80,
            Protocol::Tls => 443,
        }
    }

    /// The scheme of the URL that asks for it.
    pub fn scheme(self) -> &'static str {
        match self {
            Protocol::Http1 => "http",
            Protocol::H2c => "h2c",
            Protocol::Tls => "https",
        }
    }
}

/// Where to connect: a host (name or address) and port, or a socket in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address, IPv6 without its brackets. What begins with a slash, as no name does, is the path of a socket.
    pub host: String,
    /// TCP port; none of a socket.
    pub port: u16,
}

impl Endpoint {
    /// Its `Host` where `protocol` is spoken. A path is no host: a socket is `localhost`, as curl and others say.
    pub fn authority(&self, protocol: Protocol) -> HeaderValue {
        let authority = if self.as_unix().is_some() {
            "localhost".to_owned()
        } else if self.port == protocol.default_port() && !self.host.contains(':') {
            self.host.clone()
        } else {
            self.to_string()
        };
        HeaderValue::try_from(authority).expect("a checked host is a valid field value")
    }

    /// The socket at a path, which must be absolute.
    ///
    /// # Panics
    /// When the path is not, or is not UTF-8.
    pub fn unix(path: PathBuf) -> Self {
        assert!(path.is_absolute(), "a socket's path is absolute");
        Endpoint { host: path.into_os_string().into_string().expect("a path in UTF-8"), port: 0 }
    }

    /// The path, if it is a socket.
    pub fn as_unix(&self) -> Option<&Path> {
        self.host.starts_with('/').then(|| Path::new(&self.host))
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.as_unix().is_some() {
            write!(f, "unix:{}", self.host)
        } else if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Which `Host` the upstream sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// The one that the client sent.
    Preserve,
    /// The endpoint's own `host:port`; a socket's is `localhost`.
    Upstream,
    /// A fixed name.
    Fixed(HeaderValue),
}

/// What becomes of `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forwarded {
    /// Those of a trusted peer are continued, those of anybody else replaced.
    #[default]
    Append,
    /// They are replaced, whoever sent them.
    Replace,
    /// The upstream gets none: who asks is not its business.
    Off,
}
