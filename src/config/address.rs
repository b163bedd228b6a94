//! Addresses: where to listen, where to connect.

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use config::Value;
use http::HeaderValue;

use super::value::{Taken, as_text, wrong, wrong_with_help};
use crate::admin;
use crate::server::Listen;
use crate::upstream::{Endpoint, HostHeader, Protocol};

/// `host:port`, where the host may be a name with several addresses, `unix:/path` or `fd:NAME`; each behind `tls:` as well.
pub(super) fn listen(value: &Value) -> Taken<Vec<Listen>> {
    const EXAMPLE: Example = Example {
        expected: "must be an address and port such as \"0.0.0.0:8080\" or \"tls:0.0.0.0:8443\", \"unix:/path\" or \"fd:NAME\"",
        host: "0.0.0.0",
        port: 8080,
    };
    let Some(text) = as_text(value) else { return wrong(EXAMPLE.expected) };
    if let Some(place) = text.strip_prefix("tls:").filter(|place| !place.starts_with("tls:")) {
        let places = listen(&Value::new(None, place))?.into_iter();
        return Ok(places.map(|place| Listen::Tls(Box::new(place))).collect());
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(vec![Listen::Unix(socket_path(path)?)]);
    }
    if let Some(name) = text.strip_prefix("fd:") {
        return Ok(vec![Listen::Passed(passed_name(name)?)]);
    }
    Ok(resolve(text, &EXAMPLE)?.into_iter().map(Listen::Tcp).collect())
}

/// `host:port` or `http://host:port`, of whose addresses the first is taken, `unix:/path`, or `off`.
pub(super) fn admin(value: &Value) -> Taken<Option<admin::Listen>> {
    const EXAMPLE: Example = Example {
        expected: "must be an address and port such as \"127.0.0.1:9901\", \"unix:/path\", or \"off\"",
        host: "127.0.0.1",
        port: 9901,
    };
    match as_text(value) {
        None => wrong(EXAMPLE.expected),
        Some("off") => Ok(None),
        Some(text) => match text.strip_prefix("unix:") {
            Some(path) => Ok(Some(admin::Listen::Unix(socket_path(path)?))),
            None => {
                // The commands call it by its URL, and one variable serves both.
                let address = text.strip_prefix("http://").map_or(text, |url| url.trim_end_matches('/'));
                Ok(resolve(address, &EXAMPLE)?.first().copied().map(admin::Listen::Tcp))
            }
        },
    }
}

/// The path of a socket: absolute, and no longer than the kernel takes it with what we add to it for a moment.
fn socket_path(path: &str) -> Taken<PathBuf> {
    if !path.starts_with('/') {
        return wrong_with_help("must be \"unix:\" and an absolute path", "write \"unix:/run/sluicegate/http.sock\"");
    }
    if path.ends_with('/') || path.contains('\0') || path.len() > SOCKET_PATH_MAX {
        return wrong(format!("must be \"unix:\" and the path of a socket, at most {SOCKET_PATH_MAX} bytes long"));
    }
    Ok(Path::new(path).to_owned())
}

/// Of the kernel's 107, what is left beside the suffix of a file that is about to appear.
const SOCKET_PATH_MAX: usize = 96;

/// A name as in `FileDescriptorName=` (systemd.socket(5)).
fn passed_name(name: &str) -> Taken<String> {
    let is_name = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b':';
    if name.is_empty() || name.len() > 255 || !name.bytes().all(is_name) {
        return wrong_with_help(
            "must be \"fd:\" and the name of a socket that was passed on",
            "systemd calls a socket as FileDescriptorName= says, else after its unit: \"fd:sluicegate.socket\"",
        );
    }
    Ok(name.to_owned())
}

/// What an address looks like, for those who wrote something else.
struct Example {
    expected: &'static str,
    host: &'static str,
    port: u16,
}

/// All addresses of `host:port`, at least one.
fn resolve(text: &str, Example { expected, host, port }: &Example) -> Taken<Vec<SocketAddr>> {
    match host_and_port(text) {
        Some((_, Some(_))) => match text.to_socket_addrs() {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => wrong(format!("names a host without an address: {error}")),
        },
        Some((port, None)) if port.parse::<u16>().is_ok() => {
            wrong_with_help(*expected, format!("there is no address: write \"{host}:{port}\""))
        }
        Some((_, None)) => wrong_with_help(*expected, format!("there is no port: write \"{text}:{port}\"")),
        None => wrong_with_help(*expected, "0.0.0.0 means every IPv4 address, [::] every address"),
    }
}

/// The protocol, endpoint and base path of `http://host:port/base`, the same with `https` or `h2c`, or of `unix:/path`.
pub(super) fn url(value: &Value) -> Taken<(Protocol, Endpoint, String)> {
    const EXPECTED: &str = "must be a URL such as \"http://127.0.0.1:3000\"";
    let Some(text) = as_text(value) else { return wrong(EXPECTED) };
    if let Some(path) = text.strip_prefix("unix:") {
        // Some write unix:///path.
        let path = path.strip_prefix("//").unwrap_or(path);
        return Ok((Protocol::Http1, Endpoint::unix(socket_path(path)?), String::new()));
    }
    let scheme = |protocol: &Protocol| text.strip_prefix(protocol.scheme())?.strip_prefix("://");
    let with_rest =
        [Protocol::Http1, Protocol::H2c, Protocol::Tls].into_iter().find_map(|each| Some((each, scheme(&each)?)));
    let Some((protocol, rest)) = with_rest else {
        let help = format!("write \"http://{}\"", text.rsplit("//").next().unwrap_or(text));
        return wrong_with_help(EXPECTED, help);
    };
    if rest.contains(['?', '#']) {
        return wrong_with_help("must have neither query nor fragment", "each request has its own");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        let help = "remove what stands before the @: clients send their own credentials";
        return wrong_with_help("must not hold a user or password", help);
    }
    let (host, port) = match host_and_port(authority) {
        Some((host, port)) if port != Some(0) => (host, port.unwrap_or(protocol.default_port())),
        _ => return wrong_with_help(EXPECTED, format!("\"{authority}\" is not a host, or a host and port")),
    };
    let base_path = path.trim_end_matches('/');
    if !base_path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
        return wrong_with_help("has a character in its path that no path can hold", "escape it as %XX");
    }
    Ok((protocol, Endpoint { host: host.to_owned(), port }, base_path.to_owned()))
}

/// `preserve`, `upstream`, or a fixed name.
pub(super) fn host_header(value: &Value) -> Taken<HostHeader> {
    match as_text(value) {
        Some("preserve") => Ok(HostHeader::Preserve),
        Some("upstream") => Ok(HostHeader::Upstream),
        Some(name) if host_and_port(name).is_some() => match HeaderValue::from_str(name) {
            Ok(name) => Ok(HostHeader::Fixed(name)),
            Err(_) => wrong("must be a host name"),
        },
        _ => wrong("must be \"preserve\", \"upstream\" or a host name"),
    }
}

/// A name or address, IPv6 without its brackets, and a port if there is one.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if host.is_empty() || !(is_name || text.starts_with('[')) {
        return None;
    }
    let port = match port {
        // A sign would be read as part of the number.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_an_endpoint_and_a_base_path() {
        for (text, endpoint, base_path) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000", ""),
            ("http://api", "api:80", ""),
            ("http://api/", "api:80", ""),
            ("http://my_api:8080/v1/", "my_api:8080", "/v1"),
            ("http://[::1]:3000/a/b", "[::1]:3000", "/a/b"),
            ("http://[::1]", "[::1]:80", ""),
        ] {
            let (protocol, read, path) = url(&Value::new(None, text)).unwrap();
            assert_eq!((read.to_string().as_str(), path.as_str()), (endpoint, base_path), "{text}");
            assert_eq!(protocol, Protocol::Http1, "{text}");
            let h2c = text.replace("http:", "h2c:");
            let http2 = url(&Value::new(None, h2c.as_str())).unwrap();
            assert_eq!(http2, (Protocol::H2c, read.clone(), path.clone()), "{h2c}");
            let https = text.replace("http:", "https:");
            let port = if read.port == 80 { 443 } else { read.port };
            let tls = url(&Value::new(None, https.as_str())).unwrap();
            assert_eq!(tls, (Protocol::Tls, Endpoint { port, ..read }, path), "{https}");
        }
    }

    #[test]
    fn what_is_no_http_url_is_refused() {
        for text in [
            "",
            "api:80",
            "//api",
            "http://",
            "http://:80",
            "http://a:0",
            "http://a:99999",
            "http://a:+80",
            "http://a b",
            "http://a/?x=1",
            "http://a/#x",
            "http://u:p@a",
            "http://[::1",
            "http://::1",
            "https:a",
            "https://",
            "h2c:a",
            "h2c://",
            "h2://a",
            "ftp://a",
            "unix:",
            "unix:api.sock",
            "unix:/run/",
            "http://a/ä",
            "http://a:80:80",
        ] {
            assert!(url(&Value::new(None, text)).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_to_listen_on_are_resolved() {
        let read = |text: &str| listen(&Value::new(None, text));
        assert_eq!(read("127.0.0.1:0").unwrap(), [Listen::Tcp("127.0.0.1:0".parse().unwrap())]);
        assert_eq!(read("[::]:8080").unwrap(), [Listen::Tcp("[::]:8080".parse().unwrap())]);
        let is_loopback = |listen: &Listen| matches!(listen, Listen::Tcp(address) if address.ip().is_loopback());
        assert!(read("localhost:8080").unwrap().iter().all(is_loopback));
        for text in ["8080", ":8080", "*:8080", "localhost", "a:b", "tls:443", "tls:tls:0.0.0.0:443", "::1:80"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
    #[test]
    fn sockets_have_an_absolute_path_or_a_name() {
        let read = |text: &str| listen(&Value::new(None, text));
        assert_eq!(read("unix:/run/a.sock").unwrap(), [Listen::Unix("/run/a.sock".into())]);
        assert_eq!(read("fd:web").unwrap(), [Listen::Passed("web".into())]);
        let tls = [Listen::Tls(Box::new(Listen::Tcp("0.0.0.0:443".parse().unwrap())))];
        assert_eq!(read("tls:0.0.0.0:443").unwrap(), tls);
        assert_eq!(tls[0].to_string(), "tls:0.0.0.0:443");
        let too_long = format!("unix:/{}", "x".repeat(SOCKET_PATH_MAX));
        for text in ["unix:", "unix:a.sock", "unix:/run/", &too_long, "fd:", "fd:a:b", "fd:ä"] {
            assert!(read(text).is_err(), "{text}");
        }
        let (protocol, endpoint, base) = url(&Value::new(None, "unix:///run/api.sock")).unwrap();
        assert_eq!(
            (protocol, endpoint.to_string(), base),
            (Protocol::Http1, "unix:/run/api.sock".into(), String::new())
        );
        assert_eq!(endpoint.as_unix(), Some(Path::new("/run/api.sock")));
    }
}
