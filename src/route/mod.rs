//! Which route is this?
//!
//! A [`Table`] answers for one request: host first (exact before wildcard before any), then path (exact, with
//! parameters, longest prefix, none), then the number of method and header conditions. Two routes that one request
//! could match equally are refused when the table is made, so there is never a tie to break at run time.
//!
//! Paths are compared in a normal form (see [`normalize`]), which never leaves this module: what goes upstream is the
//! path that the client sent.

mod conditions;
#[cfg(test)]
#[path = "../../fuzz/paths.rs"]
mod fuzz;
mod host;
mod normalize;
mod path;
mod prefix;
mod table;
#[cfg(test)]
mod tests;

pub use conditions::{Conditions, HeaderCondition, Mismatch};
pub use host::{HostPattern, HostPatternError, name_of as host_name};
pub use normalize::normalize;
pub use path::{PathPattern, PathPatternError};
pub use prefix::{PathPrefix, PathPrefixError};
pub use table::{Conflict, Table};
