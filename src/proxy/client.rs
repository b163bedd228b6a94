//! Who is asking.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::headers::X_FORWARDED_FOR;
use super::trusted::TrustedProxies;

/// What we know of a connection's client.
#[derive(Debug)]
pub struct Client {
    peer: IpAddr,
    /// The peer's address as it goes into `X-Forwarded-For`.
    pub(super) address: HeaderValue,
    /// Whose forwarded fields are believed, if the peer's are.
    proxies: Option<TrustedProxies>,
    /// `http`, or with TLS `https`.
    pub(super) scheme: &'static str,
}

impl Client {
    /// The client behind a connection from `peer`.
    pub fn new(peer: IpAddr, proxies: &TrustedProxies) -> Self {
        let peer = peer.to_canonical();
        let address = HeaderValue::try_from(peer.to_string()).expect("an address is visible ASCII");
        Client { peer, address, proxies: proxies.contains(peer).then(|| proxies.clone()), scheme: "http" }
    }

    /// The same, where the connection is one of TLS.
    #[must_use]
    pub fn secured(self) -> Self {
        Client { scheme: "https", ..self }
    }

    /// Whether the connection is one of TLS.
    pub fn is_secured(&self) -> bool {
        self.scheme == "https"
    }

    /// Whether its forwarded fields are believed.
    pub(super) fn is_trusted(&self) -> bool {
        self.proxies.is_some()
    }

    /// The other end of the connection.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Who sent a request: the rightmost forwarded address that is no trusted proxy's, as far as they can be believed.
    pub(super) fn address_of(&self, headers: &HeaderMap) -> IpAddr {
        let Some(proxies) = &self.proxies else { return self.peer };
        let mut nearest = self.peer;
        let lists: Vec<&str> = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|list| list.to_str().ok()).collect();
        for address in lists.iter().rev().flat_map(|list| list.rsplit(',')) {
            let Ok(address) = address.trim().parse::<IpAddr>() else { break };
            nearest = address.to_canonical();
            if !proxies.contains(nearest) {
                break;
            }
        }
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_rightmost_address_that_is_no_proxy() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        for (peer, forwarded, client) in [
            ("203.0.113.1", "198.51.100.7", "203.0.113.1"),
            ("10.0.0.1", "198.51.100.7, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
            ("10.0.0.1", "192.0.2.1, unknown", "10.0.0.1"),
            ("::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(X_FORWARDED_FOR, forwarded.parse().unwrap());
            let seen = Client::new(peer.parse().unwrap(), &proxies).address_of(&headers);
            assert_eq!(seen, client.parse::<IpAddr>().unwrap(), "{peer}: {forwarded}");
        }
    }
}
