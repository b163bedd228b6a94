//! The tower layer.

use tower_layer::Layer;

use super::limits::Limits;
use super::service::{Admission, HoldPermit};

/// Puts [`Limits`] in front of a service, and holds each permit until the last frame of the response body.
///
/// # Example
/// ```
/// use std::convert::Infallible;
/// use std::num::NonZeroU32;
///
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{Empty, Full};
/// use sluicegate::admission::{AdmissionLayer, Limiter, Settings, Spool};
/// use tower::{Layer, Service, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let limiter = Limiter::new(Settings::new("reports", NonZeroU32::new(3).unwrap()));
/// let hello = service_fn(|_: Request<Spool<Empty<Bytes>>>| async {
///     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
/// });
/// let mut service = AdmissionLayer::new(limiter.clone()).layer(hello);
///
/// let response = service.call(Request::new(Empty::new())).await.unwrap();
/// assert_eq!(limiter.in_flight(), 1);
/// drop(response);
/// assert_eq!(limiter.in_flight(), 0);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AdmissionLayer {
    limits: Limits,
}

impl AdmissionLayer {
    /// Admits through `limits`: a [`Limiter`](super::Limiter) or several, which other layers may share.
    pub fn new(limits: impl Into<Limits>) -> Self {
        AdmissionLayer { limits: limits.into() }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<HoldPermit<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        Admission::new(self.limits.clone(), HoldPermit::new(inner))
    }
}
