//! What a route is, once the configuration has been checked.

use crate::{admission, route, upstream};

/// One route: which requests, which limits, which upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSettings {
    /// Its name in the configuration (`[routes.NAME]`).
    pub name: String,
    /// Which requests it takes.
    pub conditions: route::Conditions,
    /// Index into the plan's upstreams.
    pub upstream: usize,
    /// Indexes into the plan's limits, in the order in which they are acquired: its own first, then the shared ones. They
    /// ascend, so that all routes acquire in one order. Empty for `limit = "none"`.
    pub limits: Vec<usize>,
    /// What happens upstream when the client has left. Default: abort, with 30 s of grace.
    pub ending: upstream::Ending,
}

/// Everything that decides what becomes of a request: the checked configuration but for the client side.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The upstreams, in the order of their names.
    pub upstreams: Vec<upstream::Settings>,
    /// The limits: the routes' own, named for them, and then the shared ones in the order of the files.
    pub limits: Vec<admission::Settings>,
    /// The routes, in the order of their names.
    pub routes: Vec<RouteSettings>,
}
