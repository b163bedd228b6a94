//! gRPC's health checking protocol.
//!
//! The two messages are written and read by hand: one has a text, the other a number.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use tokio::task::JoinSet;

use super::check::Ill;
use crate::socket::Socket;
use crate::upstream::error::BoxError;
use crate::upstream::socket_io::SocketIo;

pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// `HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: u64 = 1;

/// An answer has five bytes and two.
const LARGEST: usize = 4 << 10;

/// Whether the service is served.
pub(super) async fn ask(socket: Socket, mut request: Request<()>, service: &str) -> Result<(), Ill> {
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    let broken = |error: h2::Error| Ill::Broken(error.into());
    let (sender, connection) = h2::client::handshake(SocketIo(socket)).await.map_err(broken)?;
    let mut driving = JoinSet::new();
    driving.spawn(async { drop(connection.await) });
    let (answer, mut body) = sender.ready().await.map_err(broken)?.send_request(request, false).map_err(broken)?;
    body.send_data(message(service), true).map_err(broken)?;
    let (head, mut body) = answer.await.map_err(broken)?.into_parts();
    if head.status != StatusCode::OK {
        return Err(Ill::Status(head.status));
    }
    let mut read = BytesMut::new();
    while let Some(data) = body.data().await {
        read.extend_from_slice(&data.map_err(broken)?);
        if read.len() > LARGEST {
            return Err(Ill::Broken("its message is too large".into()));
        }
    }
    let trailers = body.trailers().await.map_err(broken)?;
    // An answer without a message has its trailers in its head.
    is_ok(trailers.as_ref().unwrap_or(&head.headers)).map_err(Ill::Broken)?;
    match status(read.freeze()) {
        Some(SERVING) => Ok(()),
        Some(_) => Err(Ill::NotServing),
        None => Err(Ill::Broken("its message is no HealthCheckResponse".into())),
    }
}

fn is_ok(trailers: &HeaderMap) -> Result<(), BoxError> {
    match trailers.get("grpc-status") {
        Some(status) if status == "0" => Ok(()),
        Some(status) => Err(format!("its grpc-status is {}", status.to_str().unwrap_or("?")).into()),
        None => Err("it has no grpc-status".into()),
    }
}

/// `HealthCheckRequest { string service = 1; }`, with the five bytes that go before a message.
fn message(service: &str) -> Bytes {
    let mut fields = BytesMut::new();
    if !service.is_empty() {
        fields.put_u8(1 << 3 | LENGTH);
        put_varint(&mut fields, service.len() as u64);
        fields.extend_from_slice(service.as_bytes());
    }
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(fields.len() as u32);
    message.unsplit(fields);
    message.freeze()
}

/// The `status` of a `HealthCheckResponse { ServingStatus status = 1; }` that is not compressed.
fn status(mut message: Bytes) -> Option<u64> {
    if message.try_get_u8().ok()? != 0 || message.try_get_u32().ok()? as usize != message.len() {
        return None;
    }
    // What is zero is left out.
    let mut status = 0;
    while message.has_remaining() {
        let tag = varint(&mut message)?;
        let value = match (tag & 7) as u8 {
            VARINT => varint(&mut message)?,
            FIXED64 => message.try_get_u64_le().ok()?,
            LENGTH => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                (length <= message.len()).then(|| message.advance(length))?;
                continue;
            }
            FIXED32 => u64::from(message.try_get_u32_le().ok()?),
            _ => return None,
        };
        if tag == 1 << 3 {
            status = value;
        }
    }
    Some(status)
}

/// Wire types.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

fn varint(bytes: &mut Bytes) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let byte = bytes.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_varint(bytes: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        bytes.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_that_of_the_protocol() {
        assert_eq!(&message("")[..], b"\0\0\0\0\0");
        assert_eq!(&message("a.B")[..], b"\0\0\0\0\x05\x0a\x03a.B");
        assert_eq!(&message(&"x".repeat(300))[..8], b"\0\0\0\x01\x2f\x0a\xac\x02");
    }

    #[test]
    fn the_status_is_found_among_other_fields_and_nothing_else_is_taken_for_one() {
        for (message, expected) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], Some(1)),
            (b"\0\0\0\0\x02\x08\x02", Some(2)),
            (b"\0\0\0\0\0", Some(0)),
            (b"\0\0\0\0\x06\x12\x02hi\x08\x01", Some(1)),
            (b"\0\0\0\0\x07\x15abcd\x08\x01", Some(1)),
            // Too short, too long, compressed, cut, a length without end.
            (b"\0\0\0\0\x07\x15abcd\x08", None),
            (b"\0\0\0\0\x01\x08\x01", None),
            (b"\x01\0\0\0\x02\x08\x01", None),
            (b"\0\0\0\0\x01\x08", None),
            (b"\0\0\0\0\x0b\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None),
            (b"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None),
            (b"", None),
        ] {
            assert_eq!(status(Bytes::from_static(message)), expected, "{message:?}");
        }
    }
}
