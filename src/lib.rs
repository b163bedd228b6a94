//! sluicegate: at most N requests inside your API, the rest wait in line.
//!
//! The program is a reverse proxy; see its README. As a library, [`admission`] is a tower layer that bounds how many
//! requests a service works on, and needs nothing of the proxy.

pub mod access_log;
pub mod admin;
pub mod admission;
pub mod cli;
pub mod config;
mod digits;
mod duration;
mod eights;
mod files;
#[cfg(test)]
#[path = "../fuzz/driver.rs"]
mod fuzz;
pub mod histogram;
pub mod limit;
pub mod proxy;
pub mod queue;
pub mod route;
pub mod server;
mod socket;
pub mod telemetry;
mod timer;
pub mod tls;
pub mod traces;
pub mod upstream;
