//! Who is asking.

use std::net::IpAddr;

use http::HeaderValue;

use super::trusted::TrustedProxies;

/// What we know of a connection's client.
#[derive(Debug)]
pub struct Client {
    /// The peer's address as it goes into `X-Forwarded-For`.
    pub(super) address: HeaderValue,
    /// Whether its forwarded fields are believed.
    pub(super) trusted: bool,
}

impl Client {
    /// The client behind a connection from `peer`.
    pub fn new(peer: IpAddr, proxies: &TrustedProxies) -> Self {
        let address = HeaderValue::try_from(peer.to_canonical().to_string()).expect("an address is visible ASCII");
        Client { address, trusted: proxies.contains(peer) }
    }
}
