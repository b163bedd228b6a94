//! What a route is, once the configuration has been checked.

use std::num::NonZeroU32;
use std::time::Duration;

use super::adaptive::AdaptiveLimit;
use super::claim::{ClaimRules, KeyRules};
use super::cors::Cors;
use super::preflight::Preflight;
use super::quotas::RateLimit;
use super::rewrite::Rewrite;
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
    /// What its requests ask of them.
    pub claim: ClaimRules,
    /// Whether its connections may become something else.
    pub upgrade: Upgrade,
    /// What happens upstream when the client has left. Default: abort, with 30 s of grace.
    pub ending: upstream::Ending,
    /// What is spooled, and how long an exchange may take.
    pub handling: Handling,
    /// What is changed about its requests and answers.
    pub rewrite: Rewrite,
}

/// How exchanges are handled between client and upstream, beside what the limits say. By default there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handling {
    /// So many bytes of a request's body are read before admission.
    pub buffer_request: usize,
    /// So many bytes of an answer are read ahead of its client.
    pub buffer_response: usize,
    /// How long an exchange may take from its admission on, unless its connection is upgraded.
    pub timeout: Option<Duration>,
    /// The same, upgraded or not.
    pub max_duration: Option<Duration>,
    /// Whether clients of event streams are told that they wait.
    pub queue_events: bool,
    /// Whether its requests leave no line in the access log.
    pub unlogged: bool,
}

/// What becomes of a request to upgrade its connection, to a WebSocket for example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upgrade {
    /// It goes on, and holds the request's permits until the connection has closed.
    #[default]
    Count,
    /// It is refused.
    Deny,
    /// It goes on, and once the upstream has agreed, one of so many places of its own takes the place of its permits.
    Separate(NonZeroU32),
}

/// A limit whose permits are the slots of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Index into the plan's limits.
    pub limit: usize,
    /// Index into its upstreams.
    pub upstream: usize,
    /// Whether as many may wait as belongs to so many permits.
    pub queue_follows: bool,
}

/// Everything that decides what becomes of a request: the checked configuration but for the client side.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The upstreams, in the order of their names.
    pub upstreams: Vec<upstream::Settings>,
    /// The limits: the routes' own, named for them, and then the shared ones in the order of the files.
    pub limits: Vec<admission::Settings>,
    /// How each of them tells whose a request is, where it does; as many as there are limits.
    pub keys: Vec<Option<KeyRules>>,
    /// The routes, in the order of their names.
    pub routes: Vec<RouteSettings>,
    /// Which limits have the slots of an upstream for their permits.
    pub measured: Vec<Measured>,
    /// Which limits find themselves, and which have a shadow. At most one entry for each.
    pub adaptive: Vec<AdaptiveLimit>,
    /// What CORS preflights take, on all routes.
    pub preflight: Preflight,
    /// What answers say, on all routes and without one.
    pub response_headers: ResponseHeaders,
}

/// What answers say beside what they must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHeaders {
    /// Whether those that waited, and rejections, say where they stood and for how long. Default: true.
    pub queue_position: bool,
    /// Which of them name the quota of their request's key. Default: all.
    pub ratelimit: RateLimit,
    /// Whose scripts may read answers of our own. Default: nobody's.
    pub cors: Cors,
}

impl Default for ResponseHeaders {
    fn default() -> Self {
        ResponseHeaders { queue_position: true, ratelimit: RateLimit::default(), cors: Cors::default() }
    }
}
