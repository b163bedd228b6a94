//! Where clients come in.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and port; port 0 is a free one.
    Tcp(SocketAddr),
    /// A socket in the file system. Everybody may connect who reaches it; the directory can keep others out.
    Unix(PathBuf),
    /// TLS at another place.
    Tls(Box<Listen>),
    /// A listening socket that was passed on by whoever started us, by its name in `LISTEN_FDNAMES`.
    Passed(String),
}

impl Listen {
    /// The place alone.
    pub(crate) fn place(&self) -> &Listen {
        match self {
            Listen::Tls(place) => place.place(),
            place => place,
        }
    }

    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        matches!(self, Listen::Tls(_))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
            Listen::Tls(listen) => write!(f, "tls:{listen}"),
            Listen::Passed(name) => write!(f, "fd:{name}"),
        }
    }
}
