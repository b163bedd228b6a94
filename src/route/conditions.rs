//! What a request must be like for a route to take it.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{HostPattern, PathPattern};

/// The conditions of one route; all must hold. The default matches every request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Which hosts, `None` for any, also for a request without one.
    pub host: Option<HostPattern>,
    /// Which paths, `None` for any.
    pub path: Option<PathPattern>,
    /// Which methods, empty for any.
    pub methods: Vec<Method>,
    /// Which headers must be there, all of them. Each name is there once.
    pub headers: Vec<(HeaderName, HeaderCondition)>,
}

/// What one header must be like.
///
/// Only the first field of a name counts. That way two routes that want different values never match the same
/// request, and a client gains nothing by sending a field twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderCondition {
    /// It is there, whatever its value.
    Present,
    /// Its value is exactly this.
    Equals(HeaderValue),
}

/// Why a route whose host and path match does not take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch<'a> {
    /// It takes other methods.
    Method,
    /// This header is not there, or has another value.
    Header(&'a HeaderName),
}

/// The part of the conditions that is looked at when host and path have matched.
#[derive(Debug, Clone)]
pub(super) struct Extra {
    methods: Vec<Method>,
    headers: Vec<(HeaderName, HeaderCondition)>,
}

impl Extra {
    pub(super) fn new(conditions: Conditions) -> Self {
        Extra { methods: conditions.methods, headers: conditions.headers }
    }

    /// How many there are. More win over fewer.
    pub(super) fn count(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers.len()
    }

    /// The first condition that a request does not fulfil.
    pub(super) fn mismatch(&self, method: &Method, headers: &HeaderMap) -> Option<Mismatch<'_>> {
        if !self.methods.is_empty() && !self.methods.contains(method) {
            return Some(Mismatch::Method);
        }
        let unfulfilled = self.headers.iter().find(|(name, condition)| !condition.matches(headers.get(name)));
        unfulfilled.map(|(name, _)| Mismatch::Header(name))
    }

    /// Whether some request fulfils both.
    pub(super) fn overlaps(&self, other: &Extra) -> bool {
        let methods = self.methods.is_empty()
            || other.methods.is_empty()
            || self.methods.iter().any(|method| other.methods.contains(method));
        let headers = self.headers.iter().all(|(name, ours)| {
            other.headers.iter().filter(|(other, _)| other == name).all(|(_, theirs)| ours.overlaps(theirs))
        });
        methods && headers
    }
}

impl HeaderCondition {
    fn matches(&self, value: Option<&HeaderValue>) -> bool {
        match self {
            HeaderCondition::Present => value.is_some(),
            HeaderCondition::Equals(wanted) => value == Some(wanted),
        }
    }

    fn overlaps(&self, other: &HeaderCondition) -> bool {
        match (self, other) {
            (HeaderCondition::Equals(ours), HeaderCondition::Equals(theirs)) => ours == theirs,
            _ => true,
        }
    }
}
