//! The tower layer.

use tower_layer::Layer;

use super::limiter::Limiter;
use super::service::{Admission, HoldPermit};

/// Puts a [`Limiter`] in front of a service, and holds each permit until the last frame of the response body.
///
/// # Example
/// ```
/// use std::num::NonZeroU32;
/// use sluicegate::admission::{AdmissionLayer, Limiter, Settings};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let limiter = Limiter::new(Settings::new("reports", NonZeroU32::new(3).unwrap()));
/// let mut service = ServiceBuilder::new().layer(AdmissionLayer::new(limiter.clone())).service(service_fn(
///     |_request| async { Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from("hello"))) },
/// ));
/// let request = http::Request::new(http_body_util::Empty::<bytes::Bytes>::new());
/// let response = service.ready().await.unwrap().call(request).await.unwrap();
/// assert_eq!(limiter.in_flight(), 1);
/// drop(response);
/// assert_eq!(limiter.in_flight(), 0);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AdmissionLayer {
    limiter: Limiter,
}

impl AdmissionLayer {
    /// Admits through `limiter`, which other layers and routes may share.
    pub fn new(limiter: Limiter) -> Self {
        AdmissionLayer { limiter }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<HoldPermit<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        Admission::new(self.limiter.clone(), HoldPermit::new(inner))
    }
}
