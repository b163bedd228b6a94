//! What a route is, once the configuration has been checked.

use crate::{admission, route, upstream};

/// One route: which requests, which limit, which upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSettings {
    /// Its name in the configuration (`[routes.NAME]`).
    pub name: String,
    /// Which requests it takes.
    pub conditions: route::Conditions,
    /// Index into the plan's upstreams.
    pub upstream: usize,
    /// Its limit; `None` for `limit = "none"`.
    pub limit: Option<admission::Settings>,
    /// What happens upstream when the client has left. Default: abort, with 30 s of grace.
    pub ending: upstream::Ending,
}

/// Everything that decides what becomes of a request: the checked configuration but for the client side.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The upstreams, in the order of their names.
    pub upstreams: Vec<upstream::Settings>,
    /// The routes, in the order of their names.
    pub routes: Vec<RouteSettings>,
}
