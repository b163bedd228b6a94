//! Who may see and change what is not for everyone.
//!
//! A peer on this machine may, and whoever has the token. The browser of a peer on this machine runs pages of
//! strangers, though: a name of theirs can be made to resolve to our address (DNS rebinding), and their scripts can
//! send requests here. The first shows in `Host`, the second in `Origin`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri};

use super::context::{Connection, Context};
use super::problem::Problem;
use super::token::Token;

/// Lets those through who may.
pub(super) async fn protect(
    State(context): State<Context>,
    Extension(connection): Extension<Connection>,
    request: Request,
    next: Next,
) -> Response {
    match check(request.uri(), request.headers(), &connection, context.token().as_deref()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let problem = Problem::from(refusal);
            tracing::debug!(peer = %connection.by(), status = problem.status.as_u16(), "an admin request is refused");
            problem.into_response()
        }
    }
}

/// Why a request may see and change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It was meant for another host, as far as one knows.
    Host,
    /// A page of somebody else has sent it.
    Origin,
    /// It is from elsewhere, and no token would open.
    NoToken,
    /// It is from elsewhere, and without the token.
    WrongToken,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, detail) = match refusal {
            Refusal::Host => (
                StatusCode::FORBIDDEN,
                "The Host field names neither this machine nor the address of the admin listener.",
            ),
            Refusal::Origin => (StatusCode::FORBIDDEN, "Pages of other origins may not use the admin listener."),
            Refusal::NoToken => {
                (StatusCode::FORBIDDEN, "Without a token, this is only for peers on the machine itself.")
            }
            Refusal::WrongToken => (StatusCode::UNAUTHORIZED, "This needs the field `Authorization: Bearer TOKEN`."),
        };
        Problem::new(status, detail)
    }
}

/// Whether a request may see and change everything, or why not.
pub(super) fn check(
    uri: &Uri,
    headers: &HeaderMap,
    connection: &Connection,
    token: Option<&Token>,
) -> Result<(), Refusal> {
    let Some(host) = own_host(uri, headers, connection.local) else {
        return Err(Refusal::Host);
    };
    // The port tells the pages of other servers on this machine apart from ours.
    let is_own = |origin: &str| {
        let origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host.as_str()))
    };
    if !headers.get_all(ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(is_own)) {
        return Err(Refusal::Origin);
    }
    if connection.peer_ip().is_loopback() {
        return Ok(());
    }
    match token {
        None => Err(Refusal::NoToken),
        Some(token) if bearer(headers).is_some_and(|guess| token.matches(guess)) => Ok(()),
        Some(_) => Err(Refusal::WrongToken),
    }
}

/// The host that the request was meant for, if it is us. Two of them are none.
fn own_host(uri: &Uri, headers: &HeaderMap, local: SocketAddr) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    let host: Authority = host.to_str().ok()?.parse().ok()?;
    (is_own(&host, local) && uri.authority().is_none_or(|authority| is_own(authority, local))).then_some(host)
}

fn is_own(authority: &Authority, local: SocketAddr) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        // Where we listen on all addresses, the one that was connected to is the listener's.
        Ok(address) => address.is_loopback() || address == local.ip().to_canonical(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1:50000";
    const ELSEWHERE: &str = "192.0.2.7:50000";

    fn status(peer: &str, token: Option<&str>, fields: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let local = "192.0.2.1:9901".parse().unwrap();
        let connection = Connection { peer: peer.parse().unwrap(), local, unix: false };
        let token = token.map(|token| Token::try_new(token).unwrap());
        match check(&Uri::from_static("/api/v1/status"), &headers, &connection, token.as_ref()) {
            Ok(()) => 200,
            Err(refusal) => Problem::from(refusal).status.as_u16(),
        }
    }

    #[test]
    fn a_peer_on_this_machine_needs_no_token() {
        for peer in [HERE, "127.8.9.10:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(status(peer, None, &[("host", "localhost:9901")]), 200, "{peer}");
            assert_eq!(status(peer, Some("secret"), &[("host", "localhost:9901")]), 200, "{peer}");
        }
    }

    #[test]
    fn others_need_the_token() {
        let host = ("host", "192.0.2.1:9901");
        assert_eq!(status(ELSEWHERE, None, &[host]), 403);
        assert_eq!(status(ELSEWHERE, None, &[host, ("authorization", "Bearer secret")]), 403);
        assert_eq!(status(ELSEWHERE, Some("secret"), &[host]), 401);
        for (value, expected) in [
            ("Bearer secret", 200),
            ("bearer secret", 200),
            ("Bearer secre", 401),
            ("Bearer", 401),
            ("Bearer ", 401),
            ("Basic secret", 401),
            ("secret", 401),
        ] {
            assert_eq!(status(ELSEWHERE, Some("secret"), &[host, ("authorization", value)]), expected, "{value}");
        }
    }

    #[test]
    fn a_foreign_host_is_refused_whoever_asks() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9901", "[::1]:9901", "192.0.2.1", "192.0.2.1:9901"] {
            assert_eq!(status(HERE, None, &[("host", host)]), 200, "{host}");
        }
        let bearer = ("authorization", "Bearer secret");
        for host in ["evil.example", "evil.example:9901", "localhost.evil.example", "192.0.2.2", "localhost@evil", ""] {
            assert_eq!(status(HERE, None, &[("host", host)]), 403, "{host}");
            assert_eq!(status(ELSEWHERE, Some("secret"), &[("host", host), bearer]), 403, "{host}");
        }
        assert_eq!(status(HERE, None, &[]), 403);
        assert_eq!(status(HERE, None, &[("host", "localhost"), ("host", "evil.example")]), 403);
    }

    #[test]
    fn a_foreign_origin_is_refused() {
        let host = ("host", "localhost:9901");
        for origin in ["http://localhost:9901", "https://LOCALHOST:9901"] {
            assert_eq!(status(HERE, None, &[host, ("origin", origin)]), 200, "{origin}");
        }
        for origin in ["null", "http://evil.example", "http://localhost:3000", "http://localhost", "localhost:9901", ""]
        {
            assert_eq!(status(HERE, None, &[host, ("origin", origin)]), 403, "{origin}");
        }
    }
}
