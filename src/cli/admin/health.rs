//! `health`: is it alive?

use http::uri::Authority;

use super::client::try_connect;
use super::target::{Address, Target, reachable};
use super::{Client, Reach};
use crate::server::Listen;

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// Asks the admin listener; where there is none, whether a listener for requests takes a connection.
pub(super) fn check(reach: &Reach, ready: bool) -> Result<String, String> {
    match reach.target()?.0 {
        // No token: the probes answer anyone.
        Target::At(address) => Client::new(address, None)?
            .ask("GET", if ready { "/readyz" } else { "/livez" }, None)
            .map_err(|error| if ready { format!("not ready: {error}") } else { error })?,
        Target::Off => {
            try_connect(&listening(reach)?)?;
            Vec::new()
        }
    };
    Ok("ok\n".to_owned())
}

/// Where requests are taken: as the configuration says. Where that has become unreadable, what runs is what was
/// configured before, which may well be in the environment.
fn listening(reach: &Reach) -> Result<Address, String> {
    match reach.listening() {
        Some(places) => places.iter().find_map(address).ok_or_else(|| {
            "the configuration names no address to connect to in server.listen: health can only ask the admin \
             listener, which is off"
                .to_owned()
        }),
        None => first(std::env::var("SLUICEGATE_LISTEN").ok().as_deref().unwrap_or(DEFAULT_LISTEN)),
    }
}

/// What to connect to, if that is known: not for a socket that was passed on, or a port of the system's choice.
fn address(listen: &Listen) -> Option<Address> {
    match listen.place() {
        Listen::Tcp(address) if address.port() > 0 => first(&address.to_string()).ok(),
        Listen::Unix(path) => Some(Address::Unix(path.clone())),
        _ => None,
    }
}

/// Where to connect to of the addresses that are listened on.
fn first(listen: &str) -> Result<Address, String> {
    let first = listen.split(',').next().unwrap_or_default().trim();
    let first = first.strip_prefix("tls:").unwrap_or(first);
    if let Some(path) = first.strip_prefix("unix:") {
        return Ok(Address::Unix(path.into()));
    }
    let authority: Authority = first.parse().map_err(|_| format!("SLUICEGATE_LISTEN is no address: {listen:?}"))?;
    Ok(Address::Tcp(reachable(&authority, 8080)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_is_tried() {
        for (listen, address) in [
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80, 10.0.0.1:81", "http://[::1]:80"),
            ("10.0.0.1:81", "http://10.0.0.1:81"),
            ("unix:/run/a.sock,10.0.0.1:81", "unix:/run/a.sock"),
            ("tls:0.0.0.0:443", "http://127.0.0.1:443"),
        ] {
            assert_eq!(first(listen).unwrap().to_string(), address);
        }
        assert!(first("").is_err() && first("a b").is_err());
    }

    #[test]
    fn a_place_that_nobody_can_know_is_passed_over() {
        let everywhere = Listen::Tls(Box::new(Listen::Tcp("0.0.0.0:443".parse().unwrap())));
        assert_eq!(address(&everywhere).unwrap().to_string(), "http://127.0.0.1:443");
        let unknown = [Listen::Passed("web".to_owned()), Listen::Tcp("127.0.0.1:0".parse().unwrap())];
        assert!(unknown.iter().all(|listen| address(listen).is_none()));
    }
}
