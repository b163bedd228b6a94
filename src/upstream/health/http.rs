//! Asking for a page.

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::socket::Socket;
use crate::upstream::error::BoxError;
use crate::upstream::socket_io::SocketIo;

/// What is read of a page. Nobody looks at it; but a server whose page is not read may take that for a failure.
const READ: usize = 64 << 10;

/// The status of the answer to `request`, whose target is absolute.
pub(super) async fn over_http1(socket: Socket, request: Request<()>) -> Result<StatusCode, BoxError> {
    let (mut head, ()) = request.into_parts();
    let host = head.uri.authority().map(|authority| HeaderValue::try_from(authority.as_str())).transpose()?;
    head.headers.insert(HOST, host.ok_or("no host")?);
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    head.uri = head.uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(SocketIo(socket))).await?;
    // It ends with the check, whatever comes of that.
    let mut driving = JoinSet::new();
    driving.spawn(async { drop(connection.await) });
    let answer = sender.send_request(Request::from_parts(head, Empty::<Bytes>::new())).await?;
    let status = answer.status();
    // What is too large is not read to its end.
    drop(Limited::new(answer.into_body(), READ).collect().await);
    Ok(status)
}

/// The same where HTTP/2 is spoken.
pub(super) async fn over_http2(socket: Socket, request: Request<()>) -> Result<StatusCode, BoxError> {
    let (sender, connection) = h2::client::handshake(SocketIo(socket)).await?;
    let mut driving = JoinSet::new();
    driving.spawn(async { drop(connection.await) });
    let (answer, _) = sender.ready().await?.send_request(request, true)?;
    Ok(answer.await?.status())
}
