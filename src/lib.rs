//! sluicegate: at most N requests inside your API, the rest wait in line.
//!
//! The program is a reverse proxy; see its README. As a library, [`admission`] is a tower layer that bounds how many
//! requests a service works on, and needs nothing of the proxy.
//!
//! # Features
//!
//! - `proxy` (default): the program, and the modules that it consists of. Without it the library is [`admission`] with
//!   [`queue`], [`limit`] and [`histogram`], and a dozen small dependencies:
//!   `sluicegate = { version = "0.1", default-features = false }`.
//! - `otel`: spans of requests, exported over OTLP; with `proxy`.

#[cfg(feature = "proxy")]
pub mod access_log;
#[cfg(feature = "proxy")]
pub mod admin;
pub mod admission;
#[cfg(feature = "proxy")]
pub mod cli;
#[cfg(feature = "proxy")]
pub mod config;
#[cfg(feature = "proxy")]
mod digits;
#[cfg(feature = "proxy")]
mod duration;
#[cfg(feature = "proxy")]
mod eights;
#[cfg(feature = "proxy")]
mod files;
#[cfg(all(test, feature = "proxy"))]
#[path = "../fuzz/driver.rs"]
mod fuzz;
pub mod histogram;
pub mod limit;
#[cfg(feature = "proxy")]
mod moment;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod queue;
#[cfg(feature = "proxy")]
pub mod route;
#[cfg(feature = "proxy")]
pub mod server;
#[cfg(feature = "proxy")]
mod socket;
#[cfg(feature = "proxy")]
pub mod telemetry;
#[cfg(feature = "proxy")]
mod timer;
#[cfg(feature = "proxy")]
pub mod tls;
#[cfg(feature = "proxy")]
pub mod traces;
#[cfg(feature = "proxy")]
pub mod upstream;
