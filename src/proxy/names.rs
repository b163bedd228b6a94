//! What a route and its limits are called, ready for wherever that is told.

use std::sync::Arc;

use http::HeaderValue;

use super::prepared::Rejections;
use crate::access_log;
use crate::admission::{Limiter, Limits};

/// What the access log calls it, and what belongs to it.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) route: Arc<str>,
    pub(super) upstream: Arc<str>,
    /// The same and those of its limits, one for all requests.
    pub(super) logged: Arc<access_log::Names>,
    /// Of its limits, in their order.
    pub(super) limits: Box<[LimitName]>,
}

impl Names {
    pub(super) fn new(route: &str, upstream: &str, limits: Option<&Limits>) -> Self {
        let limits: Box<[_]> = limits.into_iter().flat_map(Limits::limiters).enumerate().map(LimitName::new).collect();
        let (route, upstream) = (Arc::from(route), Arc::from(upstream));
        let texts = limits.iter().map(|limit| limit.text.clone()).collect();
        let logged = access_log::Names { route: Arc::clone(&route), upstream: Arc::clone(&upstream), limits: texts };
        Names { route, upstream, logged: Arc::new(logged), limits }
    }
}

/// The name of a limit, ready for wherever it is told.
#[derive(Debug)]
pub(super) struct LimitName {
    /// Its place among those of the route.
    pub(super) index: usize,
    pub(super) text: Arc<str>,
    pub(super) value: HeaderValue,
    pub(super) rejections: Rejections,
}

impl LimitName {
    fn new((index, limiter): (usize, &Limiter)) -> Self {
        let name = limiter.name();
        let value = HeaderValue::from_str(name).unwrap_or(const { HeaderValue::from_static("none") });
        LimitName { index, text: name.into(), value, rejections: Rejections::default() }
    }
}
