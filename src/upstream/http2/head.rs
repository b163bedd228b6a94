//! A head for HTTP/1.1 as HTTP/2 has it.

use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Uri, Version};

use crate::upstream::error::Failure;

/// Names the host in the target, and takes away what frames stand for (RFC 9113 §8.2.2, §8.3.1).
///
/// # Errors
/// The host is none that a target can name.
pub(in crate::upstream) fn from_http1(mut parts: Parts, scheme: &Scheme) -> Result<Parts, Failure> {
    let host = parts.headers.remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut target = std::mem::take(&mut parts.uri).into_parts();
    (target.scheme, target.authority) = (Some(scheme.clone()), authority);
    parts.uri = Uri::from_parts(target).map_err(|error| Failure::Protocol(Some(error.into())))?;
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        parts.headers.remove(name);
    }
    parts.version = Version::HTTP_2;
    Ok(parts)
}
