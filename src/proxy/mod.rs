//! How do the steps join?
//!
//! A [`Proxy`] takes a request from the server, finds its route, lets it through the route's limit and sends it
//! upstream. Whatever goes wrong becomes an answer here: nothing that the server sees is an error. The permit goes with
//! the exchange, not with the client: see [`upstream`](crate::upstream).

mod adaptive;
mod arrival;
mod body;
mod census;
mod changes;
mod claim;
mod client;
mod connections;
mod cors;
mod deadline;
mod draining;
mod endpoint_wait;
mod explain;
mod forward;
mod grpc;
mod handle;
mod headers;
mod health;
mod lasting;
mod matched;
mod max_forwards;
mod names;
mod negotiate;
mod passage;
mod pieces;
mod preflight;
mod prepared;
mod problem;
mod queue_events;
mod quotas;
mod recent;
mod record;
mod refusal;
mod registry;
mod relay;
mod reply;
mod request_ahead;
mod request_body;
mod rewrite;
mod sampling;
mod seldom;
mod settings;
mod shared;
mod target;
mod tending;
mod traffic;
mod trusted;
mod tunnel;
mod wants_events;

pub use adaptive::AdaptiveLimit;
pub use body::Body;
pub use changes::{Changes, Difference};
pub use claim::{
    ClaimRules, Cost, KeyExpression, KeyExpressionError, KeyRules, Missing, Priority, TrustHeaders, Unknown,
};
pub use client::Client;
pub use cors::Cors;
pub use explain::{Explanation, Taken, WhyNot};
pub use handle::Proxy;
pub use passage::Passage;
pub use preflight::Preflight;
pub use quotas::RateLimit;
pub use recent::{Asked, LimitThen, Recent, Refused};
pub use refusal::Refusal;
pub use registry::{Live, LiveView, Phase, Registry};
pub use request_body::{RequestBody, RequestBodyError, Upload};
pub use rewrite::{Fields, Rewrite};
pub use settings::{Handling, Measured, Plan, ResponseHeaders, RouteSettings, Upgrade};
pub use shared::Shared;
pub use tending::Tending;
pub use traffic::TrafficCounts;
pub use trusted::{Network, NetworkError, TrustedProxies};
pub use tunnel::Tunnel;

pub use crate::route::Conflict;
pub use crate::upstream::headers::remove_hop_by_hop;
pub use crate::upstream::{EndpointStatus, Failure, UpstreamCounts};
