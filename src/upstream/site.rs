//! Where an endpoint is: what was written, and which of the addresses that it stands for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::settings::Endpoint;

/// One of the addresses that a configured endpoint stands for: each is an endpoint to itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// As it was written: certificates and `Host` go by that.
    pub(super) endpoint: Endpoint,
    /// `None` of a socket in the file system, and of a name that nobody has looked up yet: whoever connects does so.
    pub(super) address: Option<SocketAddr>,
}

impl Site {
    /// Of an endpoint that has not been looked up. What is written as an address needs no look-up.
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        let address = endpoint.host.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, endpoint.port));
        Site { endpoint: endpoint.clone(), address }
    }

    /// At an address that its name stands for.
    pub(super) fn at(endpoint: &Endpoint, address: SocketAddr) -> Self {
        Site { endpoint: endpoint.clone(), address: Some(address) }
    }

    /// Whether it is the same server, whatever name it was found by.
    pub(super) fn is_same_place(&self, other: &Site) -> bool {
        match (self.address, other.address) {
            (None, None) => self.endpoint == other.endpoint,
            (one, other) => one == other,
        }
    }

    /// Whether it is a name that nobody has looked up.
    pub(super) fn is_unknown(&self) -> bool {
        self.address.is_none() && self.endpoint.as_unix().is_none()
    }

    /// Whether it is a name, whose addresses may change.
    pub(super) fn is_a_name(endpoint: &Endpoint) -> bool {
        endpoint.as_unix().is_none() && endpoint.host.parse::<IpAddr>().is_err()
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(f),
            None => self.endpoint.fmt(f),
        }
    }
}
