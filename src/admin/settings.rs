//! Where the admin listener is and who may use it, once the configuration has been checked.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::token::Secret;

/// The admin listener.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; `None` for "off". Default 127.0.0.1:9901.
    pub listen: Option<Listen>,
    /// What those who are not on this machine must present. Without one, they are refused.
    pub token: Option<Secret>,
    /// Whether there is a page to look at, at `/`. Default true.
    pub dashboard: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let listen = Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9901)));
        Settings { listen: Some(listen), token: None, dashboard: true }
    }
}

/// Where an admin listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and port; port 0 is a free one.
    Tcp(SocketAddr),
    /// A socket in the file system, which only our own user, and root, may connect to. Who does may do everything.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
