//! Where did a request spend its time?
//!
//! Requests that are traced leave spans at a collector: one of the request, one of its wait in a queue, and one of its
//! exchange with the upstream. They are made of what the access log knows of it, once it has ended, and sent by OTLP over
//! HTTP from the control runtime: the request path pays for a look at `traceparent` and for a place in a bounded queue. A
//! collector that is slow or gone delays no request; it loses traces, which are counted.
//!
//! Only in builds with the feature `otel`.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod exporter;
#[cfg(feature = "otel")]
mod messages;
#[cfg(feature = "otel")]
mod resource;
mod settings;
#[cfg(feature = "otel")]
mod spans;

#[cfg(not(feature = "otel"))]
pub use absent::Exporter;
#[cfg(feature = "otel")]
pub use exporter::Exporter;
pub use settings::Settings;
