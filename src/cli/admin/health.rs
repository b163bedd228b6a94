//! `health`: is it alive?

use http::uri::Authority;

use super::client::try_connect;
use super::target::{Address, Target, reachable};
use super::{Client, Reach};

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// Asks the admin listener; where there is none, whether the listener for requests takes a connection.
pub(super) fn check(reach: &Reach, ready: bool) -> Result<String, String> {
    match reach.target()? {
        // No token: the probes answer anyone.
        Target::At(address) => Client::new(address, None)?
            .ask("GET", if ready { "/readyz" } else { "/livez" }, None)
            .map_err(|error| if ready { format!("not ready: {error}") } else { error })?,
        Target::Off => {
            let listen = std::env::var("SLUICEGATE_LISTEN").ok();
            try_connect(&first(listen.as_deref().unwrap_or(DEFAULT_LISTEN))?)?;
            Vec::new()
        }
    };
    Ok("ok\n".to_owned())
}

/// Where to connect to of the addresses that are listened on.
fn first(listen: &str) -> Result<Address, String> {
    let first = listen.split(',').next().unwrap_or_default().trim();
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
        ] {
            assert_eq!(first(listen).unwrap().to_string(), address);
        }
        assert!(first("").is_err() && first("a b").is_err());
    }
}
